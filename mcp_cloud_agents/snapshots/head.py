"""Reading HEAD without a git process, where it is a plain file (gitrepository-layout(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from mcp_cloud_agents.storage.files import read_whole

BRANCHES = "refs/heads/"
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MAX_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Head:
    """What HEAD is."""

    commit: str | None
    """None in a repository without commits."""
    branch: str | None
    """None when detached."""


def read_head(git_dir: str, common_dir: str) -> Head | None:
    """What HEAD is, or None where git has to be asked: no commit yet, a ref format of its own."""
    text = _line(os.path.join(git_dir, "HEAD"))
    if _OID.fullmatch(text):
        return Head(text, None)
    name = text.removeprefix("ref: ")
    if not name.startswith(BRANCHES) or ".." in name:
        return None
    commit = _line(os.path.join(common_dir, name)) or _packed(common_dir, name)
    return Head(commit, name.removeprefix(BRANCHES)) if _OID.fullmatch(commit) else None


def _line(path: str) -> str:
    try:
        data = read_whole(path, limit=_MAX_BYTES)
    except OSError:  # a link, a folder
        return ""
    return (data or b"").decode("utf-8", "replace").strip()


def _packed(common_dir: str, name: str) -> str:
    try:
        refs = read_whole(os.path.join(common_dir, "packed-refs")) or b""
    except OSError:
        return ""
    found = re.search(rb"^([0-9a-f]+) %s$" % re.escape(name.encode()), refs, re.MULTILINE)
    return found[1].decode() if found else ""
