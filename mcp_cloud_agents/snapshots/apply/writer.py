"""Writing a tree's changes into a worktree: check all, stage all, then give each its name.

check ─ journal ─ stage ─ look again ─ remove ─ rename ─ sync ─ done
          └──────────── anything goes wrong: rolled back ─┘

New files lie complete and durable beside their places before the first one gets its name; a rename
replaces a file in one step. So a path holds its old content or its new one at every moment, and
the journal and the content tell which, also after a crash.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed, PatchConflict
from mcp_cloud_agents.snapshots.apply.files import Look, Obstacle
from mcp_cloud_agents.snapshots.apply.journal import Record
from mcp_cloud_agents.snapshots.apply.refusals import roll_back_errors
from mcp_cloud_agents.snapshots.apply.steps import LINK, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcp_cloud_agents.domain.job import JobId
    from mcp_cloud_agents.snapshots.apply.files import Files
    from mcp_cloud_agents.snapshots.apply.journal import Journal
    from mcp_cloud_agents.snapshots.apply.reader import Reader

Problems = tuple[tuple[str, str], ...]
_RACES = (FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What only somebody else's writing can bring about between a check and a write."""
_MOVED = "changed while the patch was applied"


@dataclass(frozen=True, slots=True)
class Checked:
    """What the paths of all steps hold, and what keeps the steps from being taken."""

    looks: dict[str, Look]
    problems: Problems
    steps: tuple[Step, ...]
    """Without those that are taken already, by files that no snapshot holds."""


class Writer:
    """Takes steps in one worktree.

    Args:
        files: of the worktree.
        reader: of its private git dir, which is held; has the content of all steps.
        journal: of the worktree.
    """

    def __init__(self, files: Files, reader: Reader, journal: Journal) -> None:
        self._files = files
        self._reader = reader
        self._journal = journal

    def check(self, steps: Sequence[Step]) -> Checked:
        """Look at every path, and write nothing."""
        looks: dict[str, Look] = {}
        problems: list[tuple[str, str]] = []
        there: set[str] = set()
        going = {step.path for step in steps if step.new is None}
        for step in steps:
            try:
                looks[step.path] = self._files.look(step.path)
                if step.old is None and self._files.is_as(looks[step.path], step.new):
                    there.add(step.path)
                    continue
                why = self._problem(step, looks[step.path], going)
            except Obstacle as exc:
                why = str(exc)
            if why:
                problems.append((step.path, why))
        left = tuple(step for step in steps if step.path not in there)
        return Checked(looks, tuple(problems), left)

    def write(self, steps: Sequence[Step], looks: dict[str, Look], record: Record) -> None:
        """Take the steps, all or none of them.

        Args:
            steps: checked, and nothing was found.
            looks: what was found instead.
            record: of these steps.

        Raises:
            PatchConflict: somebody wrote to one of the paths meanwhile.
            OSError: the disk is full, or a folder may not be written.
        """
        self._journal.begin(record)
        try:
            self._stage(steps, record)
            self._take(steps, looks, record)
        except (*_RACES, Obstacle) as exc:
            left = self.roll_back(record)
            raise _moved(_path_of(exc), left) from exc
        except BaseException:
            self.roll_back(record)
            raise
        self._journal.finish(record)

    def roll_back(self, record: Record) -> Problems:
        """Bring back what was before; what somebody changed since stays, and is named.

        Raises:
            UnreadableTree, NoSpace: it cannot be done now. The journal stays, to try again.
        """
        with roll_back_errors(self._files.top, record.job_id):
            return self._rolled_back(record)

    def _rolled_back(self, record: Record) -> Problems:
        self._unstage(record)
        left: list[tuple[str, str]] = []
        # what is new first: it may stand where the old has a folder
        for number, step in sorted(enumerate(record.steps), key=lambda one: one[1].old is not None):
            try:
                if not self._restore(number, step, record):
                    left.append((step.path, "edited since, left as it is"))
            except (*_RACES, Obstacle) as exc:
                left.append((step.path, str(exc)))
            except BackendFailed:  # trying again would not find it either
                left.append((step.path, "what it held is not known any more"))
        for folder in reversed(record.made):
            self._files.remove_folder(folder)
        self._sync(record.steps)
        self._journal.drop()
        return tuple(left)

    def record(
        self, steps: Sequence[Step], job_id: JobId, *, before: str, after: str, undoes: str = ""
    ) -> Record:
        """The record of steps that are about to be taken from one tree to another."""
        made: dict[str, None] = {}
        staged_in: list[str] = []
        for step in steps:
            nearest = self._files.nearest(step.path)
            staged_in.append(nearest)
            if step.new is not None:
                made.update(dict.fromkeys(_between(nearest, step.path)))
        return Record(
            id=f"{time.time_ns():020d}-{secrets.token_hex(4)}",
            job_id=job_id,
            before=before,
            after=after,
            steps=tuple(steps),
            staged_in=tuple(staged_in),
            made=tuple(sorted(made)),
            undoes=undoes,
        )

    def _problem(self, step: Step, look: Look, going: set[str]) -> str | None:
        if look.behind and look.behind not in going:
            return f"{look.behind} is a file"
        if look.is_folder and step.old is None:
            return self._in_the_way(step.path, going)
        if not self._files.is_as(look, step.old):
            return _there(step) if step.old is None else "changed since it was looked at"
        return self._leads_out(step)

    def _in_the_way(self, folder: str, going: set[str]) -> str | None:
        """What of a folder that becomes a file is not removed."""
        top = os.path.join(self._files.top, folder)
        for at, folders, names in os.walk(top):
            below = os.path.relpath(at, self._files.top)
            links = [name for name in folders if os.path.islink(os.path.join(at, name))]
            found = [f"{below}/{name}" for name in (*names, *links)]
            if stays := [path for path in found if path not in going]:
                return f"is a folder that holds {stays[0]}"
            if not found and not folders:
                return f"is a folder that holds {below}"
        return None

    def _leads_out(self, step: Step) -> str | None:
        """A link that stays inside by its text may leave through another link of the user."""
        if step.new is None or step.new.mode != LINK:
            return None
        target = self._reader.content(step.new.oid)
        top = os.path.realpath(self._files.top)
        folder = os.path.dirname(os.path.join(top, step.path))
        leads = os.path.realpath(os.path.join(folder, os.fsdecode(target)))
        inside = leads == top or leads.startswith(top.rstrip("/") + "/")
        return None if inside else "is a link that leads out of the worktree"

    def _stage(self, steps: Sequence[Step], record: Record) -> None:
        for number, step in enumerate(steps):
            if step.new is not None:
                folder, name = record.staged_in[number], record.temporary(number)
                data = self._reader.content(step.new.oid)
                self._files.put(folder, name, step.new, data, like=step.path)

    def _take(self, steps: Sequence[Step], looks: dict[str, Look], record: Record) -> None:
        for step in steps:
            self._still(step, looks)
        for step in steps:
            if step.new is None:
                self._still(step, looks)
                self._files.remove(*_split(step.path))
        gone = [step.path for step in steps if step.new is None]
        needed = {step.path for step in steps if step.new is not None and step.old is None}
        for folder in _emptied(gone):
            if any(folder == path or folder.startswith(f"{path}/") for path in needed):
                self._files.remove_folder(folder)
        for number, step in enumerate(steps):
            if step.new is not None:
                self._still(step, looks)
                source = record.staged_in[number], record.temporary(number)
                self._files.move(source, step.path, replace=step.old is not None)
        for folder in _emptied(gone):
            self._files.remove_folder(folder)
        self._sync(steps)

    def _still(self, step: Step, looks: dict[str, Look]) -> None:
        look = looks[step.path]
        if look.is_folder or look.behind:
            return
        if self._files.signature(step.path) != look.signature:
            raise _moved(step.path)

    def _restore(self, number: int, step: Step, record: Record) -> bool:
        """Bring back one path; False when it holds something of somebody else."""
        look = self._files.look(step.path)
        if self._files.is_as(look, step.old) or (step.old is None and look.behind):
            return True
        if not self._files.is_as(look, step.new) and not (step.new is None and look.is_folder):
            return False
        folder, name = _split(step.path)
        if step.old is None:
            self._files.remove(folder, name)
            return True
        if look.is_folder:
            self._files.remove_folder(step.path)
        data = self._reader.content(step.old.oid)
        temporary = record.temporary(number)
        self._files.put(folder, temporary, step.old, data, like=step.path)
        self._files.move((folder, temporary), step.path, replace=step.new is not None)
        return True

    def _unstage(self, record: Record) -> None:
        for number, (step, folder) in enumerate(zip(record.steps, record.staged_in, strict=True)):
            for one in {folder, _split(step.path)[0]}:
                self._files.remove(one, record.temporary(number))

    def _sync(self, steps: Iterable[Step]) -> None:
        for folder in {_split(step.path)[0] for step in steps}:
            self._files.sync(folder)


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _between(nearest: str, path: str) -> list[str]:
    """Folders below `nearest` down to the one that holds `path`."""
    names = _split(path)[0].split("/") if "/" in path else []
    folders = ["/".join(names[: count + 1]) for count in range(len(names))]
    return folders[len(nearest.split("/")) if nearest else 0 :]


def _emptied(paths: Iterable[str]) -> list[str]:
    """Folders above removed paths, the deepest first."""
    found: set[str] = set()
    for path in paths:
        folder = _split(path)[0]
        while folder:
            found.add(folder)
            folder = _split(folder)[0]
    return sorted(found, key=lambda folder: -folder.count("/"))


def _there(step: Step) -> str:
    return f"{step.path.rpartition('/')[2]} is there already, and is ignored by git or not sent"


def _path_of(exc: Exception) -> str:
    where = exc.filename if isinstance(exc, OSError) else None
    return where if isinstance(where, str) else str(exc)


def _moved(path: str, left: Problems = ()) -> PatchConflict:
    edited = ", ".join(one for one, _ in left[:5])
    done = f"Left as they were edited meanwhile: {edited}." if left else "Nothing was changed."
    return PatchConflict(
        f"The worktree changed while the patch was applied: {path[:200]}.",
        hint=f"{done} Call again when nothing writes to the worktree.",
        paths=((path, _MOVED), *left),
    )
