"""Which paths a candidate may not change: what judges it, what steers its judge, what steers tools.

Changed ones are put back before anything runs, and told. A person can let patterns through.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.patch import steers_tools

if TYPE_CHECKING:
    from collections.abc import Sequence

TEST, RUNNER, CI = "a test", "runner configuration", "CI"
LOCK, AGENT = "lock file", "agent configuration"

_TEST_FOLDERS = frozenset(
    (
        *("test", "tests", "__tests__", "__mocks__", "__snapshots__", "spec", "specs"),
        *("testdata", "fixtures", "e2e"),
    )
)
_TEST_FILE = re.compile(
    r"test_.*\.pyi?|.*_tests?\.py|tests?\.(?:py|rs)|.*[._-](?:test|spec)\.[cm]?[jt]sx?"
    r"|.*_test\.(?:go|rs)|.*_spec\.rb|.*\.snap|.*(?:test|tests)\.(?:java|kt)"
)
_CI_FOLDERS = frozenset((".github", ".circleci", ".buildkite", ".ci", ".woodpecker", ".gitlab"))
_CI_FILE = re.compile(
    r"\.gitlab-ci.*|azure-pipelines.*|bitbucket-pipelines\.yml|cloudbuild\.ya?ml|jenkinsfile"
    r"|\.?appveyor\.yml|\.travis\.yml|\.drone\.yml|codecov\.yml|\.codecov\.yml"
)
_LOCK_FILE = re.compile(
    r"(?:npm-shrinkwrap|package-lock)\.json|.*\.lock|.*\.lockb|pnpm-lock\.yaml|conda-lock\.yml"
    r"|pylock.*\.toml|go(?:\.work)?\.sum|(?:.*[-_.])?(?:requirements|constraints)(?:[-_.].*)?\.txt"
)
_RUNNER_FILE = re.compile(
    # What Python reads before any test, and compiled code that stands in for a source.
    r"conftest\.py|(?:site|user)customize\.py|.*\.pth|.*\.py[cod]|py\.test\.ini|\.?pytest\.(?:ini|toml)"
    r"|tox\.(?:ini|toml)|setup\.(?:cfg|py)|pyproject\.toml|noxfile\.py|\.coveragerc|hatch\.toml"
    r"|(?:jest|vitest|vite|karma|babel|playwright|cypress|ava)\.(?:config|setup|workspace)\..*"
    r"|setuptests\.[cm]?[jt]sx?|(?:jest|vitest|tests?)[-_.]setup\..*|setup[-_.](?:jest|vitest|tests?)\..*"
    r"|\.mocharc.*|\.babelrc.*|\.swcrc|\.npmrc|\.yarnrc.*|package\.json"
    r"|tsconfig.*\.json|pnpm-workspace\.yaml|cargo\.toml|build\.rs|rust-toolchain(?:\.toml)?"
    r"|go\.(?:mod|work)|(?:gnu)?makefile|justfile|taskfile\.ya?ml|rakefile"
    r"|\.python-version|\.nvmrc|\.node-version|\.tool-versions"
)
_RUNNER_FOLDERS = frozenset(("node_modules", ".cargo", ".config", "site-packages"))
# A package's entry points: at the top of an import path pytest loads each plugin they name.
_INSTALLED = (".egg-info", ".dist-info", ".egg")
# At the top of an import path these would be imported in place of the runner.
_RUNNER_MODULES = frozenset(
    ("pytest", "_pytest", "pluggy", "iniconfig", "unittest", "xmlrunner", "xdist", "pytest_timeout")
)
_IMPORT_TOPS = frozenset(("src", "lib", "python"))
_AGENT_FOLDERS = frozenset((".claude", ".codex", ".cloud-agents", ".cursor", ".gemini", ".aider"))
_AGENT_FILE = re.compile(
    r"(?:claude|agents|gemini|copilot-instructions)(?:\.\w+)?\.md|\.mcp\.json|\.cursorrules"
    r"|\.windsurfrules|\.aider.*"
)


def protected(path: str, allow: Sequence[str] = ()) -> str | None:
    """Why a path is protected, or None when a candidate may change it.

    Names count without their case, as on the file systems that ignore it.

    Args:
        path: in the tree, with slashes.
        allow: patterns that a person lets through: `*`, `?` and `[…]`, where `*` crosses folders;
            one that ends in a slash is a folder with all below it.

    Returns:
        "agent configuration", "CI", "lock file", "runner configuration", "a test", or None.
    """
    if any(_matches(path, pattern) for pattern in allow):
        return None
    plain = path.casefold()
    *folders, name = plain.split("/")
    if _CI_FOLDERS.intersection(folders) or _CI_FILE.fullmatch(name):
        return CI
    if _AGENT_FOLDERS.intersection(folders) or _AGENT_FILE.fullmatch(name) or steers_tools(plain):
        return AGENT
    if _LOCK_FILE.fullmatch(name):
        return LOCK
    if _steers_the_runner(folders, name):
        return RUNNER
    if _TEST_FOLDERS.intersection(folders) or _TEST_FILE.fullmatch(name):
        return TEST
    return None


def _matches(path: str, pattern: str) -> bool:
    if pattern.endswith("/"):
        return path.startswith(pattern)
    return fnmatchcase(path, pattern)


def _steers_the_runner(folders: list[str], name: str) -> bool:
    if _RUNNER_FILE.fullmatch(name) or _RUNNER_FOLDERS.intersection(folders):
        return True
    if any(part.endswith(_INSTALLED) for part in (*folders, name)):
        return True
    inner = folders[1:] if folders and folders[0] in _IMPORT_TOPS else folders
    top = inner[0] if inner else name.partition(".")[0]
    importable = bool(inner) or name.endswith((".py", ".so", ".pyd"))
    return importable and top in _RUNNER_MODULES
