"""The set-up phase: an environment is reused, waited for, or built; never half of one is used."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.domain.sandbox import Bind, Confinement, Limits, Network, inside_tree
from mcp_cloud_agents.governance.redacted_stream import RedactedStream
from mcp_cloud_agents.ports.sandbox import Sandbox
from mcp_cloud_agents.storage.environments import EnvironmentFolder, Mark
from mcp_cloud_agents.storage.files import storage_errors
from mcp_cloud_agents.storage.trees import is_plain_folder, size_of
from mcp_cloud_agents.worker.generated_files import GENERATED, GIVE, KEEP_NEW_FILES, NOTE_FILES
from mcp_cloud_agents.worker.left_in_environment import left_in
from mcp_cloud_agents.worker.run import Ran, Watch, run
from mcp_cloud_agents.worker.setup_failure import Excerpt, explain
from mcp_cloud_agents.worker.vault import BARE, Exposure

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.setup import SetupPlan
    from mcp_cloud_agents.storage.environments import Build

UV_INSIDE = "/tools/uv/uv"
_CACHE = ".cache"
_TIDY = "chmod -R u+rwX /env/.cache; rm -rf /env/.cache"
_LOOK_EVERY_S = 0.05
_GIVE_TIMEOUT_S = 60


_TAMPERED = Cause(
    kind=CauseKind.SETUP_FAILED,
    message="A set-up command replaced a folder of /env that is shown elsewhere as well.",
    hint="Set-up commands may fill the folders below /env/node, but not move or link them.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a set-up works with."""

    sandbox: Sandbox
    folder: EnvironmentFolder
    uv: str
    """Host path of the uv program."""
    checkout: Callable[[str], None]
    """Puts the job's tree at a path that does not exist yet, owned by the jobs' user."""
    log: Callable[[bytes], None]
    """The job's log."""
    limits: Limits
    workspace: str | None = None
    """The job's restored workspace; it gets what set-up generated in its copy of the tree."""
    env: tuple[tuple[str, str], ...] = ()
    """The person's variables for set-up commands."""
    exposure: Exposure = BARE
    """The secrets that the plan's commands get."""
    cancelled: Callable[[], bool] = lambda: False
    tick: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """How the environment was had."""

    env: str | None
    """Host folder that jobs see at `/env`; None when there is none."""
    how: str
    """`none`, `cached` or `built`."""
    duration_s: float
    cause: Cause | None = None
    """Why there is no environment although the plan has commands."""
    lock: int | None = None
    """Keep it open as long as the environment is used: clean-up leaves it alone until then."""


def prepare(plan: SetupPlan, site: Site) -> Prepared:
    """Have the plan's environment. Concurrent jobs with the same key build it once.

    Raises:
        NoSpace: the disk is full.
        StateUnusable: the folder of environments cannot be written.
        IsolationUnavailable: the sandbox's program is missing.
    """
    started_at = time.monotonic()
    if not plan.commands:
        return Prepared(env=None, how="none", duration_s=0.0)
    with storage_errors(site.folder.path):
        prepared = _wait_or_build(plan, site, started_at + site.limits.setup_timeout_s)
    return replace(prepared, duration_s=time.monotonic() - started_at)


def environment_binds(
    plan: SetupPlan, env: str | None, *, uv: str | None = None
) -> tuple[Bind, ...]:
    """What the run phase shows of toolchains and environment, all of it read-only.

    Args:
        plan: the plan the environment was made by.
        env: host folder of the environment.
        uv: host path of the uv program, for commands such as `uv run pytest`.

    Raises:
        ValueError: a part of the environment is not the folder it was built as.
    """
    binds = [bind for toolchain in plan.toolchains for bind in toolchain.binds]
    if uv is not None:
        binds.append(Bind(host=uv, inside=UV_INSIDE))
    if env is not None:
        binds += [Bind(host=env, inside="/env"), *_parts(plan, env, writable=False)]
    return tuple(binds)


def search_path(plan: SetupPlan) -> tuple[str, ...]:
    """Folders of environment, toolchains and uv for PATH; the system's own come after them."""
    toolchains = (one for toolchain in plan.toolchains for one in toolchain.path)
    system = ("/usr/local/bin", "/usr/bin", "/bin")
    return (
        *plan.path,
        *(folder for folder in toolchains if folder not in system),
        os.path.dirname(UV_INSIDE),
    )


def _wait_or_build(plan: SetupPlan, site: Site, deadline: float) -> Prepared:
    how, said = "cached", False
    while True:
        ready = site.folder.mark(plan.key) is not None
        lock = site.folder.try_lock(plan.key, exclusive=not ready)
        if lock is None:
            if not said:
                site.log(b"# waiting for another job that builds the same environment\n")
                said = True
            if (cause := _reason_to_give_up(site, deadline)) is not None:
                return Prepared(env=None, how="cached", duration_s=0.0, cause=cause)
        elif ready is not (site.folder.mark(plan.key) is not None):
            os.close(lock)  # built or removed in between: look again
        elif ready:
            return _use(lock, plan, site, how)
        else:
            cause = _build_under(lock, plan, site, deadline)
            if cause is not None:
                return Prepared(env=None, how="built", duration_s=0.0, cause=cause)
            how = "built"


def _build_under(lock: int, plan: SetupPlan, site: Site, deadline: float) -> Cause | None:
    """Build, and let the lock go: whoever comes next finds it complete or not at all."""
    try:
        return _build(plan, site, deadline)
    finally:
        os.close(lock)


def _use(lock: int, plan: SetupPlan, site: Site, how: str) -> Prepared:
    site.folder.touch(plan.key)
    env = site.folder.env(plan.key)
    if how == "cached":
        site.log(f"# environment {plan.key[:12]} is reused ({plan.source})\n".encode())
    if site.workspace is not None:
        give_generated_files(env, site.workspace, site)
    return Prepared(env=env, how=how, duration_s=0.0, lock=lock)


class Following(Protocol):
    """Of a site, what giving files needs."""

    @property
    def sandbox(self) -> Sandbox:
        """Confines the copying."""
        ...

    @property
    def limits(self) -> Limits:
        """Of the job."""
        ...

    @property
    def cancelled(self) -> Callable[[], bool]:
        """Whether it must end."""
        ...

    @property
    def log(self) -> Callable[[bytes], None]:
        """The job's log."""
        ...


def give_generated_files(env: str, workspace: str, site: Following) -> None:
    """Give a restored workspace what set-up generated in its copy of the tree, if anything."""
    if not is_plain_folder(env, GENERATED):
        return
    confinement = Confinement(
        binds=(
            Bind(host=env, inside="/env"),
            Bind(host=workspace, inside="/workspace", writable=True),
        ),
        limits=site.limits,
    )
    watch = Watch(timeout_s=_GIVE_TIMEOUT_S, disk=(workspace,), cancelled=site.cancelled)
    run(site.sandbox, ["/bin/sh", "-c", GIVE], confinement, sink=site.log, watch=watch)


def _reason_to_give_up(site: Site, deadline: float) -> Cause | None:
    select.select([], [], [], _LOOK_EVERY_S)  # a lock has no descriptor to wait on
    site.tick()
    if site.cancelled():
        return Cause(
            kind=CauseKind.CANCELLED, message="The job was cancelled.", hint="Submit it again."
        )
    if time.monotonic() > deadline:
        return Cause(
            kind=CauseKind.TIMEOUT,
            message="Another job's set-up of the same environment did not end in time.",
            hint="Look at that job's log, or submit again with a longer set-up timeout.",
        )
    return None


def _build(plan: SetupPlan, site: Site, deadline: float) -> Cause | None:
    started_at = time.monotonic()
    build = site.folder.begin()
    try:
        site.log(f"# building environment {plan.key[:12]} ({plan.source})\n".encode())
        _make_folders(plan, site, build)
        site.checkout(build.tree)
        if (cause := _run_all(plan, site, build, deadline)) is not None:
            return cause
        if (where := _left_in(build, site, deadline)) is not None:
            return _kept_a_secret(where)
        duration_s = time.monotonic() - started_at
        mark = Mark(
            source=plan.source,
            built_at=time.time(),
            duration_s=duration_s,
            size_bytes=size_of(build.env),
        )
        site.folder.complete(plan.key, build, mark)
        site.log(f"# environment built in {duration_s:.1f} s\n".encode())
        return None
    finally:
        build.abandon()


def _left_in(build: Build, site: Site, deadline: float) -> str | None:
    """Where the environment holds a secret; others would find it there, and so would the run."""
    if not site.exposure.env:
        return None
    return left_in(build.env, site.exposure.redactor, deadline=deadline)


def _kept_a_secret(where: str) -> Cause:
    return Cause(
        kind=CauseKind.SETUP_FAILED,
        message=f"The environment may hold a secret of the set-up, so it is not used: {where}.",
        hint="Let set-up commands use the secret without writing it below /env: by a variable, or "
        "by a file in the home, which is gone after each command.",
    )


def _run_all(plan: SetupPlan, site: Site, build: Build, deadline: float) -> Cause | None:
    """The plan's commands between our own, each in a fresh sandbox."""
    for command in (NOTE_FILES, *plan.commands, KEEP_NEW_FILES, _TIDY):
        if command in plan.commands:
            site.log(f"$ {command}\n".encode())
        excerpt = Excerpt()
        ran = _run(command, plan, site, build, deadline, excerpt)
        if ran is None:
            return _TAMPERED
        if ran.stopped is not None or ran.exit_code != 0:
            return explain(command, ran, excerpt, plan, site.limits)
    return None


def _make_folders(plan: SetupPlan, site: Site, build: Build) -> None:
    wanted = [f"{_CACHE}/scratch", *(bind.host for bind in plan.binds)]
    for relative in wanted:
        path = build.env
        for name in relative.split("/"):
            path = os.path.join(path, name)
            if not os.path.isdir(path):
                site.folder.make(path)


def _run(
    command: str, plan: SetupPlan, site: Site, build: Build, deadline: float, excerpt: Excerpt
) -> Ran | None:
    """One command; None when an earlier one replaced a folder that would be bound."""
    try:
        own = command not in plan.commands
        confinement = _confinement(plan, site, build, folder="" if own else plan.folder)
    except ValueError:
        return None
    if not own:
        confinement = replace(confinement, env=(*confinement.env, *site.exposure.env))

    def sink(data: bytes) -> None:
        excerpt.add(data)
        site.log(data)

    output = RedactedStream(site.exposure.redactor, sink)
    watch = Watch(
        timeout_s=max(0.0, deadline - time.monotonic()),
        disk=(build.env, build.tree),
        cancelled=site.cancelled,
        tick=site.tick,
    )
    argv = ["/bin/sh", "-c", command]
    ran = run(site.sandbox, argv, confinement, sink=output.feed, watch=watch)
    output.close()
    return ran


def _confinement(plan: SetupPlan, site: Site, build: Build, *, folder: str) -> Confinement:
    toolchains = [bind for toolchain in plan.toolchains for bind in toolchain.binds]
    return Confinement(
        binds=(
            *toolchains,
            Bind(host=site.uv, inside=UV_INSIDE),
            Bind(host=build.tree, inside="/workspace", writable=True),
            Bind(host=build.env, inside="/env", writable=True),
            *_parts(plan, build.env, writable=True),
        ),
        limits=site.limits,
        network=Network.HOST,
        env=(*plan.env, *plan.setup_env, *site.env),
        path=search_path(plan),
        cwd=inside_tree(folder),
    )


def _parts(plan: SetupPlan, env: str, *, writable: bool) -> tuple[Bind, ...]:
    """The plan's binds. A set-up command may have put a link to a host folder in such a place."""
    for bind in plan.binds:
        if not is_plain_folder(env, bind.host):
            raise ValueError(f"{bind.host} of the environment is no plain folder")
    return tuple(
        Bind(host=os.path.join(env, bind.host), inside=bind.inside, writable=writable)
        for bind in plan.binds
    )
