"""Attacks on the set-up phase: by its own commands, on other repositories, and by a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.agents.repository_config import DeclaredSetup
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import Bind, Confinement, Limits
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.environments import detect
from mcp_cloud_agents.environments.host import Host
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.environments import EnvironmentFolder
from mcp_cloud_agents.worker.run import Watch, run
from mcp_cloud_agents.worker.setup import Site, environment_binds, prepare

OWNER = 62_000 if os.geteuid() == 0 else None
LIMITS = Limits(setup_timeout_s=30, memory_mib=512, processes=64, disk_mib=256, tmp_mib=32)
KEY = "c" * 64
MODULES = Bind(host="node/node_modules", inside="/workspace/node_modules")


def check_out(path: str) -> None:
    os.mkdir(path, 0o700)
    if OWNER is not None:
        os.chown(path, OWNER, OWNER)


def own_folder(path: Path) -> Path:
    """A folder that belongs to the jobs' user: not its permissions are what protects it."""
    path.mkdir(exist_ok=True)
    if OWNER is not None:
        os.chown(path, OWNER, OWNER)
    return path


@pytest.fixture
def site(open_path: Path) -> Site:
    folder = EnvironmentFolder(str(open_path / "environments"), owner=OWNER)
    folder.open()
    uv = open_path / "uv"
    uv.touch(mode=0o755)
    return Site(
        sandbox=Bubblewrap(),
        folder=folder,
        uv=str(uv),
        checkout=check_out,
        log=lambda data: None,
        limits=LIMITS,
    )


def a_plan(*commands: str, key: str = KEY) -> SetupPlan:
    return SetupPlan(commands=commands, key=key, source="an attack")


def run_phase(env: str, plan: SetupPlan, command: str, workspace: Path) -> int | None:
    own_folder(workspace)
    confinement = Confinement(
        binds=(
            Bind(host=str(workspace), inside="/workspace", writable=True),
            *environment_binds(plan, env),
        ),
        limits=LIMITS,
    )
    argv: Sequence[str] = ["/bin/sh", "-c", command]
    watch = Watch(timeout_s=30)
    return run(Bubblewrap(), argv, confinement, sink=lambda data: None, watch=watch).exit_code


def built(site: Site, plan: SetupPlan) -> str:
    prepared = prepare(plan, site)
    assert (prepared.how, prepared.cause) == ("built", None)
    assert prepared.env is not None
    return prepared.env


def test_the_same_declarations_in_two_repositories_share_no_environment() -> None:
    declared = DeclaredSetup(commands=("make deps",))
    tree = detect.gather(frozenset(), lambda paths: {}, declared=declared)
    host = Host(image="x")
    keys = {
        detect.plan(tree, host, repository=name, runner=None, declared=declared).key
        for name in ("mine", "theirs")
    }
    assert len(keys) == 2


def test_a_set_up_cannot_see_or_write_other_environments(site: Site, open_path: Path) -> None:
    victim = Path(built(site, a_plan("echo good > /env/x", key="d" * 64)))
    probe = (
        f"! ls {open_path} 2>/dev/null && ! echo bad > {victim}/x && ! ls /env/.. | grep -q ready"
    )
    assert prepare(a_plan(probe), site).cause is None
    assert (victim / "x").read_text() == "good\n"


@pytest.mark.parametrize(
    "attack",
    [
        "echo bad > /env/x",
        "rm /env/x",
        "touch /env/new",
        "chmod 777 /env && touch /env/new",
        "mount -o remount,rw /env; touch /env/new",
        "mkdir /workspace/m && mount --bind /env /workspace/m && touch /workspace/m/new",
        "echo bad > /workspace/node_modules/a",
        "mv /env/node /env/other",
    ],
)
def test_the_run_phase_cannot_change_a_cached_environment(
    attack: str, site: Site, open_path: Path
) -> None:
    plan = replace(a_plan("echo good > /env/x; echo good > node_modules/a"), binds=(MODULES,))
    env = built(site, plan)
    before = sorted(str(path) for path in Path(env).rglob("*"))
    assert run_phase(env, plan, attack, open_path / "workspace") != 0
    assert sorted(str(path) for path in Path(env).rglob("*")) == before
    assert Path(env, "x").read_text() == Path(env, "node/node_modules/a").read_text() == "good\n"


@pytest.mark.parametrize("part", ["node", "node/node_modules"])
def test_a_link_in_the_place_of_a_shown_folder_never_shows_the_host(
    part: str, site: Site, open_path: Path
) -> None:
    secrets = own_folder(open_path / "secrets")
    plan = replace(
        a_plan(
            f"mv /env/{part} /env/aside && ln -s {secrets} /env/{part}",
            "touch /workspace/node_modules/written",
        ),
        binds=(MODULES,),
    )
    cause = prepare(plan, site).cause
    assert cause is not None
    assert cause.kind is CauseKind.SETUP_FAILED
    assert list(secrets.iterdir()) == []


def test_a_link_left_by_the_last_command_is_found_before_it_is_used(
    site: Site, open_path: Path
) -> None:
    plan = replace(
        a_plan(f"mv /env/node /env/aside && ln -s {open_path} /env/node"),
        binds=(MODULES,),
    )
    cause = prepare(plan, site).cause
    assert cause is not None
    assert "replaced a folder of /env" in cause.message


def test_a_link_at_a_cached_environment_is_refused_at_every_use(open_path: Path) -> None:
    (open_path / "node").symlink_to("/etc")
    plan = replace(a_plan("true"), binds=(MODULES,))
    with pytest.raises(ValueError, match="no plain folder"):
        environment_binds(plan, str(open_path))


def test_links_to_the_host_inside_an_environment_lead_nowhere(site: Site, open_path: Path) -> None:
    secret = open_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    plan = a_plan(f"ln -s {secret} /env/link; ln -s / /env/root; ln -s /proc/1/root /env/proc")
    env = built(site, plan)
    command = f"cat /env/link || cat /env/root{secret} || cat /env/proc{secret}"
    assert run_phase(env, plan, command, open_path / "workspace") != 0


def test_a_linked_cache_folder_does_not_lead_clean_up_outside(site: Site, open_path: Path) -> None:
    outside = open_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (outside / "kept").write_text("x")
    prepare(a_plan(f"rm -rf /env/.cache; ln -s {outside} /env/.cache"), site)
    assert [path.name for path in outside.iterdir()] == ["kept"]


def test_generated_files_are_never_read_through_links(site: Site, open_path: Path) -> None:
    secret = open_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    workspace = own_folder(open_path / "workspace")
    plan = a_plan(
        f"ln -s {secret} /workspace/link; mkdir /workspace/d; ln -s {open_path} /workspace/d/up;"
        f" mkdir -p /env/generated; ln -s {secret} /env/generated/direct"
    )
    prepare(plan, replace(site, workspace=str(workspace)))
    contents = [path.read_text() for path in workspace.rglob("*") if not path.is_symlink()]
    assert contents == []


def test_generated_files_do_not_follow_links_of_the_tree(site: Site, open_path: Path) -> None:
    outside = own_folder(open_path / "outside")
    workspace = own_folder(open_path / "workspace")
    (workspace / "src").symlink_to(outside)
    prepare(a_plan("mkdir src; echo x > src/new"), replace(site, workspace=str(workspace)))
    assert list(outside.iterdir()) == []


def test_set_up_sees_no_secret_of_the_host(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "s3cret")
    probe = (
        "! env | grep -q s3cret"
        " && ! cat /proc/*/environ 2>/dev/null | grep -aq s3cret"
        " && ! ls /home/*/.ssh /run/docker.sock /var/lib/mcp-cloud-agents 2>/dev/null"
        " && ! grep -q . /etc/shadow"
    )
    assert prepare(a_plan(probe), site).cause is None


def test_a_process_left_behind_by_set_up_does_not_live_on(site: Site, open_path: Path) -> None:
    plan = a_plan("(setsid sh -c 'while :; do echo x >> /env/log; done' &) ; echo started")
    env = Path(built(site, plan))
    size = (env / "log").stat().st_size if (env / "log").exists() else 0
    assert run_phase(str(env), plan, "true", open_path / "workspace") == 0
    assert ((env / "log").stat().st_size if (env / "log").exists() else 0) == size


def test_a_half_built_environment_is_never_used_after_a_kill(site: Site) -> None:
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
            uv={site.uv!r}, checkout=check_out, log=lambda data: os.write(1, data), limits=Limits())
prepare(SetupPlan(commands=("echo half > /env/x; echo now; cat /dev/zero > /dev/null",),
                  key={KEY!r}), site)
"""
    builder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert builder.stdout is not None
    with builder.stdout:
        assert any(line == b"now\n" for line in builder.stdout)
        builder.send_signal(signal.SIGKILL)
    builder.wait(timeout=30)
    assert site.folder.mark(KEY) is None
    env = built(site, a_plan("test ! -e /env/x && echo whole > /env/x"))
    assert Path(env, "x").read_text() == "whole\n"
    site.folder.prune(keep_days=1, keep_gib=1, now=0)
    assert os.listdir(os.path.join(site.folder.path, "building")) == []


def test_a_mark_that_was_damaged_makes_the_environment_absent(site: Site) -> None:
    prepared = prepare(a_plan("echo 1 > /env/x"), site)
    assert prepared.lock is not None
    os.close(prepared.lock)
    Path(site.folder.path, "ready", KEY, "ready.json").write_text("{")
    assert prepare(a_plan("test ! -e /env/x"), site).how == "built"


def test_folders_nested_past_every_limit_are_still_removed(site: Site) -> None:
    dig = (
        "i=0; while [ $i -lt 3000 ]; do mkdir ddddddddd && cd ddddddddd || break; i=$((i+1)); done"
    )
    plan = a_plan(
        f"cd /env && {dig}; mkdir /env/shut && touch /env/shut/x && chmod 0 /env/shut; false"
    )
    assert prepare(plan, site).cause is not None
    assert os.listdir(os.path.join(site.folder.path, "building")) == []


@pytest.mark.parametrize("key", ["", "..", "../../etc", "A" * 64, "a" * 63, "a" * 64 + "/x"])
def test_a_key_that_is_no_digest_is_no_path(key: str, site: Site) -> None:
    with pytest.raises(ValueError, match="no key of an environment"):
        site.folder.env(key)
