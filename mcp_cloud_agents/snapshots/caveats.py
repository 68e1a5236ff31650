"""What a person should know of a snapshot: what it sends that may surprise, and what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.snapshots.listing import GITLINK, fields, joined
from mcp_cloud_agents.snapshots.screen import secret_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mcp_cloud_agents.snapshots.git import Git
    from mcp_cloud_agents.snapshots.listing import Entry

_SHOWN = 5


def caveats(
    user: Git, theirs: Mapping[bytes, Entry], tree: Mapping[bytes, Entry], large: Iterable[bytes]
) -> tuple[str, ...]:
    """Warnings about a snapshot, each one sentence.

    Args:
        user: git on the user's repository, at the top of the worktree.
        theirs: the user's index.
        tree: what the snapshot holds.
        large: tracked files over the size limit.
    """
    links = [path for path, entry in tree.items() if entry.mode == GITLINK]
    known = [path for path in links if path in theirs]
    absent = [path for path, entry in theirs.items() if entry.skipped and path not in tree]
    secrets = [path for path in theirs if path in tree and secret_kind(path)]
    told = [
        _say(secrets, "Tracked files look like secrets and are sent"),
        _say(sorted(large), "Tracked files are over the size limit and are sent"),
        _say(known, "The content of submodules is not carried"),
        _say([p for p in links if p not in theirs], "Nested repositories are not carried"),
        _say(absent, "Outside the sparse checkout, so not on disk and not in the snapshot"),
        *_filtered(user, tree),
    ]
    return tuple(text for text in told if text)


def _filtered(user: Git, tree: Mapping[bytes, Entry]) -> list[str]:
    """Clean filters are not run: what is on disk travels, which may be plaintext of a secret."""
    if not any(path.rpartition(b"/")[2] == b".gitattributes" for path in tree):
        return []  # asking for the attribute of every path costs more than this look
    out = fields(user.run("check-attr", "-z", "--stdin", "filter", stdin=joined(tree)))
    by_filter: dict[bytes, list[bytes]] = {}
    for path, value in zip(out[::3], out[2::3], strict=True):
        if value not in (b"unspecified", b"unset", b"set"):
            by_filter.setdefault(value, []).append(path)
    return [_say(paths, _about(name)) for name, paths in sorted(by_filter.items())]


def _about(name: bytes) -> str:
    if name == b"lfs":
        return "Git LFS files are sent as they are on disk (content, or the pointer)"
    return f"The filter {render(name)} is not run, files are sent as they are on disk (plaintext)"


def _say(paths: list[bytes], what: str) -> str:
    if not paths:
        return ""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"{what}: {', '.join(render(path) for path in paths[:_SHOWN])}{more}."
