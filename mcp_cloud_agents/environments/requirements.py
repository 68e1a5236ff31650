"""Python requirement files: which of a tree's are installed, and which others they include."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_cloud_agents.environments.tree import Tree

_MAIN = ("requirements.txt", "requirements/requirements.txt", "requirements/base.txt",
         "requirements/main.txt")  # fmt: skip


def _names(*kinds: str) -> tuple[str, ...]:
    return (
        *(f"requirements{mark}{kind}.txt" for mark in "-_." for kind in kinds),
        *(f"{kind}{mark}requirements.txt" for mark in "-_" for kind in kinds),
        *(f"requirements/{kind}.txt" for kind in kinds),
    )


_FOR_TESTS = (
    *_names("test", "tests", "testing"),
    *(f"tests/requirements{kind}.txt" for kind in ("", "-test")),
    "test/requirements.txt",
)
_FOR_DEVELOPERS = (*_names("dev", "development"), "tests/requirements-dev.txt")
CANDIDATES = (*_MAIN, *_FOR_TESTS, *_FOR_DEVELOPERS)
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*([^\s#]+)", re.MULTILINE)


def chosen(tree: Tree) -> tuple[str, ...]:
    """The files to install, the main one first.

    A developer's file counts only where none is for tests: it holds linters and builders of
    documentation, and in some projects other versions (heads of repositories) than those that the
    tests are meant for.
    """
    main = [name for name in _MAIN if tree.has(name)][:1]
    tests = [name for name in _FOR_TESTS if tree.has(name)]
    return (*main, *(tests or (name for name in _FOR_DEVELOPERS if tree.has(name))))


def included(tree: Tree, name: str) -> tuple[str, ...]:
    """Files of the tree that the requirement file `name` takes in, directly."""
    folder = posixpath.dirname(name)
    found = (
        posixpath.normpath(posixpath.join(folder, target))
        for target in _INCLUDE.findall(tree.text(name))
    )
    return tuple(target for target in found if tree.has(target))


def with_included(tree: Tree, names: tuple[str, ...]) -> tuple[str, ...]:
    """`names` and all that they take in, at any depth."""
    found = list(names)
    for name in found:  # grows while it is walked
        found += [more for more in included(tree, name) if more not in found]
    return tuple(found)
