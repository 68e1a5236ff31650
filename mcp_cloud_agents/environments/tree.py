"""A snapshot as far as environments are detected from it: all names, and some files' content."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Names and content as they are in the snapshot: untrusted data."""

    names: frozenset[str]
    files: Mapping[str, bytes]
    """Content of those that `detect.gather` asked for and that are regular files."""
    identity: str = ""
    """Changes whenever anything in the tree does."""
    version: str = ""
    """The project's version as git tells it; empty when it is not known."""
    folder: str = ""
    """Where it lies in the snapshot's tree; empty: it is the whole."""

    def has(self, name: str) -> bool:
        """Whether the tree has a file of this name."""
        return name in self.names

    def has_folder(self, folder: str) -> bool:
        """Whether anything lies below `folder`."""
        return any(name.startswith(f"{folder}/") for name in self.names)

    def text(self, name: str) -> str:
        """Content of a file; empty when there is none."""
        return self.files.get(name, b"").decode(errors="replace")

    def toml(self, name: str) -> dict[str, Any]:
        """Content of a TOML file; empty when there is none or it is broken: its tool will tell."""
        try:
            return tomllib.loads(self.text(name))
        except (tomllib.TOMLDecodeError, RecursionError):
            return {}


def table(value: object, *path: str) -> dict[str, Any]:
    """The table at `path` below `value`; empty when something else is there."""
    for key in path:
        value = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def strings(value: object) -> tuple[str, ...]:
    """The strings of a list; empty when it is none."""
    if not isinstance(value, list):
        return ()
    return tuple(one for one in cast("list[object]", value) if isinstance(one, str))
