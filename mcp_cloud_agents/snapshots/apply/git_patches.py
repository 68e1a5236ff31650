"""The port `Patches` over git: our own trees, never the text, decide what is written.

bytes ─ the job's tree, made again ─┐
worktree ─ snapshot of now ─────────┴─ merge ─ checked ─ written, or a commit
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.applied import Applied, ApplyMode, ChangedPath, Kinship
from mcp_cloud_agents.domain.errors import (
    BackendFailed,
    BaseMissing,
    BranchUnusable,
    NoSpace,
    NothingToUndo,
    PatchConflict,
    StoreDenied,
    StoreUnavailable,
)
from mcp_cloud_agents.domain.job import Origin
from mcp_cloud_agents.snapshots.apply.branch import Branches, taken
from mcp_cloud_agents.snapshots.apply.guarded import guarded
from mcp_cloud_agents.snapshots.apply.job_tree import check_change, job_tree
from mcp_cloud_agents.snapshots.apply.journal import JOURNAL
from mcp_cloud_agents.snapshots.apply.merge import merge
from mcp_cloud_agents.snapshots.apply.reader import Reader, reading
from mcp_cloud_agents.snapshots.apply.recovery import files_of, journal_of, recover, writer_of
from mcp_cloud_agents.snapshots.apply.refusals import (
    FOR_UNDO,
    MOST,
    ON_BRANCH,
    need_person,
    refuse,
    tree_errors,
)
from mcp_cloud_agents.snapshots.apply.steps import check_steps, steps_between
from mcp_cloud_agents.snapshots.apply.unseen import out_of_sight
from mcp_cloud_agents.snapshots.git import Git
from mcp_cloud_agents.snapshots.tree_snapshots import Opened

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from mcp_cloud_agents.domain.applied import Change, Way
    from mcp_cloud_agents.domain.job import JobId, Snapshot
    from mcp_cloud_agents.snapshots.apply.far_bases import FarBases
    from mcp_cloud_agents.snapshots.apply.journal import Journal
    from mcp_cloud_agents.snapshots.apply.steps import Step
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

_ALTERNATES = "GIT_ALTERNATE_OBJECT_DIRECTORIES"


@dataclass(frozen=True, slots=True)
class _Desk:
    """One worktree, held."""

    origin: Origin
    opened: Opened
    git: Git
    """On the private git dir; also reads the store of the job."""
    reader: Reader
    tree: str
    """Of the worktree now."""
    job_tree: str
    """What the job left; empty for an undo."""
    notes: tuple[str, ...]

    @property
    def journal(self) -> Journal:
        """Of the worktree."""
        return journal_of(self.opened)

    def steps(self, old: str, new: str) -> tuple[Step, ...]:
        """What differs between two trees, checked as data of a job."""
        steps = steps_between(self.git, old, new)
        check_steps(self.reader, steps)
        return steps


class GitPatches:
    """Applies patches to git worktrees; see `ports/patches.py` for the contract.

    Args:
        snapshots: of this machine: their private git dirs, locks and stores.
        far: where snapshots of other machines come from.
    """

    def __init__(self, snapshots: GitSnapshots, far: FarBases | None = None) -> None:
        self._snapshots = snapshots
        self._far = far

    def kinship(self, job: Origin, target: Origin) -> Kinship:
        """Whether `target` is the worktree a job was made from, one of its repository, or none."""
        if (job.workspace, job.git_dir) == (target.workspace, target.git_dir):
            return Kinship.SAME
        if job.common_dir == target.common_dir:
            return Kinship.SIBLING
        if job.base_commit is None:
            return Kinship.STRANGER
        with self._snapshots.held(target) as cache:
            git = self._snapshots.opened(target, cache).private.git
            known = git.start("cat-file", "-e", f"{job.base_commit}^{{commit}}").said_yes()
        return Kinship.SIBLING if known else Kinship.STRANGER

    def apply(self, change: Change, target: Origin, way: Way) -> Applied:
        """Check, or apply."""
        check_change(change)
        with self._desk(target, change) as desk:
            if way.mode is ApplyMode.BRANCH:
                return _to_branch(desk, change, way)
            return _to_worktree(desk, change, way)

    def undo(self, job_id: JobId, target: Origin) -> Applied:
        """Take the job's last apply to this worktree out again."""
        with self._desk(target, None) as desk:
            record = desk.journal.last_of(job_id)
            if record is None:
                raise NothingToUndo(
                    f"Job {job_id} was not applied to {target.workspace}, or was undone already.",
                    hint="Undo in the worktree that it was applied to; a branch is deleted by "
                    "`git branch -D`.",
                )
            if not (desk.reader.has(record.before) and desk.reader.has(record.after)):
                raise NothingToUndo(
                    "What is needed to undo was cleaned up.",
                    hint="Take the change out by hand: get_artifact has the patch, `git apply -R` "
                    "takes it out.",
                )
            merged = merge(desk.git, base=record.after, ours=desk.tree, theirs=record.before)
            what = "cannot be undone, what it changed was edited since"
            refuse(merged.conflicts, what, FOR_UNDO)
            missing = steps_between(desk.git, desk.tree, record.after)
            unseen, problems = out_of_sight(files_of(desk.opened), record, missing)
            refuse(problems, what, FOR_UNDO)
            steps = (*steps_between(desk.git, desk.tree, merged.tree), *unseen)
            _write(desk, job_id, steps, merged.tree, undoes=record.id)
            return _applied(desk, job_id, ApplyMode.WORKTREE, steps, done=True)

    @contextmanager
    def _desk(self, target: Origin, change: Change | None) -> Generator[_Desk]:
        """Hold the worktree, roll back an apply that was cut off, look at the tree."""
        with self._snapshots.held(target) as cache, tree_errors(target.workspace):
            opened = self._snapshots.opened(target, cache)
            notes = recover(opened)
            with ThreadPoolExecutor(1) as beside:  # most of both is waiting for git
                making = beside.submit(self._made, opened, target, change)
                tree = self._snapshots.take_held(target, cache).tree
                git, left = making.result()
            with reading(git) as reader:
                yield _Desk(target, opened, git, reader, tree, left, notes)

    def _made(self, opened: Opened, target: Origin, change: Change | None) -> tuple[Git, str]:
        """The job's tree, and git that finds what it is made of."""
        git = opened.private.git
        if change is None:
            return git, ""
        with suppress(BackendFailed):  # the store of another machine, or one that was cleaned up
            store = self._snapshots.stores.get(change.snapshot.repository)
            git = _also_reading(git, store.objects)
        try:
            return git, job_tree(git, change)
        except BaseMissing:
            git = self._with_far_base(git, opened, target, change.snapshot)
            return git, job_tree(git, change)

    def _with_far_base(self, git: Git, opened: Opened, target: Origin, base: Snapshot) -> Git:
        if self._far is None:
            return git
        into = os.path.join(f"{opened.private.folder}{JOURNAL}", "base.git")
        try:
            self._far.bring(base, target, opened.repository, into)
        except (StoreUnavailable, StoreDenied, NoSpace):
            raise
        except BackendFailed:  # the shared store does not have it either
            return git
        return _also_reading(git, os.path.join(into, "objects"))


def _also_reading(git: Git, objects: str) -> Git:
    folders = [one for one in (git.env.get(_ALTERNATES), objects) if one]
    return replace(git, env={**git.env, _ALTERNATES: ":".join(folders)})


def _to_worktree(desk: _Desk, change: Change, way: Way) -> Applied:
    base, left = change.snapshot.tree, desk.job_tree
    merged = merge(desk.git, base=base, ours=desk.tree, theirs=left)
    problems = merged.conflicts
    steps = desk.steps(base, left) if problems else desk.steps(desk.tree, merged.tree)
    if not problems:
        checked = writer_of(desk.opened, desk.reader).check(steps)
        problems, steps = checked.problems, checked.steps
    protected = guarded(desk.reader, left if merged.conflicts else merged.tree, steps)
    applied = _applied(desk, change.job_id, way.mode, steps, done=False)
    if way.mode is ApplyMode.CHECK:
        told = tuple(protected.items())[:MOST]
        return replace(applied, conflicts=problems[:MOST], protected=told)
    refuse(problems, "cannot be applied, the worktree has changed in the same places")
    need_person(protected, way, change.job_id)
    if steps:
        _write(desk, change.job_id, steps, merged.tree)
    return replace(applied, done=bool(steps), can_undo=bool(steps))


def _to_branch(desk: _Desk, change: Change, way: Way) -> Applied:
    parent = change.snapshot.origin.base_commit
    name = way.branch or f"cloud-agents/{change.job_id}"
    branches = Branches(
        desk.git, desk.opened.user, desk.reader, _other_owner(desk.origin.common_dir)
    )
    branches.check_name(name)
    if not parent or not desk.reader.has(parent):
        raise BranchUnusable(
            "The job was made on a tree without a commit, or its commit is not here any more.",
            hint='Use mode="worktree".',
            paths=(),
        )
    ours = desk.git.run("rev-parse", f"{parent}^{{tree}}").decode().strip()
    merged = merge(desk.git, base=change.snapshot.tree, ours=ours, theirs=desk.job_tree)
    what = (
        f"cannot be put on {parent[:12]}, it builds on changes that were not committed, or on line "
        "ends that git converts"
    )
    refuse(merged.conflicts, what, ON_BRANCH)
    steps = desk.steps(ours, merged.tree)
    protected = guarded(desk.reader, merged.tree, steps)
    need_person(protected, way, change.job_id)
    branches.check_conversions(steps)
    commit = branches.commit_of(name)
    again = commit is not None and branches.holds(commit, merged.tree, parent)
    if commit is not None and not again:
        raise taken(name)
    message = f"Apply the patch of job {change.job_id}\n\nPatch-Sha256: {change.patch.sha256}\n"
    if commit is None:
        commit = branches.add(name, tree=merged.tree, parent=parent, message=message)
    applied = _applied(desk, change.job_id, way.mode, steps, done=not again)
    return replace(applied, branch=name, commit=commit, protected=tuple(protected.items())[:MOST])


def _other_owner(common_dir: str) -> tuple[int, int] | None:
    """Whose repository it is, when this is root and it is not root's: he shall own what is new."""
    if os.geteuid() != 0:
        return None
    found = os.stat(os.path.join(common_dir, "objects"))
    return (found.st_uid, found.st_gid) if found.st_uid != 0 else None


def _write(
    desk: _Desk, job_id: JobId, steps: Sequence[Step], after: str, *, undoes: str = ""
) -> None:
    writer = writer_of(desk.opened, desk.reader)
    checked = writer.check(steps)
    refuse(checked.problems, "cannot be written")
    steps = checked.steps
    record = writer.record(steps, job_id, before=desk.tree, after=after, undoes=undoes)
    private = desk.opened.private
    private.keep(record.id, (desk.tree, after))
    try:
        writer.write(steps, checked.looks, record)
    except PatchConflict:  # rolled back
        private.drop((record.id,))
        raise
    private.drop((*desk.journal.forget_old(), *((undoes, record.id) if undoes else ())))


def _applied(
    desk: _Desk, job_id: JobId, mode: ApplyMode, steps: Sequence[Step], *, done: bool
) -> Applied:
    return Applied(
        job_id=job_id,
        mode=mode,
        workspace=desk.origin.workspace,
        done=done,
        paths=tuple(
            ChangedPath(
                path=step.path,
                how=step.how,
                insertions=step.insertions,
                deletions=step.deletions,
            )
            for step in steps
        ),
        notes=desk.notes,
    )
