"""Why a patch is not applied, said the same way in every mode."""

from __future__ import annotations

import errno
import os
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.applied import ApplyMode
from mcp_cloud_agents.domain.errors import NoSpace, PatchConflict, ProtectedPaths, UnreadableTree

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from mcp_cloud_agents.domain.applied import Way
    from mcp_cloud_agents.domain.job import JobId

MOST = 200
"""Paths of a list."""
_SHOWN = 5
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
Problems = tuple[tuple[str, str], ...]


IN_WORKTREE = (
    'Commit or revert your edits there and call again, or use mode="branch"; or run the job again '
    "on the tree as it is now."
)
ON_BRANCH = 'Use mode="worktree", or commit those changes and run the job again.'
FOR_UNDO = (
    "Take your edits there back and call again; or take the change out by hand: the patch is the "
    "job's artifact patch.diff."
)


def refuse(problems: Problems, what: str, hint: str = IN_WORKTREE) -> None:
    """Raises PatchConflict when there are any.

    Args:
        problems: paths, each with why.
        what: of the patch, as in "The patch cannot be applied".
        hint: what to do.
    """
    if not problems:
        return
    shown = ", ".join(f"{path} ({why})" for path, why in problems[:_SHOWN])
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise PatchConflict(
        f"The patch {what}: {shown}{more}.",
        hint=f"Nothing was changed. {hint}",
        paths=problems[:MOST],
    )


def need_person(protected: Mapping[str, str], way: Way, job_id: JobId) -> None:
    """Raises ProtectedPaths when there are any and nobody agreed."""
    if not protected or way.allow_protected:
        return
    shown = ", ".join(list(protected)[:_SHOWN])
    where = ""
    if way.mode is ApplyMode.BRANCH:
        where = f" --branch {shlex.quote(way.branch)}" if way.branch else " --mode branch"
    raise ProtectedPaths(
        f"The patch changes files that tools obey, which needs a person: {shown}.",
        hint="Let a person look at the patch and run: "
        f"mcp-cloud-agents apply {job_id}{where} --allow-protected",
        paths=tuple(protected.items())[:MOST],
    )


@contextmanager
def tree_errors(top: str) -> Generator[None]:
    """What the operating system says of the user's files, translated once, here."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise NoSpace(
                f"No space left on the disk that holds {top}.",
                hint="Nothing was changed. Free some space, then call again.",
            ) from exc
        raise UnreadableTree(
            f"{_where(exc, top)} cannot be read or written: {exc.strerror}.",
            hint=f"Nothing was changed. Mend the permissions below {top}, then call again.",
        ) from exc


@contextmanager
def roll_back_errors(top: str, job_id: JobId) -> Generator[None]:
    """The same while an apply is rolled back: some files may hold what it wrote, until it is."""
    try:
        yield
    except OSError as exc:
        told = f"An apply of job {job_id} was cut off and cannot be rolled back"
        then = "then call again, any call: it is rolled back first. Until then some files hold "
        half = "what the patch left."
        if exc.errno in _FULL:
            raise NoSpace(
                f"{told}: no space left on the disk that holds {top}.",
                hint=f"Free some space, {then}{half}",
            ) from exc
        raise UnreadableTree(
            f"{told}: {_where(exc, top)}: {exc.strerror}.",
            hint=f"Mend the permissions below {top}, {then}{half}",
        ) from exc


def _where(exc: OSError, top: str) -> str:
    return os.fsdecode(exc.filename) if isinstance(exc.filename, str | bytes) else top
