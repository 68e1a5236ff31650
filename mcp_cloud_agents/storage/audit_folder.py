"""The folder of the audit, read: files, entries, and what is remembered of the chain's end.

audit/
  00000001.jsonl      entries, a line each; named by the number of the first one
  head                number and hash of the newest entry, written after it
  machine             random name of this chain, for its copy
  torn-<number>-<ns>  a line that a writer did not finish; it was never acknowledged
  copied              how far the copy went, a hint (audit_copy.py)
  lock                held while something is written
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import AuditUnusable, BackendFailed
from mcp_cloud_agents.governance.audit import (
    Broken,
    Fault,
    Head,
    Known,
    Line,
    Verified,
    link_of,
    verify,
)
from mcp_cloud_agents.storage.files import read_whole
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from mcp_cloud_agents.ports.audit import Link

LOCK_WAIT_S = 10.0
_NAME = re.compile(r"([0-9]{8,18})\.jsonl")
_HEAD = re.compile(rb"([0-9]{20}) ([0-9a-f]{64})\n")
_LONGEST_LINE = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFile:
    """A file with entries."""

    first: int
    """Number of its first entry."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The folder at one moment, between two entries."""

    lines: Iterator[Line]
    """Also one that was left unfinished."""
    head: Head | None
    """What is remembered; None: nothing."""
    lost: str = ""
    """Why nothing is remembered, although something was."""


class AuditFolder:
    """Reads; any thread and process may, at any time.

    Args:
        path: of the folder, which need not exist.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.head_path = os.path.join(path, "head")
        self.machine_path = os.path.join(path, "machine")
        self.copied_path = os.path.join(path, "copied")

    @contextmanager
    def held(self) -> Generator[None]:
        """While nobody else writes. Raises AuditUnusable, also for what happens inside."""
        with audit_errors(self.path), locked(os.path.join(self.path, "lock"), wait_s=LOCK_WAIT_S):
            yield

    def files(self) -> list[ChainFile]:
        """Those with entries, oldest first. Raises AuditUnusable."""
        with audit_errors(self.path):
            try:
                names = os.listdir(self.path)
            except FileNotFoundError:
                return []
        found = [
            ChainFile(first=int(match[1]), path=os.path.join(self.path, name))
            for name in names
            if (match := _NAME.fullmatch(name))
        ]
        return sorted(found, key=lambda one: one.first)

    def file_of(self, first: int) -> str:
        """Path of the file that begins with this entry."""
        return os.path.join(self.path, f"{first:08}.jsonl")

    def head(self) -> Head | None:
        """What is remembered of the newest entry; None: nothing was ever written here.

        Raises:
            AuditUnusable: it is not there although entries are, or were, or it was damaged.
        """
        with audit_errors(self.path):
            data = read_whole(self.head_path, limit=200)
            if data is None and not self.files() and not self.machine():
                return None
        found = _HEAD.fullmatch(data or b"")
        if found is None:
            raise damaged(self.path, f"{self.head_path} is not there, or was damaged")
        return Head(number=int(found[1]), hash=found[2].decode())

    def machine(self) -> str:
        """Random name of this chain; empty before the first entry."""
        with audit_errors(self.path):
            return (read_whole(self.machine_path, limit=100) or b"").decode()

    def torn(self) -> int:
        """Files with unfinished lines that were put aside."""
        if not os.path.isdir(self.path):
            return 0
        return sum(name.startswith("torn-") for name in os.listdir(self.path))

    def standing(self) -> Standing:
        """What is there, at one moment. Raises AuditUnusable."""
        if not os.path.isdir(self.path):
            return Standing(lines=iter(()), head=None)
        with self.held():
            head, lost = None, ""
            try:
                head = self.head()
            except AuditUnusable as exc:
                lost = exc.message
            ends = [(one, os.stat(one.path).st_size) for one in self.files()]
        lines = (line for one, size in ends for line in read_lines(one.path, end=size))
        return Standing(lines=lines, head=head, lost=lost)

    def verify(self, more: Sequence[Known] = ()) -> Verified | Broken:
        """Go through the whole chain.

        Args:
            more: what is known of it elsewhere, besides `head`.

        Raises:
            AuditUnusable: it cannot be read.
        """
        found = self.standing()
        known = () if found.head is None else (Known(where="audit/head", head=found.head),)
        result = verify(found.lines, known=(*known, *more))
        if found.lost and isinstance(result, Verified):
            number = result.head.number + 1
            said = "it was removed or changed, so nobody can tell whether entries are missing here"
            fault = Fault.UNREADABLE
            return Broken(file=self.head_path, line=1, number=number, fault=fault, said=said)
        return result

    def lines(self, *, after: int = 0) -> Iterator[Line]:
        """Whole lines of the entries behind this number, oldest first. Raises AuditUnusable."""
        files = self.files()
        begin = max((at for at, one in enumerate(files) if one.first <= after + 1), default=0)
        skip = after + 1 - files[begin].first if files else 0
        for one in files[begin:]:
            for line in read_lines(one.path):
                if line.line > skip and line.data.endswith(b"\n"):
                    yield line
            skip = 0

    def links(self, *, after: int = 0) -> Iterator[Link]:
        """See the port; `after`: only those behind this number."""
        return map(_link, self.lines(after=after))

    def newest(self) -> Iterator[Link]:
        """All entries, newest first. Raises AuditUnusable."""
        for one in reversed(self.files()):
            whole = [line for line in read_lines(one.path) if line.data.endswith(b"\n")]
            yield from map(_link, reversed(whole))

    def last(self, count: int) -> tuple[Link, ...]:
        """The newest entries, oldest first. Raises AuditUnusable."""
        return tuple(reversed([*islice(self.newest(), count)]))


def read_lines(path: str, *, end: int | None = None) -> Iterator[Line]:
    """Lines of a file, the last one perhaps without its end.

    Args:
        path: of the file; a link is not followed.
        end: bytes to read; None: all.

    Raises:
        AuditUnusable: it cannot be read.
    """
    with audit_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            left = os.fstat(fd).st_size if end is None else end
            number = 0
            while left > 0 and (data := file.readline(min(left, _LONGEST_LINE))):
                number += 1
                left -= len(data)
                yield Line(file=path, line=number, data=data)


def damaged(path: str, what: str) -> AuditUnusable:
    """The chain is not as it was left, so nothing is put behind it."""
    return AuditUnusable(
        f"The audit in {path} was damaged: {what}.",
        hint="`mcp-cloud-agents audit verify` says where. Keep the folder under another name for a "
        "look: then a new chain begins.",
    )


def _link(line: Line) -> Link:
    try:
        return link_of(line.data)
    except msgspec.MsgspecError as exc:
        raise AuditUnusable(
            f"{line.file}, line {line.line} cannot be read: {exc}.",
            hint="`mcp-cloud-agents audit verify` says whether it was changed; if not, a newer "
            "version wrote it: upgrade.",
        ) from exc


@contextmanager
def audit_errors(path: str) -> Generator[None]:
    """Translate the operating system's errors over the audit, once, here."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise AuditUnusable(
                f"No space left on the disk that holds {path}, so nothing can be written down.",
                hint="Free some space there, or set state_dir to a folder on another disk.",
            ) from exc
        raise AuditUnusable(
            f"The audit {path} cannot be used: {exc.strerror}.",
            hint="Give yourself read and write permission there; it has to be a folder and files "
            "of your own.",
        ) from exc
    except BackendFailed as exc:
        raise AuditUnusable(
            f"Another process held the audit {path} for too long.",
            hint="Try again; if it stays, look for a process that hangs.",
        ) from exc
