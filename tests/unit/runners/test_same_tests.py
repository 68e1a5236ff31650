from __future__ import annotations

import pytest

from mcp_cloud_agents.runners.same_tests import same_tests


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("python3 -m pytest", "python -m pytest -q"),
        ("go test ./...", "go test -v ./..."),
        ("npx jest", "npx jest --silent"),
        ("pytest 'a b.py'", 'pytest "a b.py"'),
    ],
)
def test_commands_that_only_print_otherwise_run_the_same(one: str, other: str) -> None:
    assert same_tests(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pytest", "pytest tests/test_a.py"),
        ("pytest -k a", "pytest -k b"),
        ("python3 -m pytest", "pytest"),
        ("pytest", "pytest 'open"),
        ("pytest 'open", "pytest 'open"),
        ("env python3 t.py", "env python t.py"),
    ],
)
def test_all_else_is_taken_for_other_tests(one: str, other: str) -> None:
    assert not same_tests(one, other)
