"""What a caller is told of a small mistake, and how tests are counted: over a real pipe."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.e2e.wire import Connect, Repository, Wire

SUBTESTS = """\
import unittest


class T(unittest.TestCase):
    def test_all_good(self):
        for i in range(5):
            with self.subTest(i=i):
                pass

    def test_three_bad(self):
        for i in range(5):
            with self.subTest("odd (one) [two]", i=i):
                self.assertLess(i, 2)

    def test_bad_inside_and_after(self):
        with self.subTest(i=1):
            self.fail("inside")
        raise ValueError("after")

    def test_skipping(self):
        for i in range(2):
            with self.subTest(i=i):
                self.skipTest("not here")


class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise ValueError("no class")

    def test_never(self):
        pass


class AlsoBroken(Broken):
    pass
"""


def test_jobs_are_listed_outside_of_a_worktree_when_all_are_asked_for(
    repository: Repository, connect: Connect
) -> None:
    shutil.rmtree(repository.path / ".git")
    wire = connect()
    refused = wire.call("list_jobs")
    assert refused["error"]["code"] == "not_a_worktree"
    assert "all_workspaces=true" in refused["error"]["hint"]
    assert wire.call("list_jobs", {"all_workspaces": True})["ok"]


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(-1, "-1"), (0, "0"), (-0.5, "-0.5"), (1440.5, "1440.5"), (1e300, "1e+300")],
)
def test_a_time_limit_is_told_as_it_was_passed(wire: Wire, minutes: float, said: str) -> None:
    for tool in ("run_in_sandbox", "run_tests_cloud"):
        answer = wire.call(tool, {"command": "true", "timeout_minutes": minutes})
        assert answer["error"]["code"] == "invalid_argument"
        assert answer["error"]["message"] == (
            f"timeout_minutes is {said}; it must be above 0 and at most 1440."
        )


def test_the_subtests_of_a_test_count_as_that_test(
    repository: Repository, connect: Connect
) -> None:
    repository.write("test_it.py", SUBTESTS)
    wire = connect()
    job = wire.call("run_tests_cloud", {"command": "python3 -m unittest"})["job_id"]
    tests: dict[str, Any] = wire.finished(job)["tests"]
    found = {one["id"]: one["message"] for one in tests["failures"]}
    assert tests["counts"] == {
        **{"total": 6, "passed": 1, "failed": 1, "errors": 3, "skipped": 1, "missing": 0},
    }
    assert found["test_it.T.test_three_bad"] == (
        "subTest [odd (one) [two]] (i=2): AssertionError: 2 not less than 2 "
        "(and 2 more of its subtests)"
    )
    assert found["test_it.T.test_bad_inside_and_after"] == "ValueError: after"
