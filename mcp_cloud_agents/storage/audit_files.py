"""The port `Audit` in a folder of files; its layout is in `audit_folder.py`.

Each entry is one write and one fsync under a lock between processes. `head` is written after
that, so it never knows more than is on the disk: where it does, entries were taken away, and
nothing is put behind such a chain.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.governance.audit import START, Head, head_of, line_of, seal
from mcp_cloud_agents.governance.safe_entry import safe_entry
from mcp_cloud_agents.storage.audit_folder import AuditFolder, audit_errors, damaged
from mcp_cloud_agents.storage.files import sync_folder, write_all, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from mcp_cloud_agents.ports.audit import Entry, Link

_ROTATE_BYTES = 16 << 20
_TAIL_BYTES = 16 << 10
_OURS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Where the next entry goes."""

    head: Head
    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """The end of a file."""

    line: bytes
    """The last whole line; empty when there is none."""
    whole: int
    """Bytes up to its end."""
    torn: bytes
    """What is behind it."""


class AuditFiles:
    """See the module and the port.

    Args:
        path: of the folder; it is made with the first entry.
        redact: takes secrets out of a text; every text of an entry goes through it.
        rotate_bytes: a file that has as many gets no more entries.
    """

    def __init__(
        self, path: str, redact: Callable[[str], str], *, rotate_bytes: int = _ROTATE_BYTES
    ) -> None:
        self.folder = AuditFolder(path)
        self._redact = redact
        self._rotate_bytes = rotate_bytes

    def append(self, entry: Entry) -> Link:
        """See the port."""
        safe = safe_entry(entry, self._redact)
        with audit_errors(self.folder.path):
            _make(self.folder.path)
            with self.folder.held():
                end = self._end()
                link = seal(safe, after=end.head)
                _write(end, line_of(link))
                _remember(self.folder.head_path, Head(number=link.number, hash=link.hash))
        return link

    def links(self) -> Iterator[Link]:
        """See the port."""
        return self.folder.links()

    def _end(self) -> _End:
        """Found by the last line alone; an unfinished one is put aside first."""
        files = self.folder.files()
        known = self._known()
        head, path, size = START, self.folder.file_of(1), 0
        for newest, one in enumerate(reversed(files)):
            tail = _tail(one.path)
            if not newest:
                path, size = one.path, tail.whole
                if tail.torn:
                    self._put_aside(path, tail)
            if tail.line or one.first == 1:
                head = _head(one.path, tail.line)
                break
        if head.number < known.number or (head.number == known.number and head != known):
            raise damaged(
                self.folder.path,
                f"its last entry is number {head.number}, and number {known.number} was written",
            )
        if size >= self._rotate_bytes:
            path, size = self.folder.file_of(head.number + 1), 0
        return _End(head=head, path=path, size=size)

    def _known(self) -> Head:
        """What `head` remembers; a new folder gets its name and an empty one."""
        known = self.folder.head()
        if known is None:
            known = START
            write_durably(self.folder.head_path, _head_text(known))
        if known == START and not self.folder.machine():  # last: from then on there has been a head
            write_durably(self.folder.machine_path, secrets.token_hex(8).encode())
        return known

    def _put_aside(self, path: str, tail: _Tail) -> None:
        """Keep what a writer left unfinished, in a file of its own; the chain goes on before it."""
        name = f"torn-{os.path.basename(path).partition('.')[0]}-{time.time_ns()}"
        write_durably(os.path.join(self.folder.path, name), tail.torn)
        with _opened(path, os.O_WRONLY) as fd:
            os.ftruncate(fd, tail.whole)
            os.fsync(fd)


def _make(path: str) -> None:
    if not os.path.isdir(path):
        os.makedirs(path, mode=0o700, exist_ok=True)
        sync_folder(os.path.dirname(path))


def _tail(path: str) -> _Tail:
    """Read from the end, a little more each time, until a whole line is there."""
    with _opened(path, os.O_RDONLY) as fd:
        size = os.fstat(fd).st_size
        length = _TAIL_BYTES
        while True:
            begin = max(0, size - length)
            data = os.pread(fd, size - begin, begin)
            end = data.rfind(b"\n") + 1
            before = data.rfind(b"\n", 0, max(0, end - 1)) + 1
            if before or not begin:
                return _Tail(line=data[before:end], whole=begin + end, torn=data[end:])
            length *= 4


def _head(path: str, line: bytes) -> Head:
    """The head after the last line of a file; before the very first one there is none."""
    head = head_of(line) if line else START
    if head is None:
        raise damaged(os.path.dirname(path), f"the last line of {path} was changed")
    return head


def _write(end: _End, data: bytes) -> None:
    """The line as a whole, durably; what was written of it before a failure is taken back."""
    with _opened(end.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as fd:
        try:
            write_all(fd, data)
            os.fsync(fd)
        except OSError:
            with suppress(OSError):  # then the next entry puts it aside
                os.ftruncate(fd, end.size)
            raise
    if not end.size:
        sync_folder(os.path.dirname(end.path))


def _remember(path: str, head: Head) -> None:
    """In place and in one write: it is shorter than a sector, and may be lost by a power cut."""
    with _opened(path, os.O_WRONLY) as fd:
        os.pwrite(fd, _head_text(head), 0)


def _head_text(head: Head) -> bytes:
    return f"{head.number:020} {head.hash}\n".encode()


@contextmanager
def _opened(path: str, flags: int) -> Generator[int]:
    fd = os.open(path, flags | _OURS, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
