"""Which changed paths need a person's word before they reach a checkout: tools there obey them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.patch import steers_tools
from mcp_cloud_agents.domain.protected import AGENT, CI, protected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.snapshots.apply.reader import Reader
    from mcp_cloud_agents.snapshots.apply.steps import Step

_PARTS = ("objects", "refs")


def guarded(reader: Reader, tree: str, steps: Iterable[Step]) -> dict[str, str]:
    """Paths with why a person has to look at them.

    Tests, lock files and the like are not among them: changing those is what many commands are
    for, and fixing subagents have them put back.

    Args:
        reader: has the tree.
        tree: after the steps.
        steps: what changes.
    """
    changed = [step.path for step in steps]
    found = {path: why for path in changed if (why := _why(path))}
    planted = _repositories(reader, tree, changed)
    for path in changed:
        folder = next((one for one in planted if path.startswith(f"{one}/")), None)
        if folder is not None:
            found.setdefault(path, f"{folder} would be a git repository, whose settings git obeys")
    return dict(sorted(found.items()))


def _why(path: str) -> str | None:
    kind = protected(path)
    if kind in (CI, AGENT):
        return kind
    return "tools obey it" if steers_tools(path) else None


def _repositories(reader: Reader, tree: str, changed: Iterable[str]) -> list[str]:
    """Folders that git would take for a bare repository (gitrepository-layout(5))."""
    folders: set[str] = set()
    for path in changed:
        names = path.split("/")
        ends = [at for at, name in enumerate(names) if name in _PARTS and at]
        ends += [len(names) - 1] if names[-1] == "HEAD" and len(names) > 1 else []
        folders.update("/".join(names[:end]) for end in ends)
    needed = ("HEAD", *_PARTS)
    return [
        folder
        for folder in sorted(folders)
        if all(reader.has(f"{tree}:{folder}/{name}") for name in needed)
    ]
