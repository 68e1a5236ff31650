"""Live frames behind the durable log: any order, gaps, doubles, another attempt."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.backends.aws_batch.logs import LiveLog, Pieces
from mcp_cloud_agents.ports.backend import Bytes

WHOLE = bytes(range(64))


def a_live(*frames: tuple[int, bytes]) -> LiveLog:
    live = LiveLog(cast("Any", None), "group")
    for frame in frames:
        live.pieces.add(*frame)
    return live


def durable(end: int, offset: int, limit: int) -> Bytes:
    at = min(offset, end)
    return Bytes(data=WHOLE[:end][at : at + limit], offset=at, size=end)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=30),
    st.integers(0, 64),
    st.integers(0, 80),
    st.integers(0, 80),
)
def test_a_piece_is_always_what_the_log_has_there(
    cuts: list[tuple[int, int]], end: int, offset: int, limit: int
) -> None:
    live = a_live(*((start, WHOLE[start : start + size]) for start, size in cuts))
    piece = live.behind(durable(end, offset, limit), offset=offset, limit=limit)
    assert piece.data == WHOLE[piece.offset :][: len(piece.data)]
    assert piece.size >= end
    assert piece.offset == min(offset, piece.size)
    assert len(piece.data) == min(limit, piece.size - piece.offset) or piece.next_offset <= end


def test_what_is_live_follows_on_what_is_durable() -> None:
    live = a_live((4, WHOLE[4:8]), (8, WHOLE[8:10]))
    assert live.behind(durable(4, 0, 99), offset=0, limit=99) == Bytes(
        data=WHOLE[:10], offset=0, size=10
    )
    assert live.behind(durable(4, 6, 2), offset=6, limit=2) == Bytes(
        data=WHOLE[6:8], offset=6, size=10
    )
    assert live.behind(durable(4, 50, 2), offset=50, limit=2) == Bytes(data=b"", offset=10, size=10)


def test_nothing_behind_a_gap_is_shown_until_it_is_filled() -> None:
    live = a_live((8, WHOLE[8:12]))
    assert live.behind(durable(4, 0, 99), offset=0, limit=99).size == 4
    live.pieces.add(4, WHOLE[4:8])
    assert live.behind(durable(4, 0, 99), offset=0, limit=99).data == WHOLE[:12]


def test_what_became_durable_is_not_kept_in_memory() -> None:
    live = a_live((0, WHOLE[:8]), (8, WHOLE[8:16]))
    live.behind(durable(12, 0, 9), offset=0, limit=9)
    assert live.pieces.starts == [8]


def test_frames_that_overlap_are_joined_once() -> None:
    pieces = Pieces()
    for start, size in ((0, 4), (2, 6), (2, 3), (8, 2)):
        pieces.add(start, WHOLE[start : start + size])
    assert pieces.after(0) == WHOLE[:10]
    assert pieces.after(5) == WHOLE[5:10]
