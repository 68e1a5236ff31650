from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.rendering import MAX_LINE_CHARS, render

HARMFUL = {
    *map(chr, (*range(9), 11, 12, 13, *range(14, 32), 0x7F, *range(0x80, 0xA0))),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069",
}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain \xc3\xa9\n", "plain é\n"),
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07rest", "rest"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bPq#0\x1b\\x", "x"),
        (b"10%\r20%\r\n", "10%\n20%\n"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("abc\u202etxt.exe".encode(), "abc\ufffdtxt.exe"),
        (b"a\x00b\x07", "a\ufffdb\ufffd"),
        (b"a\tb", "a\tb"),
    ],
)
def test_harm_is_taken_out_and_text_stays(raw: bytes, text: str) -> None:
    assert render(raw) == text


def test_a_long_line_is_cut_with_the_count_of_what_is_missing() -> None:
    assert render(b"a" * 5_000) == "a" * MAX_LINE_CHARS + " [904 characters left out]"


@given(st.binary())
def test_no_bytes_leave_anything_harmful(raw: bytes) -> None:
    assert not set(render(raw)) & HARMFUL
