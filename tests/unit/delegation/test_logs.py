from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.delegation.logs import LogMatch, LogPage, page, search, tail
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.backend import Bytes

pytestmark = pytest.mark.anyio
JOB = JobId("j1")


class OneLog:
    """A log in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        start = min(offset, len(self._data))
        return Bytes(data=self._data[start : start + limit], offset=start, size=len(self._data))


async def test_a_page_ends_after_a_whole_line() -> None:
    found = await page(OneLog(b"one\ntwo\nthree\n"), JOB, offset=0, limit=10)
    assert found == LogPage(text="one\ntwo\n", offset=0, cursor=8, size=14)


async def test_an_offset_past_the_end_gives_an_empty_page_there() -> None:
    found = await page(OneLog(b"abc"), JOB, offset=10**18, limit=10)
    assert found == LogPage(text="", offset=3, cursor=3, size=3)


async def test_a_page_never_cuts_a_character() -> None:
    data = "é" * 10
    found = await page(OneLog(data.encode()), JOB, offset=0, limit=5)
    assert (found.text, found.cursor) == ("éé", 4)


@pytest.mark.parametrize(
    ("lines", "text"),
    [(1, "three\n"), (2, "two\nthree\n"), (9, "one\ntwo\nthree\n")],
)
async def test_the_tail_has_the_last_lines(lines: int, text: str) -> None:
    assert (await tail(OneLog(b"one\ntwo\nthree\n"), JOB, lines=lines, limit=999)).text == text


async def test_the_tail_of_an_unfinished_line_is_that_line() -> None:
    assert (await tail(OneLog(b"one\ntw"), JOB, lines=1, limit=999)).text == "tw"


async def test_a_search_gives_line_offset_and_neighbours() -> None:
    found = await search(
        OneLog(b"a\nb\nThe ERROR\nd\ne\n"), JOB, text="error", around=1, most=5, offset=0
    )
    assert found.matches == (
        LogMatch(line=3, offset=4, text="The ERROR", before=("b",), after=("d",)),
    )
    assert found.cursor is None


async def test_a_search_with_too_many_hits_tells_where_to_go_on() -> None:
    log = OneLog(b"x\n" * 5)
    first = await search(log, JOB, text="x", around=0, most=2, offset=0)
    assert ([m.line for m in first.matches], first.cursor) == ([1, 2], 4)
    second = await search(log, JOB, text="x", around=0, most=9, offset=4)
    assert [m.line for m in second.matches] == [3, 4, 5]


@given(data=st.binary(max_size=300), limit=st.integers(1, 50))
async def test_pages_read_one_after_another_cover_every_byte(data: bytes, limit: int) -> None:
    log, cursor, seen = OneLog(data), 0, 0
    while cursor < len(data):
        found = await page(log, JOB, offset=cursor, limit=limit)
        assert found.offset == cursor
        assert found.cursor > cursor
        cursor, seen = found.cursor, seen + 1
    assert cursor == len(data)
