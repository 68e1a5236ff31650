"""The live log of a job: frames from CloudWatch behind what is durable in S3, by the same offsets.

    S3 chunks   [0 ──────────── durable end)
    CloudWatch                 [──── live ────)   only what follows without a gap is shown

Frames may be lost or late: what is missing appears when the worker's next chunk is in S3. Only jobs
that somebody watches or reads are followed, each by the token of its attempts' streams.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from mcp_cloud_agents.backends.aws_batch.answers import records
from mcp_cloud_agents.backends.aws_batch.clients import Clients
from mcp_cloud_agents.domain.errors import BackendFailed, CloudMisconfigured
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.storage.log_frames import decode

if TYPE_CHECKING:
    from collections.abc import Sequence


_ACTIVE_S, _IDLE_S = 0.6, 5.0
_GROWTH = 1.3
"""From active to idle in about 8 looks without news: 20 s."""
_MOST_PAGES = 200
_LONG_PAGE = 1_000
"""Events of a page behind which a tail reads on at once; else it does with its next look."""
_STRAYS = 20
_LATE_S = 2.0
"""awslogs flushes late: an ended stream is read once more after this."""


@dataclass(slots=True)
class Pieces:
    """Bytes by offset that came in any order, twice or with gaps."""

    starts: list[int] = field(default_factory=list[int])
    data: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def add(self, offset: int, data: bytes) -> None:
        """One frame; of two at one offset the longer counts."""
        if offset not in self.data:
            insort(self.starts, offset)
        if len(data) > len(self.data.get(offset, b"")):
            self.data[offset] = data

    def drop_before(self, offset: int) -> None:
        """What ends there or earlier is durable elsewhere."""
        kept = [start for start in self.starts if start + len(self.data[start]) > offset]
        self.data = {start: self.data[start] for start in kept}
        self.starts = kept

    def after(self, offset: int) -> bytes:
        """What follows on `offset` without a gap."""
        found, end = bytearray(), offset
        for start in self.starts:
            if start > end:
                break
            data = self.data[start]
            if start + len(data) > end:
                found += data[end - start :]
                end = start + len(data)
        return bytes(found)


@dataclass(slots=True)
class LiveLog:
    """One job's log in CloudWatch, as far as it was read."""

    clients: Clients
    group: str
    pieces: Pieces = field(default_factory=Pieces)
    strays: deque[str] = field(default_factory=lambda: deque[str](maxlen=_STRAYS))
    """Last lines that are no frames: what the worker or its interpreter said itself."""
    stream: str = ""
    token: str | None = None
    period_s: float = _ACTIVE_S
    looked_at: float = float("-inf")
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    drained: frozenset[str] = frozenset()

    def due_in(self, *, least_s: float = 0.0) -> float:
        """Seconds until it should be read again, as seldom as `least_s` at least."""
        return self.looked_at + max(least_s, self.period_s) - anyio.current_time()

    async def catch_up(self, streams: Sequence[str], *, least_s: float = 0.0) -> bool:
        """Read on in the newest stream; whether there was news. Trouble means no news."""
        if not streams or self.due_in(least_s=least_s) > 0:
            return False
        async with self.lock:
            if self.due_in(least_s=least_s) > 0:
                return True
            self._turn_to(streams[-1])
            try:
                news = await self._read()
            except BackendFailed:  # the log in S3 is the record
                news, self.period_s = False, _IDLE_S
            self.looked_at = anyio.current_time()
            self.period_s = _ACTIVE_S if news else min(_IDLE_S, self.period_s * _GROWTH)
            return news

    async def drain(self, streams: Sequence[str]) -> None:
        """Read an ended job's streams to their end, and the last one once more a little later."""
        async with self.lock:
            for stream in streams:
                if stream in self.drained:
                    continue
                self._turn_to(stream)
                try:
                    await self._read(to_its_end=True)
                    if stream == streams[-1]:
                        await anyio.sleep(_LATE_S)
                        await self._read(to_its_end=True)
                except BackendFailed:
                    continue
                self.drained |= {stream}

    def behind(self, durable: Bytes, *, offset: int, limit: int) -> Bytes:
        """A piece from S3, with what is live behind it."""
        self.pieces.drop_before(durable.size)
        live = self.pieces.after(durable.size)
        if not live:
            return durable
        size = durable.size + len(live)
        if durable.next_offset < durable.size:
            return Bytes(data=durable.data, offset=durable.offset, size=size)
        skip = min(max(0, offset - durable.size), len(live))
        rest = live[skip:][: max(0, limit - len(durable.data))]
        return Bytes(data=durable.data + rest, offset=durable.offset + skip, size=size)

    @property
    def end(self) -> int:
        """Where the last piece ends, gaps or not."""
        if not self.pieces.starts:
            return 0
        last = self.pieces.starts[-1]
        return last + len(self.pieces.data[last])

    def _turn_to(self, stream: str) -> None:
        """Another attempt goes on where S3 ends: what only the old stream said is not the log."""
        if stream != self.stream:
            self.stream, self.token = stream, None
            self.pieces = Pieces()
            self.period_s = _ACTIVE_S

    async def _read(self, *, to_its_end: bool = False) -> bool:
        """Page by page; the end is where the token stays, not an empty or short page."""
        news = False
        for _ in range(_MOST_PAGES):
            more = {"nextToken": self.token} if self.token else {"startFromHead": True}
            try:
                answer = await self.clients.read(
                    "logs",
                    "get_log_events",
                    "reading the live log",
                    self.stream,
                    logGroupName=self.group,
                    logStreamName=self.stream,
                    **more,
                )
            except CloudMisconfigured:  # no stream before the first line
                return news
            events = records(answer, "events")
            for event in events:
                self._take(str(event.get("message", "")))
            news = news or bool(events)
            token, self.token = self.token, answer.get("nextForwardToken") or self.token
            if token == self.token or not (to_its_end or len(events) >= _LONG_PAGE):
                return news
        return news

    def _take(self, line: str) -> None:
        frame = decode(line)
        if frame is None:
            self.strays.append(line)
        else:
            self.pieces.add(*frame)
