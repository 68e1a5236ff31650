from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.storage.log_frames import MAX_FRAME_BYTES, decode, encode

TEXTS = st.binary(max_size=300) | st.text(max_size=200).map(
    lambda text: text.encode("utf-8", "replace")
)


@given(TEXTS, st.integers(0, 10**14))
def test_what_was_framed_is_read_back_at_its_offsets(data: bytes, offset: int) -> None:
    end = offset
    parts: list[bytes] = []
    for line in encode(offset, data):
        found = decode(line)
        assert found is not None
        assert found[0] == end
        parts.append(found[1])
        end += len(found[1])
    assert b"".join(parts) == data


@given(TEXTS)
def test_a_frame_is_one_printable_line_that_nothing_trims(data: bytes) -> None:
    for line in encode(0, data):
        assert line.isprintable()
        assert line == line.rstrip()
        assert line.splitlines() == [line]


def test_a_frame_is_a_line_of_the_log() -> None:
    assert encode(7, b"one\ntwo \\ \xc3\xa4\x1b[1m\xff\r\nend ") == [
        r"7 one\n",
        "11 two \\\\ ä\\x1b[1m\\xff\\x0d\\n",
        r"26 end\x20",
    ]


def test_hidden_marks_of_unicode_are_escaped_and_come_back() -> None:
    data = "a\u202eb\u2028c\u0085".encode()
    assert encode(0, data) == [r"0 a\xe2\x80\xaeb\xe2\x80\xa8c\xc2\x85"]
    assert decode(encode(0, data)[0]) == (0, data)


def test_nothing_gives_no_frame() -> None:
    assert encode(5, b"") == []


def test_a_long_line_is_cut_and_fits_one_event_of_cloudwatch() -> None:
    lines = encode(0, b"\xff" * (2 * MAX_FRAME_BYTES + 1))
    sizes = [len(found[1]) for line in lines if (found := decode(line))]
    assert sizes == [MAX_FRAME_BYTES, MAX_FRAME_BYTES, 1]
    assert max(map(len, lines)) < 262_118


def test_a_character_that_is_cut_in_two_comes_back() -> None:
    data = b"x" * (MAX_FRAME_BYTES - 1) + "ä".encode()
    found = [decode(line) for line in encode(0, data)]
    assert b"".join(each[1] for each in found if each) == data


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "text",
            "12",
            "12 ",
            " 12 x",
            "-1 x",
            "1e3 x",
            "01 x",
            "٣ x",
            "5\tx",
            "9" * 16 + " x",
        ),
        *(r"5 a\q", r"5 a\x1", r"5 a\xzz", "5 a\\", "5 a\udcff"),
    ],
)
def test_what_is_no_frame_is_not_taken_for_one(line: str) -> None:
    assert decode(line) is None
