"""The plan of a job: the caller's wish, then the repository's configuration, then detection."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.agents.repository_config import (
    FILE,
    RepositoryConfig,
    parse_repository_config,
)
from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.environments import detect
from mcp_cloud_agents.ports.planner import Plan
from mcp_cloud_agents.runners.detect import DETECTION_FILES, RUNNERS, choose
from mcp_cloud_agents.runners.selection import selected
from mcp_cloud_agents.runners.shell import calls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.domain.sandbox import Limits
    from mcp_cloud_agents.domain.setup import SetupPlan
    from mcp_cloud_agents.environments.host import Finder
    from mcp_cloud_agents.environments.tree import Tree
    from mcp_cloud_agents.ports.planner import Wish
    from mcp_cloud_agents.ports.snapshots import Snapshots

_FILE_BYTES = 8 << 20
_SMALL_BYTES = 1 << 20
_ALL_TESTS = re.compile(r" \./\.\.\.$| discover\b.*$")
"""How a command says "all": go's package pattern, unittest's discovery."""


class TreePlanner:
    """`ports.planner.Planner` for a tree whose content is untrusted.

    Args:
        snapshots: reads files of the snapshot.
        limits: the person's; the repository and the caller may only tighten them, but for the
            timeout, which the caller sets.
        machine: tells what the machine that jobs run on gives.
        setup_env: the person's variables for set-up.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        limits: Limits,
        machine: Finder,
        setup_env: Sequence[tuple[str, str]],
    ) -> None:
        self._snapshots = snapshots
        self._limits = limits
        self._machine = machine
        self._setup_env = tuple(setup_env)

    def plan(self, snapshot: Snapshot, wish: Wish) -> Plan:
        """See the port."""
        names = self._snapshots.names(snapshot)
        read = _Reader(self._snapshots, snapshot)
        first = read([FILE, *sorted(DETECTION_FILES | detect.DETECTION_FILES)])
        config = _config(first.get(FILE))
        files = {
            name: data
            for name, data in first.items()
            if name in DETECTION_FILES and len(data) <= _SMALL_BYTES
        }
        command, runner = _command(wish, config, names, files)
        tree = detect.gather(names, read, declared=config.setup, identity=snapshot.tree)
        setup = self._setup(snapshot, tree, config, runner)
        usual = choose(None, names, files).runner
        if runner is None and setup.commands and _same_languages(tree, usual):
            # A command that needs an environment shares that of the tests: built once, not twice.
            setup = self._setup(snapshot, tree, config, usual)
        return Plan(command=command, runner=runner, setup=setup, limits=self._limited(config, wish))

    def _setup(
        self, snapshot: Snapshot, tree: Tree, config: RepositoryConfig, runner: str | None
    ) -> SetupPlan:
        wants = detect.wanted(tree, runner=runner)
        return detect.plan(
            tree,
            self._machine(wants, avoid=snapshot.origin.workspace),
            repository=snapshot.repository,
            runner=runner,
            declared=config.setup,
            setup_env=self._setup_env,
        )

    def _limited(self, config: RepositoryConfig, wish: Wish) -> Limits:
        asked = self._limits
        if wish.timeout_s is not None:
            asked = replace(asked, timeout_s=wish.timeout_s)
        return config.tighten(asked)


class _Reader:
    """Reads files of a snapshot, each one once: a read is two processes of git."""

    def __init__(self, snapshots: Snapshots, snapshot: Snapshot) -> None:
        self._snapshots = snapshots
        self._snapshot = snapshot
        self._known: dict[str, bytes | None] = {}

    def __call__(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Content of those paths that are regular files and not too large."""
        if missing := [path for path in paths if path not in self._known]:
            found = self._snapshots.read(self._snapshot, missing, limit_bytes=_FILE_BYTES)
            self._known.update((path, found.get(path)) for path in missing)
        return {path: data for path in paths if (data := self._known[path]) is not None}


def _config(data: bytes | None) -> RepositoryConfig:
    if not data or len(data) > _SMALL_BYTES:
        return RepositoryConfig()
    return parse_repository_config(data, runners=RUNNERS)


def _command(
    wish: Wish, config: RepositoryConfig, names: frozenset[str], files: Mapping[str, bytes]
) -> tuple[str, str | None]:
    """What is run, and whose reports it writes."""
    if wish.kind is Kind.COMMAND:
        return wish.command or "", None
    choice = choose(wish.command or config.tests.command, names, files)
    runner = choice.runner or config.tests.runner or _by_environment(names, files)
    if not choice.command or runner is None:
        raise InvalidArgument(
            f"No test command was found: {choice.problem}",
            hint="Pass command, for example 'pytest -q', or write [tests] command and runner "
            f"into {FILE}. For a command without test reports use run_in_sandbox.",
        )
    return _with_paths(choice.command, wish.paths, runner, names), runner


def _same_languages(tree: Tree, runner: str | None) -> bool:
    return detect.languages(tree, runner) == detect.languages(tree, None)


def _by_environment(names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
    """pytest, when that is what the tree uses: it is told by its environment to report.

    So `make test` and scripts work, whose command lines name no runner.
    """
    usual = choose(None, names, files).runner
    return usual if usual == "pytest" else None


def _with_paths(command: str, paths: tuple[str, ...], runner: str, names: frozenset[str]) -> str:
    """The command for these tests only: they take the place of what means all tests."""
    if not paths:
        return command
    found = calls(command)
    if len(found) != 1 or found[0].words[-1].end != len(command.rstrip()):
        raise InvalidArgument(
            f"paths cannot be put into the command line {command[:200]!r}: it is not one call.",
            hint="Write the tests into command itself, and leave paths out.",
        )
    kept = _ALL_TESTS.sub("", command)
    return f"{kept} {shlex.join(selected(runner, command, paths, names))}"
