"""What a candidate changed: a patch without protected paths, and what its lines look like."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.diff_lint import lint
from mcp_cloud_agents.domain.fix import Evidence, Label
from mcp_cloud_agents.domain.patch import Patch
from mcp_cloud_agents.domain.protected import protected
from mcp_cloud_agents.storage.files import read_whole
from mcp_cloud_agents.worker.collect import NO_PATCH, collect_patch
from mcp_cloud_agents.worker.fix.checkout import Change
from mcp_cloud_agents.worker.fix.verify import Suspect
from mcp_cloud_agents.worker.run import Grace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.worker.fix.lab import Lab

PATCH = "patch.diff"
_WITHIN_S = 300.0
_PROTECTED = "protected: "
_LARGEST_DIFF = 64 << 20
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A candidate's change; its bytes are in its folder as `patch.diff`."""

    patch: Patch | None = None
    protected: tuple[str, ...] = ()
    """Protected paths that it changed; the patch leaves them as they were."""
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no patch of what was changed; empty where nothing was."""


def collect(lab: Lab, folder: str) -> Collected:
    """Collect the change in a candidate's folder; whoever worked there has ended.

    It may take a moment more than the job has: what there is, is kept.
    """
    order = lab.spec.fix
    allow = order.allow_protected if order is not None else ()

    def refuse(path: str) -> str | None:
        why = protected(path, allow)
        return f"{_PROTECTED}{why}" if why else None

    git = replace(
        lab.git(folder),
        deadline=time.monotonic() + _WITHIN_S,
        cancelled=Grace(lab.desk.cancelled),
    )
    with contextlib.suppress(FileNotFoundError):  # of a git that was killed; none works here now
        os.unlink(os.path.join(git.git_dir, "index.lock"))
    found = collect_patch(git, lab.spec.snapshot, folder, refuse, lab.exposure.redactor)
    return Collected(
        patch=found.patch,
        protected=tuple(path for path, why in found.refused if why.startswith(_PROTECTED)),
        notes=tuple(note for note in found.notes if _PROTECTED not in note),
        problem=next((n.removeprefix(NO_PATCH) for n in found.notes if n.startswith(NO_PATCH)), ""),
    )


def nothing_left(collected: Collected) -> Evidence | None:
    """What to say of a change that leaves nothing to judge; None when nothing was changed."""
    if collected.patch is not None:
        why = f"The change is larger than {_LARGEST_DIFF >> 20} MiB: it was not judged."
    elif collected.problem:
        why = f"There is no patch of the change: {collected.problem}"
    elif collected.protected:
        names = ", ".join(collected.protected[:_NAMED])
        why = f"Nothing but protected files was changed, and they were put back: {names}."
    else:
        return None
    return Evidence(
        label=Label.UNVERIFIED, rejected=True, why=(why,), protected=collected.protected
    )


def suspect(folder: str, collected: Collected, tests: Mapping[str, str]) -> Suspect | None:
    """What has to be judged; None when nothing was changed, or more than can be looked at.

    Args:
        folder: the candidate's.
        collected: its change.
        tests: sources of the failing tests by their paths.
    """
    diff = read_whole(os.path.join(folder, PATCH), limit=_LARGEST_DIFF + 1)
    if collected.patch is None or diff is None or len(diff) > _LARGEST_DIFF:
        return None
    return Suspect(
        change=Change(diff=diff, tree=collected.patch.tree),
        protected=collected.protected,
        findings=lint(diff.decode("utf-8", "replace"), tests),
    )
