"""Reading a job's log as text: tail, page by byte offset, search. Offsets are raw byte offsets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio.to_thread

from mcp_cloud_agents.domain.rendering import render

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.ports.backend import Bytes

_BLOCK = 1 << 20
_CONTINUATION = range(0x80, 0xC0)  # UTF-8 bytes that are not the start of a character (RFC 3629)


class LogSource(Protocol):
    """Where raw bytes of logs come from; the job runner is one."""

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        """At most `limit` bytes from `offset`; an offset past the end gives none, at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """A rendered piece of a log."""

    text: str
    offset: int
    """Of its first byte."""
    cursor: int
    """Where to read on."""
    size: int
    """Of the log, now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMatch:
    """A line that holds the searched text, with its neighbours."""

    line: int
    """1-based number in the log."""
    offset: int
    """Of the line's first byte."""
    text: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSearch:
    """What a search found; `cursor` is where an unfinished one goes on, None when it is through."""

    matches: tuple[LogMatch, ...]
    cursor: int | None
    size: int


async def page(source: LogSource, job_id: JobId, *, offset: int, limit: int) -> LogPage:
    """At most `limit` bytes from `offset`, cut after the last whole line where there is one.

    An offset past the end gives an empty page at the end. Raises UnknownJob.
    """
    piece = await source.log(job_id, offset=offset, limit=limit)
    data = piece.data
    if piece.next_offset < piece.size:
        data = data[: data.rfind(b"\n") + 1] or _whole_characters(data)
    return LogPage(
        text=render(data), offset=piece.offset, cursor=piece.offset + len(data), size=piece.size
    )


def _whole_characters(data: bytes) -> bytes:
    """Without a character that is cut at the end."""
    for back in range(1, min(4, len(data))):
        if data[-back] not in _CONTINUATION:
            return data[:-back] if data[-back] >= 0xC0 else data
    return data


async def tail(source: LogSource, job_id: JobId, *, lines: int, limit: int) -> LogPage:
    """The last `lines` lines, at most the last `limit` bytes. Raises UnknownJob."""
    size = (await source.log(job_id, offset=0, limit=0)).size
    piece = await source.log(job_id, offset=max(0, size - limit), limit=limit)
    start = len(piece.data)
    for _ in range(lines + (piece.data[-1:] == b"\n")):
        start = piece.data.rfind(b"\n", 0, start)
        if start < 0:
            break
    kept = piece.data[start + 1 :]
    return LogPage(
        text=render(kept),
        offset=piece.next_offset - len(kept),
        cursor=piece.next_offset,
        size=piece.size,
    )


async def search(
    source: LogSource, job_id: JobId, *, text: str, around: int, most: int, offset: int
) -> LogSearch:
    """Lines that hold `text` (plain, case ignored) from byte `offset` on, with neighbours.

    Plain text only: a pattern over output that a job chose could be made to run for ever.
    Raises UnknownJob.
    """
    data = await _whole(source, job_id)
    look = partial(_search, data, text.lower(), around=around, most=most, offset=offset)
    return await anyio.to_thread.run_sync(look)  # a second of work for a log at its cap


def _search(data: bytes, text: str, *, around: int, most: int, offset: int) -> LogSearch:
    rows = data.split(b"\n")
    starts = _starts(rows)
    matches: list[LogMatch] = []
    for number, row in enumerate(rows):
        if starts[number] < offset or text not in render(row).lower():
            continue
        if len(matches) == most:
            return LogSearch(matches=tuple(matches), cursor=starts[number], size=len(data))
        matches.append(_match(rows, starts, number, around))
    return LogSearch(matches=tuple(matches), cursor=None, size=len(data))


async def _whole(source: LogSource, job_id: JobId) -> bytes:
    """The log, in blocks; its size is capped where it is written."""
    blocks: list[bytes] = []
    offset = 0
    while block := (await source.log(job_id, offset=offset, limit=_BLOCK)).data:
        blocks.append(block)
        offset += len(block)
    return b"".join(blocks)


def _starts(rows: list[bytes]) -> list[int]:
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row) + 1)
    return starts


def _match(rows: list[bytes], starts: list[int], number: int, around: int) -> LogMatch:
    return LogMatch(
        line=number + 1,
        offset=starts[number],
        text=render(rows[number]),
        before=tuple(map(render, rows[max(0, number - around) : number])),
        after=tuple(map(render, rows[number + 1 : number + 1 + around])),
    )
