"""Answers that hold as long as the files they were read from stay as they are."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
_Stamp = tuple[int, ...] | None
_TICK_S = 0.1
"""A file changed twice within the clock's tick can look the same: so young a file proves nothing
(git calls such entries of its index racily clean)."""
_MAX = 64


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T
    files: tuple[str, ...]
    stamps: tuple[_Stamp, ...]


class Kept(Generic[T]):
    """Answers by question, in memory, the newest 64. Threads may share one."""

    def __init__(self) -> None:
        self._answers: dict[str, _Answer[T]] = {}

    def get(self, question: str) -> T | None:
        """The answer, when none of its files changed since."""
        known = self._answers.get(question)
        if known is None or _stamps(known.files) != known.stamps:
            return None
        return known.value

    def put(self, question: str, value: T, files: Sequence[str], *, asked_at: float) -> T:
        """Keep an answer, unless a file changed about when it was asked for.

        Args:
            question: what was asked.
            value: what was answered.
            files: all that decide the answer; one may not be there, a folder counts by identity.
            asked_at: seconds since the epoch, before the asking.

        Returns:
            The answer.
        """
        stamps = _stamps(files)
        if all(stamp is None or _settled(stamp, asked_at) for stamp in stamps):
            self._answers.pop(question, None)
            self._answers[question] = _Answer(value, tuple(files), stamps)
            for old in list(self._answers)[:-_MAX]:
                self._answers.pop(old, None)
        return value


def now() -> float:
    """The clock that file times are of."""
    return time.time()


def _settled(stamp: tuple[int, ...], asked_at: float) -> bool:
    changed_at = stamp[-1] / 1e9
    return changed_at < asked_at - _TICK_S


def _stamps(files: Sequence[str]) -> tuple[_Stamp, ...]:
    return tuple(_stamp(path) for path in files)


def _stamp(path: str) -> _Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode):
        return found.st_dev, found.st_ino, 0
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
