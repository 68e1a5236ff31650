"""Python projects by their manifest: pyproject.toml, setup.py, setup.cfg."""

from __future__ import annotations

import configparser
import re
from typing import TYPE_CHECKING, cast

from mcp_cloud_agents.environments.tree import strings, table

if TYPE_CHECKING:
    from collections.abc import Collection

    from mcp_cloud_agents.environments.tree import Tree

TEST_EXTRAS = ("test", "tests", "testing", "dev")
TEST_GROUPS = ("test", "tests", "testing", "dev")
MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg")
_UNKNOWN_VERSION = "999.0.0"
_BYPASSES = (
    ("poetry-dynamic-versioning", "POETRY_DYNAMIC_VERSIONING_BYPASS"),
    ("uv-dynamic-versioning", "UV_DYNAMIC_VERSIONING_BYPASS"),
    (r"\bpbr\b", "PBR_VERSION"),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def arguments(tree: Tree) -> tuple[str, ...]:
    """What `uv pip install` is given for the project: itself, editable, and its test extras.

    A manifest without a build system and without a `src` folder is one that uv calls virtual: its
    dependencies are installed, the code is imported from the tree.
    """
    project = tree.toml("pyproject.toml")
    groups = table(project, "dependency-groups")
    of_groups = [f"--group {name}" for name in TEST_GROUPS if name in groups]
    if installable(tree):
        extras = [name for name in TEST_EXTRAS if name in _extras(tree)]
        target = f"'.[{','.join(extras)}]'" if extras else "."
        return (f"-e {target}", *of_groups)
    if table(project, "project"):
        extras = table(project, "project", "optional-dependencies")
        of_extras = [f"--extra {name}" for name in TEST_EXTRAS if name in extras]
        return ("-r pyproject.toml", *of_extras, *of_groups)
    return tuple(of_groups)


def installable(tree: Tree) -> bool:
    """Whether the project itself is a package."""
    project = tree.toml("pyproject.toml")
    if tree.has("setup.py"):
        return True
    if tree.has("setup.cfg") and _setup_cfg(tree).has_section("metadata"):
        return True
    if table(project, "tool", "poetry") and table(project, "build-system"):
        return True
    if not table(project, "project"):
        return False
    return bool(table(project, "build-system")) or tree.has_folder("src")


def manifests(tree: Tree) -> tuple[str, ...]:
    """Every manifest of the tree that was read: members of a workspace have their own."""
    return tuple(sorted(name for name in tree.files if name.rsplit("/", 1)[-1] in MANIFESTS))


def version_env(tree: Tree) -> tuple[tuple[str, str], ...]:
    """Variables for build back ends that ask git for the version: the set-up's copy has no git.

    A version that is too high does less harm than one that is too low: plugins of the project
    itself, installed beside it, nearly always ask for at least some version.
    """
    version = tree.version or _UNKNOWN_VERSION
    texts = " ".join(tree.text(name) for name in MANIFESTS)
    found: list[tuple[str, str]] = []
    if re.search(r"setuptools[-_]scm|hatch[-_]vcs|vcs[-_]versioning", texts):
        # hatch-vcs does not know the project's name; a nameless variable also reaches packages
        # that are built from source, so it is the exception
        name = "" if re.search(r"hatch[-_]vcs", texts) else _project_name(tree)
        suffix = f"_FOR_{re.sub(r'[-_.]+', '_', name).upper()}" if name else ""
        found.append((f"SETUPTOOLS_SCM_PRETEND_VERSION{suffix}", version))
    if table(tree.toml("pyproject.toml"), "tool", "pdm", "version").get("source") == "scm":
        found.append(("PDM_BUILD_SCM_VERSION", version))
    found += [(name, version) for mark, name in _BYPASSES if re.search(mark, texts)]
    return tuple(found)


def _project_name(tree: Tree) -> str:
    name = table(tree.toml("pyproject.toml"), "project").get("name")
    if not isinstance(name, str):
        name = _setup_cfg(tree).get("metadata", "name", fallback="")
    return name if _NAME.fullmatch(name) else ""


def _extras(tree: Tree) -> Collection[str]:
    project = table(tree.toml("pyproject.toml"), "project")
    if "optional-dependencies" in project:
        return table(project, "optional-dependencies")
    poetry = table(tree.toml("pyproject.toml"), "tool", "poetry", "extras")
    cfg = _setup_cfg(tree)
    of_cfg = cfg.options("options.extras_require") if cfg.has_section(_EXTRAS) else []
    # setup.py is code and cannot be read for sure; uv only warns about an extra that is not there
    of_py = re.findall(r"['\"](\w+)['\"]\s*:|\b(\w+)\s*=\s*\[", _after_extras(tree))
    return {*poetry, *of_cfg, *(one for pair in of_py for one in pair)}


_EXTRAS = "options.extras_require"


def _after_extras(tree: Tree) -> str:
    return tree.text("setup.py").partition("extras_require")[2]


def _setup_cfg(tree: Tree) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(tree.text("setup.cfg"))
    except configparser.Error:
        return configparser.RawConfigParser()
    return parser


def dynamic_files(tree: Tree) -> tuple[str, ...]:
    """Files from which setuptools reads the dependencies (`dynamic = ["dependencies"]`)."""
    dynamic = table(tree.toml("pyproject.toml"), "tool", "setuptools", "dynamic")
    files: list[str] = []
    for entry in (dynamic.get("dependencies"), *table(dynamic, "optional-dependencies").values()):
        named = cast("dict[str, object]", entry).get("file") if isinstance(entry, dict) else None
        files += [named] if isinstance(named, str) else strings(named)
    return tuple(files)
