"""From a snapshot's names and files to its set-up plan: pure, so that a plan can be shown and kept.

names ─ gather ─ Tree ─ wanted ─ (toolchains.find) ─ Host ─ plan ─ SetupPlan
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mcp_cloud_agents.domain.sandbox import TREE, inside_tree
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.environments import (
    cargo,
    declared_setup,
    go_modules,
    npm,
    poetry,
    pyproject,
    python,
    requirements,
    uv_lock,
    uv_pip,
)
from mcp_cloud_agents.environments.part import CACHE, Part
from mcp_cloud_agents.environments.tree import Tree, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mcp_cloud_agents.agents.repository_config import DeclaredSetup
    from mcp_cloud_agents.environments.host import Host, Want

T = TypeVar("T")
KEY_VERSION = 1
"""Raised when the meaning of a plan changes, so that older environments are not reused."""
DETECTION_FILES = frozenset(
    {
        *(".python-version", "uv.lock", "poetry.lock", *pyproject.MANIFESTS),
        *requirements.CANDIDATES,
        *("package.json", *npm.LOCKS),
        *("go.mod", "go.sum", "go.work", "go.work.sum"),
        *("Cargo.toml", "Cargo.lock"),
    }
)
_LANGUAGE_OF_RUNNER = {
    "pytest": "python",
    "unittest": "python",
    "jest": "node",
    "vitest": "node",
    "go": "go",
    "cargo": "rust",
}
_ALWAYS = (("PYTHONDONTWRITEBYTECODE", "1"),)
"""A job's patch should not fill with Python's caches."""
_MOST_MEMBERS = 200
_ROUNDS = 8


def gather(
    names: frozenset[str],
    read: Callable[[Sequence[str]], Mapping[str, bytes]],
    *,
    declared: DeclaredSetup | None,
    identity: str = "",
    version: str = "",
    folder: str = "",
) -> Tree:
    """The tree with the content of all files that a plan can depend on.

    Args:
        names: every path of the snapshot.
        read: gives the content of those paths that are regular files and not too large; called a
            few times, because files name further files.
        declared: what the repository's configuration says of the set-up.
        identity: stands for the content of what cannot be read (the snapshot's tree id).
        version: the project's version as git tells it (its last tag), for build back ends.
        folder: where the tree lies in the snapshot's; empty: it is the whole.
    """
    tree = Tree(names=names, files={}, identity=identity, version=version, folder=folder)
    asked = frozenset[str]()
    for _ in range(_ROUNDS):
        missing = _needed(tree, declared) - asked
        if not missing:
            break
        asked |= missing
        tree = replace(tree, files={**tree.files, **read(sorted(missing))})
    return tree


def languages(tree: Tree, runner: str | None) -> frozenset[str]:
    """The languages whose environment the command needs.

    A known test runner needs its own language alone: a linter's package.json beside a Python
    project costs minutes otherwise. A plain command gets all that the tree has.
    """
    if runner in _LANGUAGE_OF_RUNNER:
        return frozenset({_LANGUAGE_OF_RUNNER[runner]})
    marks = {
        "python": any(name.endswith(".py") for name in tree.names) or _python(tree) is not None,
        "node": tree.has("package.json"),
        "go": tree.has("go.mod") or tree.has("go.work"),
        "rust": tree.has("Cargo.toml"),
    }
    return frozenset(name for name, found in marks.items() if found)


def wanted(tree: Tree, *, runner: str | None) -> tuple[Want, ...]:
    """The toolchains to look for on the host."""
    wants = {
        "python": python.wanted(tree),
        "node": npm.wanted(),
        "go": go_modules.wanted(),
        "rust": cargo.wanted(),
    }
    used = languages(tree, runner)
    return tuple(want for name, want in wants.items() if name in used)


def plan(
    tree: Tree,
    host: Host,
    *,
    repository: str,
    runner: str | None,
    declared: DeclaredSetup | None = None,
    setup_env: Sequence[tuple[str, str]] = (),
) -> SetupPlan:
    """How the environment of this tree is made, and the key it is cached under.

    Args:
        tree: from `gather`.
        host: from `toolchains.find`.
        repository: id of the repository; environments are never shared between repositories.
        runner: the test runner, None for a plain command.
        declared: the repository's own set-up; it replaces what would be detected.
        setup_env: the person's variables for set-up commands; in the key, not in the plan.
    """
    if declared is not None:
        parts = [declared_setup.part(tree, host, declared)]
    else:
        parts = _detected(tree, host, runner)
    merged = _merge(parts, host)
    if not merged.commands:
        return _nothing_to_do(merged)
    merged = _moved(merged, tree.folder)
    key = _key(merged, tree, host, repository=repository, setup_env=setup_env)
    return replace(merged, key=key)


def declares(tree: Tree, runner: str | None) -> bool:
    """Whether the tree says itself what environment the command needs."""
    marks = {
        "python": _python(tree) is not None,
        "node": tree.has("package.json"),
        "go": tree.has("go.mod") or tree.has("go.work"),
        "rust": tree.has("Cargo.toml"),
    }
    return any(marks[name] for name in languages(tree, runner))


def has_members(tree: Tree, runner: str | None) -> bool:
    """Whether packages below the tree's top get their environment from there."""
    marks = {
        "python": bool(table(tree.toml("pyproject.toml"), "tool", "uv", "workspace")),
        "node": npm.has_workspaces(tree),
        "go": tree.has("go.work"),
        "rust": bool(table(tree.toml("Cargo.toml"), "workspace")),
    }
    return any(marks[name] for name in languages(tree, runner))


def _moved(plan: SetupPlan, folder: str) -> SetupPlan:
    """The plan of a tree's top as that of a folder: what it shows in the tree is shown there."""
    if not folder:
        return plan

    def there(path: str) -> str:
        below = path.removeprefix(f"{TREE}/")
        return path if below == path else f"{inside_tree(folder)}/{below}"

    return replace(
        plan,
        folder=folder,
        path=tuple(map(there, plan.path)),
        binds=tuple(replace(bind, inside=there(bind.inside)) for bind in plan.binds),
        tmpfs=tuple(map(there, plan.tmpfs)),
    )


def _nothing_to_do(merged: SetupPlan) -> SetupPlan:
    return SetupPlan(
        toolchains=merged.toolchains,
        run_env=_ALWAYS,
        notes=merged.notes,
        source=merged.source,
    )


def _detected(tree: Tree, host: Host, runner: str | None) -> list[Part]:
    used = languages(tree, runner)
    found: list[Part | None] = []
    if "python" in used:
        installation = _python(tree)
        if runner == "pytest":
            base = installation or python.Installation(source="no packages declared")
            installation = replace(base, commands=(*base.commands, python.PYTEST_IF_MISSING))
        found.append(python.environment(tree, host, installation) if installation else None)
    found += [
        module.detect(tree)
        for name, module in (("node", npm), ("go", go_modules), ("rust", cargo))
        if name in used
    ]
    return [part for part in found if part is not None]


def _python(tree: Tree) -> python.Installation | None:
    return uv_lock.detect(tree) or poetry.detect(tree) or uv_pip.detect(tree)


def _merge(parts: Sequence[Part], host: Host) -> SetupPlan:
    return SetupPlan(
        commands=_join(part.commands for part in parts),
        inputs=tuple(sorted(set(_join(part.inputs for part in parts)))),
        toolchains=host.toolchains,
        path=_join(part.path for part in parts),
        env=_join(part.env for part in parts),
        setup_env=(*_join(part.setup_env for part in parts), ("TMPDIR", f"{CACHE}/scratch")),
        run_env=(*_ALWAYS, *_join(part.run_env for part in parts)),
        binds=_join(part.binds for part in parts),
        tmpfs=_join(part.tmpfs for part in parts),
        notes=(*host.notes, *_join(part.notes for part in parts)),
        source=" + ".join(part.source for part in parts) or "nothing detected",
    )


def _join(groups: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(one for group in groups for one in group)


def _key(
    merged: SetupPlan,
    tree: Tree,
    host: Host,
    *,
    repository: str,
    setup_env: Sequence[tuple[str, str]],
) -> str:
    import msgspec

    recipe = replace(merged, notes=(), source="")
    inputs = [
        (name, hashlib.sha256(tree.files[name]).hexdigest())
        if name in tree.files
        else (name, tree.identity)  # a link, or too large: then any change of the tree counts
        for name in merged.inputs
    ]
    parts = (KEY_VERSION, repository, host.image, recipe, inputs, sorted(setup_env))
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _needed(tree: Tree, declared: DeclaredSetup | None) -> frozenset[str]:
    needed = {name for name in DETECTION_FILES if tree.has(name)}
    if declared is not None:
        needed.update(declared.input_names(tree.names))
    project = tree.toml("pyproject.toml")
    needed.update(name for name in pyproject.dynamic_files(tree) if tree.has(name))
    needed.update(requirements.with_included(tree, requirements.chosen(tree)))
    members: set[str] = set()
    if table(project, "tool", "uv", "workspace") or table(project, "tool", "uv", "sources"):
        members.update(pyproject.MANIFESTS)
    if npm.has_workspaces(tree):
        members.add("package.json")
    if tree.has("go.work"):
        members.update(("go.mod", "go.sum"))
    if tree.has("Cargo.toml"):
        members.add("Cargo.toml")
    return frozenset(needed) | _members(tree, members)


def _members(tree: Tree, manifests: set[str]) -> frozenset[str]:
    """Manifests below the top of the tree, at most 200: those nearest to the top."""
    if not manifests:
        return frozenset()
    found = [
        name
        for name in tree.names
        if name.rsplit("/", 1)[-1] in manifests and "node_modules" not in name.split("/")
    ]
    return frozenset(sorted(found, key=lambda name: (name.count("/"), name))[:_MOST_MEMBERS])
