"""An apply that was cut off is rolled back by whoever holds the worktree next: apply or snapshot.

So no job is ever made from a tree that holds half of a patch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.apply.files import Files
from mcp_cloud_agents.snapshots.apply.journal import ACTIVE, JOURNAL, Journal
from mcp_cloud_agents.snapshots.apply.reader import Reader, reading
from mcp_cloud_agents.snapshots.apply.writer import Writer

if TYPE_CHECKING:
    from mcp_cloud_agents.snapshots.tree_snapshots import Opened

_TOLD = 20


def was_cut_off(cache: str) -> bool:
    """Whether an apply has begun and not ended.

    Args:
        cache: the private git dir of the worktree, which is held.
    """
    return os.path.lexists(os.path.join(f"{cache}{JOURNAL}", ACTIVE))


def recover(opened: Opened) -> tuple[str, ...]:
    """Roll back what was cut off; what to say of it.

    Raises:
        UnreadableTree, NoSpace: it cannot be rolled back now; the next call tries again.
    """
    record = journal_of(opened).active()
    if record is None:
        return ()
    with reading(opened.private.git) as reader:
        left = writer_of(opened, reader).roll_back(record)
    opened.private.drop((record.id,))
    told = f"An apply of job {record.job_id} was cut off; it was rolled back first."
    return (told, *(f"Not rolled back: {path} ({why})." for path, why in left[:_TOLD]))


def journal_of(opened: Opened) -> Journal:
    """The journal of a worktree."""
    return Journal(f"{opened.private.folder}{JOURNAL}")


def writer_of(opened: Opened, reader: Reader) -> Writer:
    """A writer in a worktree.

    Args:
        opened: its private git dir, which is held.
        reader: has the content of what is to be written.
    """
    return Writer(files_of(opened), reader, journal_of(opened))


def files_of(opened: Opened) -> Files:
    """The files of a worktree."""
    form = opened.private.object_format
    return Files(opened.private.git.cwd, form, file_mode=opened.theirs.file_mode)
