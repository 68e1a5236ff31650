"""What an apply added and no snapshot holds: ignored by git, too large or too secret to be sent.

The merge of an undo does not see it, so it is found on the disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.apply.merge import EDITED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.snapshots.apply.files import Files
    from mcp_cloud_agents.snapshots.apply.journal import Record
    from mcp_cloud_agents.snapshots.apply.refusals import Problems
    from mcp_cloud_agents.snapshots.apply.steps import Step


def out_of_sight(
    files: Files, record: Record, missing: Iterable[Step]
) -> tuple[tuple[Step, ...], Problems]:
    """What an undo removes besides what the merge says.

    Args:
        files: of the worktree.
        record: of the apply.
        missing: from the tree of now to the one after the apply.

    Returns:
        Steps, and what was edited since.
    """
    absent = {step.path for step in missing if step.old is None}
    steps: list[Step] = []
    problems: list[tuple[str, str]] = []
    for step in record.steps:
        if step.old is not None or step.path not in absent:
            continue
        look = files.look(step.path)
        if files.is_as(look, step.new):
            lines = step.insertions
            steps.append(replace(step, old=step.new, new=None, insertions=0, deletions=lines))
        elif look.entry is not None:
            problems.append((step.path, EDITED))
    return tuple(steps), tuple(problems)
