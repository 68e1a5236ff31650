"""Tests that a model wrote: where they stand, what they are about, what they say of a change."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.domain.fix import WrittenTests
from mcp_cloud_agents.domain.result import Outcome
from mcp_cloud_agents.worker.fix.judged_by_written import compared, place_of, sources_for
from mcp_cloud_agents.worker.fix.reproduce import Written
from tests.unit.worker.fix.told import OUTCOMES


@pytest.mark.parametrize(
    ("tests", "place"),
    [
        (("tests/test_a.py",), "tests/test_m.py"),
        (("test_a.py", "x/test_b.py"), "test_m.py"),
        (("pkg/a_test.go",), "pkg/m_test.go"),
        (("src/a.spec.ts",), "src/m.test.ts"),
        (("tests/a.rs",), None),
        (("notes.txt", "a_test.go"), "m_test.go"),
        ((), None),
    ],
)
def test_a_written_file_stands_beside_a_failing_test(
    tests: tuple[str, ...], place: str | None
) -> None:
    assert place_of(tests, "m") == place


def test_the_sources_are_those_that_the_tests_mention_and_no_tests() -> None:
    tests = {"tests/test_a.py": "from shop.cart import Cart"}
    names = ("shop/cart.py", "shop/other.py", "tests/test_cart.py", "cart.md", "tests/test_a.py")
    assert sources_for(tests, names) == ("shop/cart.py",)


def outcomes(told: str) -> dict[str, Outcome]:
    return {word[:-1]: OUTCOMES[word[-1]] for word in told.split()}


@pytest.mark.parametrize(
    ("before", "now", "passed", "failed", "dropped"),
    [
        ("aF b.", "a. b.", 2, (), 0),
        ("aF b.", "aF b.", 1, ("a",), 0),
        ("a. b.", "aE bs", 0, ("a", "b"), 0),
        ("aE bF", "aE b.", 1, (), 1),
        ("a. bE", "b.", 1, ("a",), 0),
        ("aE", "", 0, (), 1),
    ],
)
def test_what_breaks_by_itself_is_dropped_and_what_does_not_hold_fails(
    before: str, now: str, passed: int, failed: tuple[str, ...], dropped: int
) -> None:
    written = Written(path="t.py", content="", outcomes=outcomes(before))
    found = compared(written, outcomes(now))
    assert found == WrittenTests(passed=passed, failed=failed, dropped=dropped)
