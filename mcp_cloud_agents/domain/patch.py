"""A patch: the validated tree-to-tree difference that a job left, and the rule for its paths."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A difference between two trees of ours; its bytes are the artifact `patch.diff`."""

    base_tree: str
    tree: str
    base_commit: str
    sha256: str
    size_bytes: int
    files: int
    insertions: int
    deletions: int
    paths: tuple[str, ...]
    """Changed paths, at most 200."""
    refused: tuple[tuple[str, str], ...] = ()
    """Paths the job changed that are left out of the patch, each with its reason."""
    sensitive: tuple[str, ...] = ()
    """Changed paths that steer tools (CI, editors, agents): a person should look at them."""


# Code points that HFS+ ignores in names, so that ".g<U+200C>it" is ".git" there
# (git's own is_hfs_dotgit, utf8.c).
_HFS_IGNORABLE = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_FILE_MODES = frozenset({"000000", "100644", "100755"})
_SENSITIVE = (
    ".gitattributes", ".gitmodules", ".mcp.json", ".github/", ".vscode/", ".idea/", ".claude/",
    ".codex/", ".husky/", ".cloud-agents/", ".conductor/", ".envrc", ".bashrc", ".profile",
    ".zshrc", ".pre-commit-config.yaml",
)  # fmt: skip


def refusal(mode: str, path: bytes, target: bytes = b"") -> str | None:
    """Why a changed path may not be part of a patch, or None.

    Args:
        mode: git's mode of the new entry; "000000" for a deletion.
        path: the path in the tree, raw bytes.
        target: content of the blob when the entry is a symbolic link.
    """
    try:
        names = [part.decode() for part in path.split(b"/")]
    except UnicodeDecodeError:
        return "name is not UTF-8"
    if _CONTROL.search(path):
        return "control character in name"
    if any(name in ("", ".", "..") for name in names):
        return "unsafe path"
    if any(_is_git_dir(name) for name in names):
        return "inside a git directory"
    if mode == "160000":
        return "nested repository"
    if mode == "120000":
        return _link_refusal(names, target)
    return None if mode in _FILE_MODES else f"mode {mode}"


def _is_git_dir(name: str) -> bool:
    plain = _HFS_IGNORABLE.sub("", name).split(":")[0].rstrip(" .").lower()
    return plain in (".git", "git~1")


def _link_refusal(names: list[str], target: bytes) -> str | None:
    folder, steps = names, target.decode(errors="replace").split("/")
    while steps and steps[0] == "..":  # '..' only at the start: x/../.. would follow x
        steps.pop(0)
        folder = folder[:-1]
    if target.startswith(b"/") or not folder or ".." in steps:
        return "symlink leaves the tree"
    if any(_is_git_dir(step) for step in steps):
        return "symlink into a git directory"
    return None


def steers_tools(path: str) -> bool:
    """Whether the path is one that tools read and obey, so that a person should look at it."""
    name = path.rsplit("/", 1)[-1]
    return any(
        path.startswith(mark) or f"/{mark}" in path if mark.endswith("/") else name == mark
        for mark in _SENSITIVE
    )
