"""A repository of many files with a little history, the same on every machine."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from tests.e2e.wire import Repository, a_repository

_COMMITS = 20
_EDITS = 15
"""Files that each commit after the first changes."""
_WORDS = tuple(
    f"{first}{second}"
    for first in ("read", "make", "take", "find", "give", "hold", "mark", "send", "open", "lock")
    for second in ("_path", "_name", "_tree", "_blob", "_line", "_word", "_size", "_time", "_job")
)


def large_repository(folder: Path, files: int) -> Repository:
    """Program-like text, about 9 KB a file, 20 files a folder, in 20 commits."""
    folder.mkdir(mode=0o711)
    repository = a_repository(folder)
    random_of = random.Random(20_261_121)  # noqa: S311  reproducible text, not secrets
    for number in range(files):
        repository.write(name_of(number), _text(random_of, random_of.randint(60, 320)))
    _commit(repository, "many files")
    for number in range(1, _COMMITS):
        for _ in range(_EDITS):
            edit(repository, random_of.randrange(files), f"# edit {random_of.random()}")
        _commit(repository, f"edit {number}")
    _age(repository, files)
    return repository


def _age(repository: Repository, files: int) -> None:
    """An hour old, as most files of a tree are: git reads those of this second again and again."""
    then = time.time() - 3_600
    for number in range(files):
        os.utime(repository.path / name_of(number), (then, then))
    repository.git("status", "--porcelain")


def name_of(number: int) -> str:
    """Path of the file with this number."""
    part = number // 20
    return f"package_{part // 10:03}/part_{part:04}/module_{number:05}.py"


def edit(repository: Repository, number: int, line: str) -> None:
    """Replace one line in the middle of a file; its length stays, so only its text tells."""
    path = repository.path / name_of(number)
    lines = path.read_text().splitlines(keepends=True)
    lines[len(lines) // 2] = f"{line}\n"
    path.write_text("".join(lines))


def _text(random_of: random.Random, lines: int) -> str:
    return "".join(
        f"    {random_of.choice(_WORDS)}_{random_of.randint(0, 9_999)} = "
        f"{random_of.choice(_WORDS)}({random_of.choice(_WORDS)}, {random_of.randint(0, 999_999)})\n"
        for _ in range(lines)
    )


def _commit(repository: Repository, message: str) -> None:
    repository.git("add", "-A")
    repository.git("commit", "-qm", message)
