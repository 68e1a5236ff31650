"""A job's patch brought back through the front door: the tool in both eras, and the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.terminal import program
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = pytest.mark.timeout(180)
TEXT = "".join(f"line {number}\n" for number in range(30))
OF_JOB = TEXT.replace("line 3\n", "job\n")
OF_BOTH = OF_JOB.replace("line 25\n", "mine\n")
COMMAND = "sed -i 's/^line 3$/job/' a.txt; mkdir new; echo n > new/n.txt; rm gone.txt"
Apply = Callable[..., dict[str, Any]]


@pytest.fixture
def repository(repository: Repository) -> Repository:
    repository.write("a.txt", TEXT)
    repository.write("gone.txt", "gone\n")
    repository.git("add", "-A")
    repository.git("commit", "-qm", "second")
    repository.write("untracked.txt", "u\n")
    return repository


def ended(wire: Wire, command: str, **more: str) -> str:
    """The id of a job that is done."""
    answer = wire.call("run_in_sandbox", {"command": command, **more})
    return wire.finished(answer["job_id"])["job_id"]


def read(repository: Repository, name: str) -> str:
    return (repository.path / name).read_text()


def test_a_patch_goes_through_check_worktree_undo_and_branch(
    repository: Repository, wire: Wire
) -> None:
    job = ended(wire, COMMAND)
    repository.write("a.txt", TEXT.replace("line 25\n", "mine\n"))
    status = repository.git("status", "--porcelain")

    told = wire.call("apply_patch", {"job_id": job})
    assert {name: told[name] for name in ("ok", "mode", "applies", "changed", "files")} == {
        "ok": True,
        "mode": "check",
        "applies": True,
        "changed": False,
        "files": 3,
    }
    assert [(path["how"], path["path"]) for path in told["paths"]] == [
        ("modified", "a.txt"),
        ("deleted", "gone.txt"),
        ("added", "new/n.txt"),
    ]
    assert repository.git("status", "--porcelain") == status

    done = wire.call("apply_patch", {"job_id": job, "mode": "worktree"})
    assert (done["ok"], done["changed"], done["insertions"], done["deletions"]) == (
        True,
        True,
        2,
        2,
    )
    assert read(repository, "a.txt") == OF_BOTH
    assert not (repository.path / "gone.txt").exists()
    assert done["undo"].endswith(f"mcp-cloud-agents apply {job} --undo")

    undone = program(repository, "apply", job, "--undo")
    assert (undone.returncode, "taken out again: 3 files" in undone.stdout) == (0, True)
    assert repository.git("status", "--porcelain") == status
    assert read(repository, "a.txt") == TEXT.replace("line 25\n", "mine\n")

    branched = wire.call("apply_patch", {"job_id": job, "mode": "branch", "branch": "fix/it"})
    assert (branched["ok"], branched["branch"]) == (True, "fix/it")
    assert repository.git("show", "fix/it:a.txt") == OF_JOB
    assert repository.git("status", "--porcelain") == status


def test_conflicts_come_as_a_list_and_nothing_changes(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = ended(wire, COMMAND)
    repository.write("a.txt", TEXT.replace("line 3\n", "mine\n"))
    told = wire.call("apply_patch", {"job_id": job, "mode": "check"})
    assert (told["ok"], told["applies"]) == (True, False)
    assert told["conflicts"] == ["a.txt: changed in the same place"]
    refused = wire.call("apply_patch", {"job_id": job, "mode": "worktree"})
    assert (refused["ok"], refused["error"]["code"]) == (False, "patch_conflict")
    assert refused["error"]["paths"] == ["a.txt: changed in the same place"]
    assert (repository.path / "gone.txt").exists()
    assert program(repository, "apply", job, "--mode", "check").returncode == 1
    refused_here = program(repository, "apply", job)
    assert refused_here.returncode == 2
    assert "error patch_conflict: " in refused_here.stderr


def test_jobs_without_a_patch_and_jobs_that_are_none_are_told(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    quiet = ended(wire, "true")
    under_way = wire.call("run_in_sandbox", {"command": "echo begun; sleep 600"})["job_id"]
    codes = {
        job: wire.call("apply_patch", {"job_id": job, "mode": "worktree"})["error"]["code"]
        for job in (quiet, under_way, "j-none")
    }
    assert codes == {quiet: "no_patch", under_way: "no_patch", "j-none": "unknown_job"}
    wire.call("cancel_job", {"job_id": under_way})
    assert program(repository, "apply", quiet, "--undo").returncode == 2


def test_another_worktree_only_when_told_and_another_repository_never(
    repository: Repository, connect: Connect, open_path: Path
) -> None:
    wire = connect(MCP_CLOUD_AGENTS_ALLOWED_ROOTS=str(open_path))
    job = ended(wire, COMMAND)
    second, other = open_path / "second", open_path / "other"
    repository.git("worktree", "add", "-q", str(second))
    repository.git("init", "-q", str(other))
    order = {"job_id": job, "mode": "worktree", "workspace": str(second)}
    refused = wire.call("apply_patch", order)
    assert refused["error"]["code"] == "wrong_worktree"
    assert (second / "a.txt").read_text() == TEXT
    assert wire.call("apply_patch", {**order, "other_worktree": True})["changed"]
    assert (second / "a.txt").read_text() == OF_JOB
    assert read(repository, "a.txt") == TEXT
    stranger = {**order, "workspace": str(other), "other_worktree": True}
    assert wire.call("apply_patch", stranger)["error"]["code"] == "wrong_worktree"
    undone = program(repository, "apply", job, "--undo", "--into", str(second))
    assert undone.returncode == 0, undone.stderr
    assert (second / "a.txt").read_text() == TEXT


def test_a_worktree_outside_of_the_roots_is_refused(
    repository: Repository, connect: Connect, open_path: Path
) -> None:
    wire = connect()
    job = ended(wire, COMMAND)
    repository.git("worktree", "add", "-q", str(open_path / "second"))
    order = {"job_id": job, "workspace": str(open_path / "second"), "other_worktree": True}
    assert wire.call("apply_patch", order)["error"]["code"] == "workspace_not_allowed"


def test_protected_paths_need_the_command_of_a_person(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = ended(wire, "echo '{}' > .mcp.json")
    told = wire.call("apply_patch", {"job_id": job})
    assert (told["applies"], len(told["protected"])) == (False, 1)
    refused = wire.call("apply_patch", {"job_id": job, "mode": "worktree"})
    assert refused["error"]["code"] == "protected_paths"
    command = refused["error"]["hint"].partition("mcp-cloud-agents ")[2].split()
    assert command == ["apply", job, "--allow-protected"]
    assert not (repository.path / ".mcp.json").exists()
    assert program(repository, "apply", job).returncode == 2
    assert program(repository, *command).returncode == 0
    assert read(repository, ".mcp.json") == "{}\n"


def test_bytes_that_were_tampered_with_are_refused(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = ended(wire, COMMAND)
    state = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])
    patch = state / "jobs" / job / "artifacts" / "patch.diff"
    good = patch.read_bytes()
    for bad in (good.replace(b"+job", b"+bad"), good + b"\n", good[:-10], b""):
        patch.write_bytes(bad)
        refused = wire.call("apply_patch", {"job_id": job, "mode": "worktree"})
        assert refused["error"]["code"] == "patch_damaged", refused
    patch.unlink()
    refused = wire.call("apply_patch", {"job_id": job, "mode": "worktree"})
    assert refused["error"]["code"] == "patch_damaged"
    assert read(repository, "a.txt") == TEXT


def test_a_snapshot_that_was_cleaned_up_is_told_with_the_way_out(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = ended(wire, "echo more >> untracked.txt")
    repository.write("untracked.txt", "other\n")
    state = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])
    for name in ("snapshots", "repositories"):
        # In one step: what tidies up behind the server may still write below.
        (state / name).rename(state / f"{name}.gone")
        (state / name).mkdir()
    refused = wire.call("apply_patch", {"job_id": job, "mode": "worktree"})
    assert refused["error"]["code"] == "base_missing"
    assert f"mcp-cloud-agents artifact {job} patch.diff" in refused["error"]["hint"]
