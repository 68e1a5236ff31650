from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.delegation.validate import validate
from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.ports.planner import Wish


def request(**changes: object) -> Request:
    fields: dict[str, object] = {"command": "pytest -q", "paths": (), "timeout_s": None}
    outer: dict[str, object] = {"workspace": "/a", "key": None}
    for name, value in changes.items():
        (fields if name in fields else outer)[name] = value
    wish = Wish(kind=Kind.TESTS, **fields)  # pyright: ignore[reportArgumentType]  odd on purpose
    return Request(agent="a", wish=wish, **outer)  # pyright: ignore[reportArgumentType]  the same


def test_an_ordinary_request_passes() -> None:
    validate(request(paths=("tests/unit", "tests/test_a.py::test_b[x y]"), timeout_s=600))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"command": "a\0b"}, "command holds a NUL character."),
        ({"command": "  "}, "command is empty."),
        ({"command": "x" * 40_000}, "command has 40000 characters; at most 32768 are taken."),
        ({"command": "\ud800"}, "command is not valid Unicode."),
        ({"key": "k" * 201}, "idempotency_key has 201 characters; at most 200 are taken."),
        ({"workspace": "/a\0"}, "workspace holds a NUL character."),
        ({"paths": ("t",) * 1_001}, "paths has 1001 entries; at most 1000 are taken."),
        ({"timeout_s": -1}, "timeout_minutes is -0.0166667; it may be 0.017 to 1440."),
        ({"timeout_s": 10**12}, "timeout_minutes is 1.66667e+10; it may be 0.017 to 1440."),
    ],
)
def test_what_makes_no_sense_is_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        validate(request(**changes))
    assert caught.value.message == said


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../b", "-rf", "", "a\0"])
def test_a_path_outside_the_tree_or_like_an_option_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgument):
        validate(request(paths=(path,)))


@given(command=st.text(), path=st.text(), timeout_s=st.integers())
def test_any_values_are_taken_or_refused_in_words(command: str, path: str, timeout_s: int) -> None:
    try:
        validate(request(command=command, paths=(path,), timeout_s=timeout_s))
    except InvalidArgument as exc:
        assert exc.message
        assert exc.hint
