"""A stream without secrets: the same in whatever pieces it comes, nothing else is lost."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.governance.redacted_stream import RedactedStream
from mcp_cloud_agents.governance.redaction import Redactor

CANARY = 'k3y/with+odd "chars"=ä&x'
MARK = b"[redacted]"
COLOURED = "".join(f"\x1b[1;3{number % 8}m{char}" for number, char in enumerate(CANARY)).encode()
WRAPPED = base64.encodebytes(b"xx" + CANARY.encode() * 4 + b"yy")
STREAM = b"".join(
    [
        b"one ",
        CANARY.encode(),
        b" two\n\xff\x00\n",
        COLOURED,
        b"\x1b[0m three\n",
        CANARY[:9].encode() + b"\r\n    " + CANARY[9:].encode(),
        b"\nfour ",
        CANARY.encode().hex().encode(),
        b" five\n",
        b"plain text of a build, line by line\n" * 20,
    ]
)
SAFE = b"".join(
    [
        *(b"one ", MARK, b" two\n\xff\x00\n\x1b[1;30m", MARK, b"\x1b[0m three\n", MARK),
        *(b"\nfour ", MARK, b" five\n", b"plain text of a build, line by line\n" * 20),
    ]
)


def through(data: bytes, cuts: list[int], *values: str) -> bytes:
    """What comes out when the data is fed in pieces."""
    safe = list[bytes]()
    stream = RedactedStream(Redactor(values), safe.append)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        stream.feed(data[start:end])
    stream.close()
    return b"".join(safe)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_same_comes_out_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    assert through(STREAM, cuts, CANARY) == SAFE


def test_a_byte_at_a_time_comes_out_the_same() -> None:
    assert through(STREAM, list(range(len(STREAM))), CANARY) == SAFE


@given(cuts=st.lists(st.integers(0, len(WRAPPED)), max_size=12))
def test_wrapped_base64_is_taken_out_wherever_it_is_cut(cuts: list[int]) -> None:
    safe = through(WRAPPED, cuts, CANARY)
    assert MARK in safe
    assert len(safe.replace(MARK, b"")) < 16  # what depends on the neighbours


@given(data=st.binary(max_size=3_000), cuts=st.lists(st.integers(0, 3_000), max_size=9))
def test_any_other_bytes_come_out_as_they_went_in(data: bytes, cuts: list[int]) -> None:
    assert through(data, cuts, CANARY, "another-secret") == data


def test_a_line_that_begins_no_value_is_out_at_once() -> None:
    safe = list[bytes]()
    stream = RedactedStream(Redactor(["secret-0123"]), safe.append)
    stream.feed(b"compiling 12 files\n")
    assert safe == [b"compiling 12 files\n"]
    stream.feed(b"token=secret-0")
    assert safe[1:] == [b"token="]
    stream.feed(b"!\n")
    assert safe[2:] == [b"secret-0!\n"]
    assert stream.found == 0
    stream.feed(b"files\n")
    stream.feed(b"ecret-0")
    assert safe[3:] == [b"files\n"]
    stream.feed(b"123 after\n")
    assert safe[4:] == [MARK + b" after\n"]


def test_what_is_held_back_has_a_bound() -> None:
    safe = list[bytes]()
    stream = RedactedStream(Redactor(["secret-0123"]), safe.append)
    stream.feed(b"secret-" + b" " * 200_000)
    assert len(b"".join(safe)) == 200_007
    stream.feed(b"secret-0123" * 30_000)
    assert set(b"".join(safe[1:]).split(MARK)) == {b""}
    assert len(stream._tail) < 100


def test_a_short_value_that_begins_a_longer_one_waits_for_it() -> None:
    lines = "a-first-line-of-a-key\nand-its-end"
    assert through(lines.encode(), [21, 25], lines) == MARK


@pytest.mark.parametrize("value", ["", "short"])
def test_without_values_pieces_pass_as_they_are(value: str) -> None:
    pieces, safe = [b"se", b"cret"], list[bytes]()
    stream = RedactedStream(Redactor([value]), safe.append)
    for piece in pieces:
        stream.feed(piece)
    assert [id(one) for one in safe] == [id(one) for one in pieces]
