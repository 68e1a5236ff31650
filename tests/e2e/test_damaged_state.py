"""A state folder that is damaged or full while jobs run: told clearly, and nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.wire import Connect, Repository, Wire
from tests.tiers import tiers

pytestmark = pytest.mark.timeout(180)
SUBMIT = {"command": "echo ran", "idempotency_key": "deploy-7"}


def delete(records: Path) -> None:
    for path in records.parent.glob("records.sqlite*"):
        path.unlink()


def delete_the_file_alone(records: Path) -> None:
    records.unlink()


def empty(records: Path) -> None:
    os.truncate(records, 0)


def overwrite(records: Path) -> None:
    records.write_bytes(b"not a database\n" * 5_000)


def spoil_the_middle(records: Path) -> None:
    with records.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (records.stat().st_size - 100))


@pytest.mark.parametrize(
    "damage", tiers([delete, overwrite], delete_the_file_alone, empty, spoil_the_middle)
)
def test_a_lost_index_is_rebuilt_while_jobs_run(
    repository: Repository, connect: Connect, damage: Callable[[Path], None]
) -> None:
    wire = connect()
    ended = wire.call("run_in_sandbox", SUBMIT)["job_id"]
    wire.finished(ended)
    running = wire.call("run_in_sandbox", {"command": "echo begun; sleep 1"})["job_id"]
    damage(Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "records.sqlite"))
    for server in (wire, connect("legacy")):
        assert {line["job_id"] for line in server.call("list_jobs")["jobs"]} == {ended, running}
    assert wire.call("run_in_sandbox", SUBMIT)["job_id"] == ended
    assert wire.finished(running)["state"] == "succeeded"


@pytest.fixture
def small_disk(open_path: Path) -> Iterator[Path]:
    """A folder of 96 MiB of its own."""
    folder = open_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m,mode=0711", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root, where mounting is allowed, can make a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4_096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (folder / "more").write_bytes(b"x" * 4_096)
    (folder / "more").unlink()
    return path


def begun(wire: Wire, job: str) -> None:
    while "\nbegun" not in wire.call("read_log", {"job_id": job})["text"]:
        wire.call("wait_job", {"job_id": job, "timeout_s": 0.2})


def test_a_full_disk_is_told_and_what_was_there_still_reads(
    connect: Connect, small_disk: Path
) -> None:
    wire = connect(MCP_CLOUD_AGENTS_STATE_DIR=str(small_disk / "state"))
    before = wire.call("run_in_sandbox", {"command": "echo before > new.txt; echo said"})["job_id"]
    wire.finished(before)
    filler = fill(small_disk)
    refused = wire.call("run_in_sandbox", SUBMIT)
    assert refused["error"]["code"] == "no_space", refused
    assert str(small_disk) in refused["error"]["message"]
    assert [line["state"] for line in wire.call("list_jobs")["jobs"]][-1] == "succeeded"
    assert "\nsaid\n" in wire.call("read_log", {"job_id": before})["text"]
    assert (
        "new.txt" in wire.call("get_artifact", {"job_id": before, "name": "patch.diff"})["content"]
    )
    filler.unlink()
    assert not list(small_disk.glob("state/**/*.tmp"))
    assert not list(small_disk.glob("state/jobs/.*"))
    answer = wire.call("run_in_sandbox", SUBMIT)
    assert wire.finished(answer["job_id"])["state"] == "succeeded"


def test_a_server_that_starts_on_a_full_disk_says_so_until_there_is_space(
    connect: Connect, small_disk: Path
) -> None:
    filler = fill(small_disk)
    wire = connect(MCP_CLOUD_AGENTS_STATE_DIR=str(small_disk / "state"))
    assert wire.call("list_jobs")["error"]["code"] == "no_space"
    filler.unlink()
    answer = wire.call("run_in_sandbox", SUBMIT)
    assert wire.finished(answer["job_id"])["state"] == "succeeded"


def test_a_job_whose_disk_fills_up_ends_with_that_cause(connect: Connect, small_disk: Path) -> None:
    wire = connect(MCP_CLOUD_AGENTS_STATE_DIR=str(small_disk / "state"))
    command = "echo begun; sleep 1; seq 100000; echo new > new.txt"
    job = wire.call("run_in_sandbox", {"command": command})["job_id"]
    begun(wire, job)
    filler = fill(small_disk)
    done = wire.finished(job)
    assert (done["state"], done["error"]["code"]) == ("failed", "disk"), done
    assert "begun" in wire.call("read_log", {"job_id": job, "offset": 0})["text"]
    filler.unlink()
    assert wire.call("get_job", {"job_id": job})["state"] == "failed"


def test_a_test_job_goes_on_telling_its_end_when_its_progress_finds_no_space(
    connect: Connect, repository: Repository, small_disk: Path
) -> None:
    tests = "".join(f"    def test_{n}(self):\n        time.sleep(0.05)\n" for n in range(40))
    repository.write("test_it.py", f"import time, unittest\nclass T(unittest.TestCase):\n{tests}")
    wire = connect(MCP_CLOUD_AGENTS_STATE_DIR=str(small_disk / "state"))
    command = "echo begun; python3 -m unittest"
    job = wire.call("run_tests_cloud", {"command": command})["job_id"]
    begun(wire, job)
    fill(small_disk)
    done = wire.finished(job)
    assert (done["state"], done["error"]["code"]) == ("failed", "disk"), done
