"""Whether a repository knows of a worktree that says it is one of its own.

A file `.git` may name any git dir (gitrepository-layout(5)), and whoever makes a folder writes it.
So a foreign folder can pose as a worktree of a repository that a person trusts, unless the
repository is asked as well.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mcp_cloud_agents.storage.files import read_whole

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Origin

_MAX_BYTES = 8_192


def is_genuine(origin: Origin) -> bool:
    """Whether the worktree holds its git dir, or is linked from it in both directions.

    A git dir that lies elsewhere without a word about its worktree (`--separate-git-dir`, a
    submodule) is not enough: then nobody can say.
    """
    try:
        if origin.git_dir != origin.common_dir:
            return _linked_back(origin)
        own = os.path.join(origin.workspace, ".git")
        return stat.S_ISDIR(os.lstat(own).st_mode) and os.path.realpath(own) == origin.git_dir
    except OSError:
        return False


def _linked_back(origin: Origin) -> bool:
    """`worktrees/NAME/gitdir` of the repository names the worktree's own `.git`."""
    if os.path.dirname(origin.git_dir) != os.path.join(origin.common_dir, "worktrees"):
        return False
    said = os.fsdecode(read_whole(os.path.join(origin.git_dir, "gitdir"), limit=_MAX_BYTES) or b"")
    named = os.path.join(origin.git_dir, said.rstrip("\n"))  # newer git may write it relative
    return os.path.realpath(named) == os.path.join(origin.workspace, ".git")
