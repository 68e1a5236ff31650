"""Lines that are no message, over a real pipe: each is answered, and the next call works."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.wire import DEADLINE_S, Wire

CALL = '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":%s}'


def say(wire: Wire, line: bytes) -> None:
    assert wire.process.stdin is not None
    wire.process.stdin.write(line + b"\n")
    wire.process.stdin.flush()


def said(wire: Wire) -> dict[str, Any]:
    return wire.frame(time.monotonic() + DEADLINE_S)


def check_still_serving(wire: Wire) -> None:
    assert wire.answer(wire.send("tools/list"))["result"]["tools"]
    assert wire.seen == []


@pytest.mark.parametrize("number", ["7", '"seven"'])
def test_half_a_surrogate_pair_is_answered_under_the_calls_own_id(wire: Wire, number: str) -> None:
    arguments = '{"name":"run_in_sandbox","arguments":{"command":"echo \\ud800"}}'
    say(wire, (CALL % (number, arguments)).encode())
    frame = said(wire)
    assert frame["id"] == (7 if number == "7" else "seven")
    assert frame["error"]["code"] == -32700
    assert frame["error"]["message"].startswith("Parse error: ")
    assert "lone surrogates" in frame["error"]["data"]["hint"]
    check_still_serving(wire)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b'{"jsonrpc":"2.0","id":7,"method":',
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":true,"method":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_a_line_whose_id_nobody_knows_is_answered_without_one(wire: Wire, line: bytes) -> None:
    say(wire, line)
    frame = said(wire)
    assert (frame["id"], frame["error"]["code"]) == (None, -32700)
    check_still_serving(wire)


@pytest.mark.parametrize("line", [b"[1]", b'"x"', b"{}", b'{"jsonrpc":"2.0","id":7,"method":5}'])
def test_json_that_is_no_message_is_an_invalid_request(wire: Wire, line: bytes) -> None:
    say(wire, line)
    frame = said(wire)
    assert (frame["id"], frame["error"]["code"]) == (None, -32600)
    check_still_serving(wire)


@pytest.mark.parametrize("line", [b"", b"  ", b"\r"])
def test_empty_lines_are_passed_over(wire: Wire, line: bytes) -> None:
    say(wire, line)
    check_still_serving(wire)
