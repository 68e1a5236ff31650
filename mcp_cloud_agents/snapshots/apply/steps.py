"""From one tree to another, path by path; what comes out of a job's trees is checked as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import PatchDamaged, PatchTooLarge
from mcp_cloud_agents.domain.patch import refusal
from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.snapshots.listing import fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.snapshots.apply.reader import Reader
    from mcp_cloud_agents.snapshots.git import Git

MAX_FILES = 100_000
MAX_BYTES = 512 << 20
LINK, GITLINK, NOTHING = "120000", "160000", "000000"
_MAX_TARGET_BYTES = 4_096
_DIFF = ("diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", "--full-index")
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tree holds at a path."""

    mode: str
    oid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One path that changes."""

    path: str
    old: Entry | None
    new: Entry | None
    insertions: int = 0
    deletions: int = 0

    @property
    def how(self) -> str:
        """In a word."""
        if self.old is None:
            return "added"
        return "modified" if self.new else "deleted"


def steps_between(git: Git, old: str, new: str) -> tuple[Step, ...]:
    """All paths that differ between two trees.

    Raises:
        PatchDamaged: a path is no UTF-8.
    """
    found: dict[bytes, Step] = {}
    records = iter(fields(git.run(*_DIFF, *_PLAIN, old, new)))
    for record in records:
        if record.startswith(b":"):
            path = next(records)
            found[path] = _step(record, path)
        else:
            added, deleted, path = record.split(b"\t", 2)
            counts = {"insertions": _count(added), "deletions": _count(deleted)}
            found[path] = replace(found[path], **counts)
    return tuple(found.values())


def _step(head: bytes, path: bytes) -> Step:
    old_mode, mode, old, oid, _ = head.decode().lstrip(":").split(" ")
    try:
        text = path.decode()
    except UnicodeDecodeError:
        raise _unsafe([(render(path), "name is not UTF-8")]) from None
    return Step(path=text, old=_entry(old_mode, old), new=_entry(mode, oid))


def _entry(mode: str, oid: str) -> Entry | None:
    return None if mode == NOTHING else Entry(mode, oid)


def _count(digits: bytes) -> int:
    return int(digits) if digits.isdigit() else 0


def check_steps(reader: Reader, steps: Iterable[Step]) -> None:
    """Refuse names, modes, links and sizes that no patch may have, whoever says it is one.

    Raises:
        PatchTooLarge: more than is applied.
        PatchDamaged: naming the paths.
    """
    listed = tuple(steps)
    if len(listed) > MAX_FILES:
        raise _too_large(f"changes {len(listed):,} paths, and at most {MAX_FILES:,} are applied")
    new = {step.new.oid for step in listed if step.new and step.new.mode != GITLINK}
    size = {oid: reader.size(oid) for oid in new}
    if sum(size.values()) > MAX_BYTES:
        raise _too_large(f"brings more than {MAX_BYTES >> 20} MiB of files")
    links = [step.new.oid for step in listed if step.new and step.new.mode == LINK]
    if any(size[oid] > _MAX_TARGET_BYTES for oid in links):
        raise _unsafe([("a symlink", "its target is too long")])
    targets = {oid: reader.content(oid) for oid in links}
    judged = [(step.path, _refusal(step, targets)) for step in listed]
    if bad := [(path, why) for path, why in judged if why]:
        raise _unsafe(bad)


def _refusal(step: Step, targets: dict[str, bytes]) -> str | None:
    if step.old is not None and step.old.mode == GITLINK:
        return "a submodule"
    mode, oid = (step.new.mode, step.new.oid) if step.new else (NOTHING, "")
    return refusal(mode, step.path.encode(), targets.get(oid, b""))


def _unsafe(paths: list[tuple[str, str]]) -> PatchDamaged:
    shown = ", ".join(f"{path[:100]} ({why})" for path, why in paths[:5])
    return PatchDamaged(
        f"The patch changes what no patch may change: {shown}.",
        hint="Nothing was written. Do not apply it by hand either; look at what the job ran.",
        paths=tuple(paths[:200]),
    )


def _too_large(why: str) -> PatchTooLarge:
    return PatchTooLarge(
        f"The patch {why}.",
        hint="Nothing was written. Let the command change or leave behind less, or add what it "
        "makes to .gitignore, and submit the job again.",
    )
