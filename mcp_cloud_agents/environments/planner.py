"""The plan of a job: the caller's wish, then the repository's configuration, then detection."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.agents.repository_config import (
    FILE,
    RepositoryConfig,
    parse_repository_config,
)
from mcp_cloud_agents.agents.repository_policy import FILE as POLICY_FILE
from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.fix_policy import FixPolicy, check_keys_elsewhere, order_of
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.environments import detect
from mcp_cloud_agents.environments.folders import Folder, plain_paths, seen_from, upwards
from mcp_cloud_agents.environments.host import Want
from mcp_cloud_agents.ports.planner import Plan
from mcp_cloud_agents.runners.detect import DETECTION_FILES, RUNNERS, choose
from mcp_cloud_agents.runners.hidden import may_run_tests
from mcp_cloud_agents.runners.same_tests import same_tests
from mcp_cloud_agents.runners.selection import narrowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_cloud_agents.domain.fix import FixOrder
    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.domain.sandbox import Limits
    from mcp_cloud_agents.domain.setup import SetupPlan
    from mcp_cloud_agents.environments.host import Finder
    from mcp_cloud_agents.environments.tree import Tree
    from mcp_cloud_agents.ports.planner import Wish
    from mcp_cloud_agents.ports.snapshots import Snapshots

_DETECTION = tuple(sorted(DETECTION_FILES | detect.DETECTION_FILES))
_FILE_BYTES = 8 << 20
_SMALL_BYTES = 1 << 20


class TreePlanner:
    """`ports.planner.Planner` for a tree whose content is untrusted.

    Args:
        snapshots: reads files of the snapshot.
        limits: the person's; the repository and the caller may only tighten them, but for the
            timeout, which the caller sets.
        machine: tells what the machine that jobs run on gives.
        setup_env: the person's variables for set-up.
        policy: what the person lets fixing subagents do.
        elsewhere: jobs run on another machine, which has no file of this one.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        limits: Limits,
        machine: Finder,
        setup_env: Sequence[tuple[str, str]],
        policy: FixPolicy | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._policy = policy or FixPolicy()
        self._snapshots = snapshots
        self._limits = limits
        self._machine = machine
        self._setup_env = tuple(setup_env)
        self._elsewhere = elsewhere

    def plan(self, snapshot: Snapshot, wish: Wish) -> Plan:
        """See the port."""
        read = _Reader(self._snapshots, snapshot)
        folders = upwards(wish.folder, self._snapshots.names(snapshot), read)
        looked_for = (posixpath.join(one.path, name) for one in folders for name in _DETECTION)
        read([FILE, POLICY_FILE, *looked_for])
        config = _config(read([FILE]).get(FILE))
        called = _called(wish, config, folders)
        if not called.folder.names:
            raise InvalidArgument(
                f"Nothing of the folder {wish.folder[:200]!r} is sent: the command cannot start.",
                hint="Pass a folder with files that git does not ignore as workspace.",
            )
        above = folders[folders.index(called.folder) :]
        tree = _declaring(above, config, called.runner, snapshot.tree)
        setup = self._setup(snapshot, tree, config, called.runner)
        if called.runner is None and setup.commands:
            usual = _usual(folders).runner
            if _same_languages(tree, usual):
                # A command shares the environment of the tests: built once, not twice.
                setup = self._setup(snapshot, tree, config, usual)
        limits = self._limited(config, wish)
        order = self._order(wish, _suite(wish, config, folders, called), limits)
        return Plan(
            command=called.command,
            runner=called.runner,
            setup=self._with_agent(setup, order, snapshot.origin.workspace),
            limits=limits,
            folder=called.folder.path,
            fix=order,
            paths=plain_paths(wish.paths, folders),
            policy=read([POLICY_FILE]).get(POLICY_FILE),
        )

    def _order(self, wish: Wish, suite: str, limits: Limits) -> FixOrder | None:
        if wish.fix is None:
            return None
        order = order_of(wish.fix, self._policy, suite=suite, timeout_s=limits.timeout_s)
        if self._elsewhere:
            check_keys_elsewhere(order)
        return order

    def _with_agent(self, setup: SetupPlan, order: FixOrder | None, avoid: str) -> SetupPlan:
        """The same with the program of an engine that is a command-line agent."""
        want = Want(name=str(order.engine)) if order is not None else None
        if want is None or want.engine is None:
            return setup
        found = self._machine([want], avoid=avoid).toolchains
        return replace(setup, toolchains=(*setup.toolchains, *found))

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Called:
    """What is run, whose reports it writes, and where it starts."""

    command: str
    runner: str | None
    folder: Folder
    problem: str = ""


def _called(wish: Wish, config: RepositoryConfig, folders: Sequence[Folder]) -> _Called:
    here, top = folders[0], folders[-1]
    if wish.kind is Kind.COMMAND:
        return _Called(command=wish.command or "", runner=None, folder=here)
    usual = _usual(folders)
    if wish.command is not None:
        found = _chosen(wish.command, here)
    elif config.tests.command is not None:
        found = _chosen(config.tests.command, top)
    else:
        found = usual
    # pytest is told by its environment to report: so `make test` works, which names no runner.
    by_environment = usual.runner if usual.runner == "pytest" else None
    if wish.kind is Kind.FIX and not may_run_tests(found.command):
        by_environment = None
    runner = found.runner or config.tests.runner or by_environment
    if wish.kind is Kind.FIX and (found.command or _needs_no_tests(wish)):
        return replace(found, runner=runner if found.command else None)
    if not found.command or runner is None:
        raise InvalidArgument(
            f"No test command was found: {found.problem}",
            hint="Pass command, for example 'pytest -q', or write [tests] command and runner "
            f"into {FILE}. For a command without test reports use run_in_sandbox.",
        )
    paths = seen_from(found.folder, wish.paths, folders)
    command = _with_paths(found.command, paths, runner, found.folder.names)
    return replace(found, command=command, runner=runner)


def _needs_no_tests(wish: Wish) -> bool:
    """Whether a fix makes sense in a tree without tests: its change is then not judged."""
    return wish.fix is not None and bool(wish.fix.edit_command)


def _suite(wish: Wish, config: RepositoryConfig, folders: Sequence[Folder], called: _Called) -> str:
    """The command that runs all tests, where a fix has another one for its target; else empty."""
    if wish.command is None or called.runner is None:
        return ""
    usual = _usual(folders)
    if config.tests.command is not None:
        usual = _chosen(config.tests.command, folders[-1])
    same = usual.runner == called.runner and usual.folder.path == called.folder.path
    return usual.command if same and not same_tests(usual.command, called.command) else ""


def _usual(folders: Sequence[Folder]) -> _Called:
    """How tests are run in the nearest folder that tells it."""
    found = [_chosen(None, folder) for folder in folders]
    return next((one for one in found if one.command), found[-1])


def _chosen(command: str | None, folder: Folder) -> _Called:
    found = folder.read(sorted(DETECTION_FILES))
    files = {name: data for name, data in found.items() if len(data) <= _SMALL_BYTES}
    choice = choose(command, folder.names, files)
    return _Called(
        command=choice.command, runner=choice.runner, folder=folder, problem=choice.problem
    )


def _declaring(
    folders: Sequence[Folder], config: RepositoryConfig, runner: str | None, identity: str
) -> Tree:
    """The tree whose environment the command gets.

    The repository's own set-up is the top's. What is found out is that of the nearest folder with
    a manifest, unless one above it is made for several packages.
    """
    trees = [
        detect.gather(
            one.names, one.read, declared=config.setup, identity=identity, folder=one.path
        )
        for one in reversed(folders)
    ]
    best = trees[0]
    if config.setup is not None:
        return best
    for tree in trees:
        if detect.has_members(tree, runner):
            return tree
        if detect.declares(tree, runner):
            best = tree
    return best


def _same_languages(tree: Tree, runner: str | None) -> bool:
    return detect.languages(tree, runner) == detect.languages(tree, None)


def _with_paths(command: str, paths: tuple[str, ...], runner: str, names: frozenset[str]) -> str:
    """The command for these tests only: they take the place of what means all tests."""
    if not paths:
        return command
    return narrowed(runner, command, paths, names)
