"""First phase of a job: the snapshot's files into the workspace, byte for byte."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.worker.boxed_git import BoxedGit

_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def restore(git: BoxedGit, snapshot: Snapshot) -> None:
    """Write the snapshot's tree into the empty workspace and check its id.

    Raises:
        NoSpace: the disk is full.
        IsolationUnavailable: the sandbox did not start.
        BackendFailed: the store lacks the snapshot, or another tree came out.
    """
    if not _OBJECT.fullmatch(snapshot.commit):
        raise BackendFailed("The snapshot's id is no object id.", hint="Submit the job again.")
    git.prepare(snapshot.object_format)
    git.run(
        f"git read-tree --reset -u {snapshot.commit}\ngit write-tree >/git/tree\n", writable=True
    )
    found = git.take("tree", limit=128).decode("ascii", "replace").strip()
    if found != snapshot.tree:
        raise BackendFailed(
            f"The restored tree is {found}, not {snapshot.tree}.", hint="Submit the job again."
        )
