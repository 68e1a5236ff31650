"""Which test runner a command is, or a tree uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp_cloud_agents.runners.runner import Inside, Runner


def _pytest(inside: Inside | None) -> Runner:
    from mcp_cloud_agents.runners.pytest import PytestRunner

    return PytestRunner(inside)


def _unittest(inside: Inside | None) -> Runner:
    from mcp_cloud_agents.runners.unittest import UnittestRunner

    return UnittestRunner(inside)


def _vitest(inside: Inside | None) -> Runner:
    from mcp_cloud_agents.runners.vitest import VitestRunner

    return VitestRunner(inside)


def _jest(inside: Inside | None) -> Runner:
    from mcp_cloud_agents.runners.jest import JestRunner

    return JestRunner(inside)


def _go(inside: Inside | None) -> Runner:
    from mcp_cloud_agents.runners.go import GoRunner

    return GoRunner(inside)


def _cargo(inside: Inside | None) -> Runner:
    from mcp_cloud_agents.runners.cargo import CargoRunner

    return CargoRunner(inside)


# In this order: a tree that several would take belongs to the first. Each is imported when it is
# used: a worker needs one of them at most.
_MAKERS: dict[str, Callable[[Inside | None], Runner]] = {
    "pytest": _pytest,
    "unittest": _unittest,
    "vitest": _vitest,
    "jest": _jest,
    "go": _go,
    "cargo": _cargo,
}
RUNNERS = frozenset(_MAKERS)
DETECTION_FILES = frozenset(
    {
        "Pipfile", "dev-requirements.txt", "package.json", "pyproject.toml",
        "requirements-dev.in", "requirements-dev.txt", "requirements-test.txt",
        "requirements.in", "requirements.txt", "requirements/dev.txt", "requirements/test.txt",
        "requirements/tests.txt", "setup.cfg", "setup.py", "test-requirements.txt", "tox.ini",
    }
)  # fmt: skip
"""Files of a tree whose content decides; of the others the names are enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The command to run and whose reports it writes; `problem` says why one is missing."""

    command: str
    runner: str | None
    problem: str = ""


def runner_named(name: str, inside: Inside | None = None) -> Runner:
    """A fresh runner, for one job.

    Raises:
        InvalidArgument: there is none of this name.
    """
    if name not in _MAKERS:
        raise InvalidArgument(
            f"There is no test runner {name!r}.", hint=f"Known: {', '.join(_MAKERS)}."
        )
    return _MAKERS[name](inside)


def choose(command: str | None, names: frozenset[str], files: Mapping[str, bytes]) -> Choice:
    """The command and its runner.

    Args:
        command: what the caller asked for; None: find the usual one.
        names: every path of the tree.
        files: content of those `DETECTION_FILES` that exist.
    """
    runners = [make(None) for make in _MAKERS.values()]
    if command is not None:
        for runner in runners:
            if runner.recognises(command, files):
                return Choice(command=command, runner=runner.name)
        return Choice(command=command, runner=None, problem=_UNKNOWN.format(command[:100]))
    for runner in runners:
        found = runner.detect(names, files)
        if found is not None:
            return Choice(command=found, runner=runner.name)
    return Choice(command="", runner=None, problem=_NOTHING)


_KNOWN = "pytest, python -m unittest, jest, vitest, go test, cargo test"
_UNKNOWN = (
    f"{{!r}} calls none of the runners whose reports can be read ({_KNOWN}); name the runner it "
    "ends up in, or pass that runner's own command."
)
_NOTHING = f"nothing in the tree tells how its tests are run; pass a command of {_KNOWN}."
