"""The person's command-line agents: found behind npm's scripts, and shown alone."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import Engine, Provider
from mcp_cloud_agents.domain.fix_policy import FixPolicy, FixWish, ModelTable
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.domain.sandbox import JOB_UID, Bind, Limits
from mcp_cloud_agents.domain.setup import Toolchain
from mcp_cloud_agents.environments.agent_programs import agent_program
from mcp_cloud_agents.environments.host import Want
from mcp_cloud_agents.environments.planner import TreePlanner
from mcp_cloud_agents.environments.toolchains import Search, find, on_this_machine
from mcp_cloud_agents.environments.worker_image import in_image
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

NATIVE = b"\x7fELF\x02\x01\x01"
CPU = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "none")
PLATFORM = f"{platform.system().lower()}-{CPU}"


def a_program(path: Path, content: bytes = NATIVE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def search(*folders: Path, avoid: str = "", job_uid: int | None = None) -> Search:
    path = ":".join(map(str, folders))
    return Search(search_path=path, home="/home/p", avoid=avoid, job_uid=job_uid)


def shown(program: Path, name: str, engine: Engine) -> Toolchain:
    bind = Bind(host=str(program), inside=f"/tools/{name}/{name}")
    return Toolchain(name=str(engine), version="", binds=(bind,), path=(f"/tools/{name}",))


def test_a_native_program_is_shown_behind_its_links(tmp_path: Path) -> None:
    program = a_program(tmp_path / "share/claude/versions/2.1.0")
    link = tmp_path / "bin/claude"
    link.parent.mkdir()
    link.symlink_to(program)
    found = agent_program(Engine.CLAUDE_CODE, search(tmp_path / "none", link.parent))
    assert found == shown(program, "claude", Engine.CLAUDE_CODE)


@pytest.mark.parametrize("place", ["@openai", "@openai/codex/node_modules/@openai"])
def test_npms_script_leads_to_the_program_of_this_processor(tmp_path: Path, place: str) -> None:
    modules = tmp_path / "lib/node_modules"
    script = a_program(modules / "@openai/codex/bin/codex.js", b"#!/usr/bin/env node\n")
    program = a_program(modules / place / f"codex-{PLATFORM}/vendor/any-triple/bin/codex")
    a_program(modules / place / "codex-windows-x64/vendor/any-triple/bin/codex")
    link = tmp_path / "bin/codex"
    link.parent.mkdir()
    link.symlink_to(script)
    found = agent_program(Engine.CODEX, search(link.parent))
    assert found == shown(program, "codex", Engine.CODEX)


def test_a_program_of_the_worktree_is_never_taken(tmp_path: Path) -> None:
    a_program(tmp_path / "tree/bin/claude")
    with pytest.raises(ModelUnusable, match="not installed here") as refused:
        agent_program(
            Engine.CLAUDE_CODE, search(tmp_path / "tree/bin", avoid=str(tmp_path / "tree"))
        )
    assert "npm install -g @anthropic-ai/claude-code" in refused.value.hint


def test_a_script_alone_is_no_program(tmp_path: Path) -> None:
    a_program(tmp_path / "claude", b"#!/bin/sh\n")
    with pytest.raises(ModelUnusable, match="not installed here"):
        agent_program(Engine.CLAUDE_CODE, search(tmp_path))


def test_a_program_that_jobs_cannot_reach_is_named_with_what_bars_the_way(open_path: Path) -> None:
    hidden = open_path / "home"
    a_program(hidden / "claude")
    hidden.chmod(0o700)
    with pytest.raises(ModelUnusable, match=f"cannot pass {hidden}"):
        agent_program(Engine.CLAUDE_CODE, search(hidden, job_uid=JOB_UID))
    hidden.chmod(0o711)
    assert agent_program(Engine.CLAUDE_CODE, search(hidden, job_uid=JOB_UID)).binds
    (hidden / "claude").chmod(0o700)
    with pytest.raises(ModelUnusable, match="cannot pass"):
        agent_program(Engine.CLAUDE_CODE, search(hidden, job_uid=JOB_UID))


def test_an_engine_is_found_like_any_toolchain(tmp_path: Path) -> None:
    program = a_program(tmp_path / "codex")
    found = find([Want(name="codex")], search(tmp_path))
    assert found.toolchains == (shown(program, "codex", Engine.CODEX),)


def test_an_image_has_it_on_its_path() -> None:
    found = in_image("worker:1", "3.11")([Want(name="codex")], avoid="")
    assert found.toolchains == (
        Toolchain(name="codex", version="", binds=(), path=("/usr/local/bin",)),
    )


def test_a_plan_shows_the_program_of_the_engine_that_was_asked_for(tmp_path: Path) -> None:
    program = a_program(tmp_path / "bin/codex")
    snapshots = GitSnapshots(str(tmp_path / "state"), ScreenRules(), home=str(tmp_path))
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pytest.ini").write_text("[pytest]\n")
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    snapshot = snapshots.take(snapshots.locate(str(tree)))
    machine = on_this_machine(search(program.parent, Path("/usr/bin")))
    policy = FixPolicy(models=(ModelTable(provider=Provider.OPENAI, model="gpt-5"),))
    planner = TreePlanner(snapshots, Limits(), machine, (), policy)

    def planned(engine: Engine) -> tuple[Toolchain, ...]:
        fix = FixWish(goal="g", engine=engine)
        wish = Wish(kind=Kind.FIX, command="pytest", fix=fix)
        return planner.plan(snapshot, wish).setup.toolchains

    assert planned(Engine.CODEX)[-1] == shown(program, "codex", Engine.CODEX)
    assert planned(Engine.CODEX)[:-1] == planned(Engine.MODEL)
    with pytest.raises(ModelUnusable, match="needs the program claude"):
        planned(Engine.CLAUDE_CODE)
