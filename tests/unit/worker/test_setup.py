"""The set-up phase with real sandboxes and offline commands: built once, reused, never half."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import Bind, Limits
from mcp_cloud_agents.domain.setup import SetupPlan, Toolchain
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.environments import EnvironmentFolder
from mcp_cloud_agents.worker.setup import Prepared, Site, environment_binds, prepare, search_path

JOB_UID = 62_000
OWNER = JOB_UID if os.geteuid() == 0 else None
KEY = "a" * 64
LIMITS = Limits(setup_timeout_s=30, memory_mib=512, processes=64, disk_mib=256, tmp_mib=32)


class Log:
    """What a job's log got."""

    def __init__(self) -> None:
        self.data = b""

    def __call__(self, data: bytes) -> None:
        self.data += data

    @property
    def text(self) -> str:
        return self.data.decode()


def check_out(path: str) -> None:
    os.mkdir(path, 0o700)
    file = Path(path, "hello.txt")
    file.write_text("from the tree\n")
    if OWNER is not None:
        os.chown(path, OWNER, OWNER)
        os.chown(file, OWNER, OWNER)


@pytest.fixture
def folder(open_path: Path) -> EnvironmentFolder:
    found = EnvironmentFolder(str(open_path / "environments"), owner=OWNER)
    found.open()
    return found


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def site(folder: EnvironmentFolder, log: Log, open_path: Path) -> Site:
    uv = open_path / "uv"
    uv.write_text("#!/bin/sh\necho this is uv\n")
    uv.chmod(0o755)
    return Site(
        sandbox=Bubblewrap(),
        folder=folder,
        uv=str(uv),
        checkout=check_out,
        log=log,
        limits=LIMITS,
    )


def a_plan(*commands: str, key: str = KEY) -> SetupPlan:
    return SetupPlan(commands=commands, key=key, source="a test")


def built(site: Site, *commands: str) -> Path:
    prepared = prepare(a_plan(*commands), site)
    assert prepared.cause is None
    assert prepared.env is not None
    return Path(prepared.env)


def left_over(site: Site) -> list[str]:
    return os.listdir(os.path.join(site.folder.path, "building"))


def test_a_plan_without_commands_needs_no_environment(site: Site) -> None:
    assert prepare(SetupPlan(), site) == Prepared(env=None, how="none", duration_s=0.0)


def test_what_commands_leave_in_env_is_the_environment(site: Site, log: Log) -> None:
    env = built(site, "cat hello.txt > /env/copy", "echo second; ls /env >> /env/copy")
    assert (env / "copy").read_text() == "from the tree\ncopy\n"
    lines = log.text.splitlines()
    assert lines[:4] == [
        "# building environment aaaaaaaaaaaa (a test)",
        "$ cat hello.txt > /env/copy",
        "$ echo second; ls /env >> /env/copy",
        "second",
    ]
    assert os.listdir(env) == ["copy"]


def test_a_second_job_reuses_the_environment(site: Site, log: Log) -> None:
    first = prepare(a_plan("echo 1 > /env/x"), site)
    second = prepare(a_plan("echo 1 > /env/x"), site)
    assert (first.how, second.how, first.env) == ("built", "cached", second.env)
    assert log.text.endswith("# environment aaaaaaaaaaaa is reused (a test)\n")


def test_commands_find_uv_their_folders_and_the_persons_variables(site: Site) -> None:
    plan = replace(
        a_plan('uv; echo "$A $B $TMPDIR"; test -w "$TMPDIR"; test -w /env; test -w /workspace'),
        env=(("A", "1"),),
        setup_env=(("B", "2"), ("TMPDIR", "/env/.cache/scratch")),
        path=("/env/bin",),
    )
    log = Log()
    assert prepare(plan, replace(site, log=log, env=(("B", "3"),))).cause is None
    assert log.text.splitlines()[2:4] == ["this is uv", "1 3 /env/.cache/scratch"]


def test_the_cache_of_downloads_is_removed_whatever_its_permissions(site: Site) -> None:
    env = built(
        site, "mkdir -p /env/.cache/a/b && touch /env/.cache/a/b/c && chmod 0 /env/.cache/a"
    )
    assert os.listdir(env) == []


def test_parts_of_the_environment_are_filled_where_they_are_shown(site: Site) -> None:
    bind = Bind(host="node/node_modules", inside="/workspace/node_modules")
    plan = replace(a_plan("mkdir node_modules/a; echo x > node_modules/a/b"), binds=(bind,))
    prepared = prepare(plan, site)
    assert prepared.env is not None
    assert Path(prepared.env, "node/node_modules/a/b").read_text() == "x\n"
    assert environment_binds(plan, prepared.env) == (
        Bind(host=prepared.env, inside="/env"),
        Bind(host=f"{prepared.env}/node/node_modules", inside="/workspace/node_modules"),
    )


def test_the_run_phase_sees_toolchains_at_their_own_path() -> None:
    node = Toolchain(
        name="node",
        version="20",
        binds=(Bind(host="/opt/n", inside="/opt/n"),),
        path=("/opt/n/bin",),
    )
    system = Toolchain(name="python", version="3.11.2", binds=(), path=("/usr/bin",))
    plan = SetupPlan(toolchains=(node, system), path=("/env/venv/bin",))
    assert environment_binds(plan, None) == (Bind(host="/opt/n", inside="/opt/n"),)
    assert search_path(plan) == ("/env/venv/bin", "/opt/n/bin", "/tools/uv")


def test_a_failing_command_is_named_with_its_exit_code_and_last_lines(site: Site) -> None:
    prepared = prepare(a_plan("true", "echo one; echo two >&2; exit 7", "touch /env/never"), site)
    assert prepared.env is None
    cause = prepared.cause
    assert cause is not None
    assert (cause.kind, cause.message, cause.excerpt) == (
        CauseKind.SETUP_FAILED,
        "Set-up command failed with exit code 7: `echo one; echo two >&2; exit 7`.",
        ("one", "two"),
    )
    assert left_over(site) == []


def test_a_failed_environment_is_not_reused(site: Site) -> None:
    assert prepare(a_plan("touch /env/half; false"), site).cause is not None
    assert prepare(a_plan("test ! -e /env/half; echo whole > /env/x"), site).how == "built"


def test_a_program_that_is_missing_is_told_with_the_plans_notes(site: Site) -> None:
    plan = replace(a_plan("no-such-program"), notes=("go 1.2 is not used: because.",))
    cause = prepare(plan, site).cause
    assert cause is not None
    assert cause.hint == (
        "A program is missing: install it where jobs can reach it. go 1.2 is not used: because."
    )


def test_a_set_up_that_takes_too_long_is_ended(site: Site) -> None:
    hasty = replace(site, limits=replace(LIMITS, setup_timeout_s=1))
    prepared = prepare(a_plan("cat /dev/zero > /dev/null"), hasty)
    assert prepared.cause is not None
    assert (prepared.cause.kind, prepared.cause.message) == (
        CauseKind.TIMEOUT,
        "Set-up did not end within 1 s: `cat /dev/zero > /dev/null`.",
    )
    assert prepared.duration_s < 5


def test_a_set_up_that_fills_the_disk_is_ended(site: Site) -> None:
    small = replace(site, limits=replace(LIMITS, disk_mib=64))
    fill = "for i in 1 2 3; do head -c 40M /dev/zero > /env/$i; done; cat /dev/zero > /dev/null"
    cause = prepare(a_plan(fill), small).cause
    assert cause is not None
    assert cause.kind is CauseKind.DISK
    assert left_over(site) == []


def test_a_cancelled_job_ends_its_set_up(site: Site) -> None:
    cancelled = replace(site, cancelled=lambda: True)
    cause = prepare(a_plan("sleep 60"), cancelled).cause
    assert cause is not None
    assert cause.kind is CauseKind.CANCELLED


def test_an_unreachable_registry_is_recognised(site: Site) -> None:
    cause = prepare(a_plan("echo 'error: dns error: failed to lookup address'; exit 2"), site).cause
    assert cause is not None
    assert cause.hint.startswith("The package registry could not be reached")


def test_an_environment_in_use_is_never_pruned(site: Site) -> None:
    prepared = prepare(a_plan("true"), site)
    assert prepared.lock is not None
    far = 4e9
    assert site.folder.prune(keep_days=1, keep_gib=1, now=far) == ()
    os.close(prepared.lock)
    assert site.folder.prune(keep_days=1, keep_gib=1, now=far) == (KEY,)
    assert prepare(a_plan("true"), site).how == "built"


def test_the_longest_unused_environments_make_room(site: Site) -> None:
    keys = ["1" * 64, "2" * 64, "3" * 64]
    for age, key in enumerate(keys):
        prepared = prepare(a_plan("head -c 1M /dev/urandom > /env/x", key=key), site)
        assert prepared.lock is not None
        os.close(prepared.lock)
        os.utime(os.path.join(site.folder.path, "ready", key, "ready.json"), (age, 1_000 + age))
    removed = site.folder.prune(keep_days=1, keep_gib=1.5 / 1024, now=2_000)
    assert sorted(removed) == keys[:2]


def test_waiting_for_another_builder_ends_when_the_job_is_cancelled(site: Site, log: Log) -> None:
    held = site.folder.try_lock(KEY, exclusive=True)
    assert held is not None
    cause = prepare(a_plan("true"), replace(site, cancelled=lambda: True)).cause
    assert cause is not None
    assert cause.kind is CauseKind.CANCELLED
    assert log.text == "# waiting for another job that builds the same environment\n"
    os.close(held)


def test_waiting_for_another_builder_has_a_deadline(site: Site) -> None:
    held = site.folder.try_lock(KEY, exclusive=True)
    assert held is not None
    hasty = replace(site, limits=replace(LIMITS, setup_timeout_s=0))
    cause = prepare(a_plan("true"), hasty).cause
    assert cause is not None
    assert cause.kind is CauseKind.TIMEOUT
    os.close(held)


def test_jobs_that_start_together_build_once(open_path: Path, site: Site) -> None:
    """Each in its own process, as real jobs: a sandbox lives and dies with its thread."""
    script = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.environments import EnvironmentFolder
from mcp_cloud_agents.worker.setup import Site, prepare
owner = {OWNER!r}
def check_out(path):
    os.mkdir(path, 0o700)
    if owner: os.chown(path, owner, owner)
site = Site(sandbox=Bubblewrap(), folder=EnvironmentFolder({site.folder.path!r}, owner=owner),
            uv={site.uv!r}, checkout=check_out, log=lambda data: None, limits=Limits())
prepared = prepare(SetupPlan(commands=("echo x >> /env/x",), key={KEY!r}), site)
print(prepared.how, open(prepared.env + "/x").read().strip())
"""
    jobs = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = sorted(job.communicate(timeout=60)[0].strip() for job in jobs)
    assert said == ["built x", "cached x", "cached x", "cached x"]


def test_a_waiter_gets_what_the_other_job_built(site: Site) -> None:
    held = site.folder.try_lock(KEY, exclusive=True)
    assert held is not None
    looked = threading.Event()

    def other_builder() -> None:
        assert looked.wait(timeout=10)
        os.close(held)

    thread = threading.Thread(target=other_builder)
    thread.start()
    tick: Callable[[], None] = looked.set
    assert prepare(a_plan("true"), replace(site, tick=tick)).how == "built"
    thread.join()


def test_files_generated_in_the_tree_reach_every_jobs_workspace(
    site: Site, open_path: Path
) -> None:
    plan = a_plan(
        "mkdir -p src/a __pycache__ build && echo 1 > 'src/a/_version 1.py' && echo 2 > hello.txt"
        " && touch __pycache__/x build/y && ln -s /etc/passwd link"
    )
    for how in ("built", "cached"):
        workspace = open_path / f"workspace-{how}"
        check_out(str(workspace))
        prepared = prepare(plan, replace(site, workspace=str(workspace)))
        assert (prepared.how, prepared.cause) == (how, None)
        found = {
            str(file.relative_to(workspace)): file.read_text()
            for file in workspace.rglob("*")
            if file.is_file()
        }
        assert found == {"hello.txt": "from the tree\n", "src/a/_version 1.py": "1\n"}
