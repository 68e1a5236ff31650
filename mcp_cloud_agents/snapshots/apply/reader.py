"""Objects of a git dir, asked for one by one of one process that lives as long as the work does."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.snapshots.git import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import IO

    from mcp_cloud_agents.snapshots.git import Git


class Reader:
    """Asks a `git cat-file --batch-command`. It also finds objects that were made after its start.

    Args:
        asks: its standard input.
        answers: its standard output.
    """

    def __init__(self, asks: IO[bytes], answers: IO[bytes]) -> None:
        self._asks = asks
        self._answers = answers

    def has(self, name: str) -> bool:
        """Whether there is such an object: an id, or `tree:path`."""
        return self._ask("info", name) is not None

    def size(self, oid: str) -> int:
        """Bytes of a blob. Raises BackendFailed: it is missing."""
        return self._blob("info", oid)

    def content(self, oid: str) -> bytes:
        """A blob. Raises BackendFailed: it is missing."""
        size = self._blob("contents", oid)
        data = self._answers.read(size + 1)
        return data[:size]

    def _blob(self, verb: str, oid: str) -> int:
        answer = self._ask(verb, oid)
        if answer is None or answer[0] != b"blob":
            raise _missing(oid)
        return int(answer[1])

    def _ask(self, verb: str, name: str) -> tuple[bytes, bytes] | None:
        """Kind and size; None when there is none."""
        self._asks.write(f"{verb} {name}\n".encode())
        self._asks.flush()
        line = self._answers.readline()
        if not line:
            raise _missing(name)
        words = line.split()
        is_one = len(words) == 3 and words[2].isdigit()
        return (words[1], words[2]) if is_one else None


@contextmanager
def reading(git: Git) -> Generator[Reader]:
    """A reader of a git dir; what it waits for is bounded."""
    with git.start("cat-file", "--batch-command") as running:
        process = running.process
        bound = Timer(TIMEOUT_S, process.kill)
        bound.daemon = True
        bound.start()
        try:
            assert process.stdin is not None  # noqa: S101  it was started with pipes
            assert process.stdout is not None  # noqa: S101  it was started with pipes
            yield Reader(process.stdin, process.stdout)
        finally:
            bound.cancel()


def _missing(name: str) -> BackendFailed:
    return BackendFailed(
        f"The object {name[:100]} is missing.",
        hint="Submit the job again: `git gc` or a clean-up removed what its patch needs.",
    )
