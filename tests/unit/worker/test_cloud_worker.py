"""The worker in the cloud, as a process of its own, on a bucket on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from mcp_cloud_agents.domain.fix import Budget, Engine, FixOrder
from mcp_cloud_agents.domain.job import JobState, Kind
from mcp_cloud_agents.domain.result import CauseKind, VerdictOutcome
from mcp_cloud_agents.domain.sandbox import Network
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.job_objects import TRY_AGAIN
from mcp_cloud_agents.storage.log_frames import decode
from tests.cloud_worker import (
    BUCKET,
    SMALL,
    WITHIN_S,
    Cloud,
    a_cloud,
    eventually,
    result_of,
    whole_log,
)
from tests.gateway_client import KEY, route_to
from tests.model_server.script import Script, Turn
from tests.model_server.server import model_server

TESTS = {
    "test_it.py": "import unittest\n\n\nclass T(unittest.TestCase):\n"
    "    def test_good(self):\n        pass\n\n    def test_bad(self):\n"
    "        self.assertEqual(1, 2)\n"
}
WAIT = "echo begun; touch made; sleep 600"


@pytest.fixture(scope="module")
def needed() -> None:
    probe = Bubblewrap().probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")


@pytest.fixture
def cloud(needed: None, open_path: Path) -> Iterator[Cloud]:
    with a_cloud(open_path) as found:
        yield found


@contextmanager
def late_credentials(*, refusals: int) -> Generator[str]:
    """Address of a role's credentials on loopback, refused some times before they are given."""
    left = [refusals]

    class Role(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            left[0] -= 1
            self.send_response(503 if left[0] >= 0 else 200)
            self.end_headers()
            given = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c"}
            self.wfile.write(json.dumps({**given, "Expiration": "2099-01-01T00:00:00Z"}).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Role) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/credentials"
        finally:
            server.shutdown()


def test_a_command_runs_and_leaves_log_patch_result_and_state(cloud: Cloud) -> None:
    job = cloud.job({"a.txt": "old\n"}, "cat a.txt; echo new > a.txt; exit 7")
    code, _, said = cloud.run(job)
    assert code == 0, said
    result = result_of(job)
    assert (result.state, result.exit_code) == (JobState.SUCCEEDED, 7)
    assert result.isolation.run_network is Network.NONE
    assert "$ cat a.txt; echo new > a.txt; exit 7\nold\n" in whole_log(job)
    assert cloud.store.get(job.key("log.bin")) == whole_log(job).encode()
    (artifact,) = result.artifacts
    patch = job.artifact("patch.diff", 0, 1 << 20)
    assert patch is not None
    assert b"-old\n+new\n" in patch.data
    assert hashlib.sha256(patch.data).hexdigest() == artifact.sha256
    state = job.state()
    assert state is not None
    assert state.attempt == 1
    assert [entered for entered, _ in state.status.history] == [
        JobState.QUEUED,
        JobState.STARTING,
        JobState.RUNNING,
        JobState.COLLECTING,
        JobState.SUCCEEDED,
    ]


def test_a_command_starts_in_the_folder_of_its_specification(cloud: Cloud) -> None:
    files = {f"packages/a/{name}": text for name, text in TESTS.items()}
    given = {"kind": Kind.TESTS, "runner": "unittest", "folder": "packages/a"}
    job = cloud.job(files, "pwd; python3 -m unittest", **given)
    code, _, said = cloud.run(job)
    assert code == 0, said
    assert "packages/a$ pwd; python3 -m unittest\n/workspace/packages/a\n" in whole_log(job)
    verdict = result_of(job).verdict
    assert verdict is not None
    (failure,) = verdict.failures
    assert (failure.test.file, failure.test.line) == ("packages/a/test_it.py", 9)


def test_tests_get_their_verdict_from_a_report(cloud: Cloud) -> None:
    job = cloud.job(TESTS, "python3 -m unittest", kind=Kind.TESTS, runner="unittest")
    code, _, said = cloud.run(job)
    assert code == 0, said
    verdict = result_of(job).verdict
    assert verdict is not None
    assert verdict.outcome is VerdictOutcome.FAILED
    assert (verdict.counts.passed, verdict.counts.failed) == (1, 1)
    (failure,) = verdict.failures
    assert (failure.test.file, failure.test.line) == ("test_it.py", 9)


def test_the_live_log_has_the_offsets_of_the_durable_one(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "printf 'one\\\\two\\n\\351\\n'; printf part")
    _, lines, _ = cloud.run(job)
    frames = [frame for line in lines if (frame := decode(line)) is not None]
    assert b"".join(data for _, data in frames) == job.log(0, 1 << 20).data
    assert [offset for offset, _ in frames] == [
        sum(len(data) for _, data in frames[:number]) for number in range(len(frames))
    ]


def test_a_job_with_a_result_is_not_done_again(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "echo once")
    assert cloud.run(job)[0] == 0
    before = {one.key: cloud.store.get(one.key) for one in cloud.store.list(job.key(""))}
    code, lines, said = cloud.run(job, attempt=2)
    assert (code, lines) == (0, [])
    assert "completed_before" in said
    assert {one.key: cloud.store.get(one.key) for one in cloud.store.list(job.key(""))} == before


def test_a_job_that_another_one_of_batch_does_is_left_alone(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "echo once")
    assert job.take("first") == "first"
    before = {one.key for one in cloud.store.list(job.key(""))}
    code, lines, said = cloud.run(job, AWS_BATCH_JOB_ID="second")
    assert (code, lines) == (0, [])
    assert "not_ours" in said
    assert {one.key for one in cloud.store.list(job.key(""))} == before
    code, _, said = cloud.run(job, attempt=2, AWS_BATCH_JOB_ID="first")
    assert (code, result_of(job).state) == (0, JobState.SUCCEEDED), said


@pytest.mark.slow
def test_a_cancel_ends_the_job_with_a_result(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, WAIT)
    process = cloud.start(job)
    eventually(lambda: "begun\n" in whole_log(job))
    job.ask_to_cancel()
    _, said = process.communicate(timeout=40)
    assert process.returncode == 0, said
    result = result_of(job)
    assert result.state is JobState.CANCELLED
    assert result.cause is not None
    assert result.cause.kind is CauseKind.CANCELLED
    assert [artifact.name for artifact in result.artifacts] == ["patch.diff"]


def test_a_cancel_followed_by_termination_still_has_a_result(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, WAIT)
    process = cloud.start(job)
    eventually(lambda: "begun\n" in whole_log(job))
    job.ask_to_cancel()
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert result_of(job).state is JobState.CANCELLED


@pytest.mark.slow
def test_a_reclaimed_attempt_leaves_no_result_and_the_next_one_does_the_job(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "echo begun; touch made; test -e /nowhere || sleep 600")
    process = cloud.start(job)
    eventually(lambda: "begun\n" in whole_log(job))
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert job.result() is None
    assert job.artifact("attempt-1.patch.diff", 0, 9) is not None
    first = whole_log(job)
    assert "attempt 1 was ended from outside" in first
    state = job.state()
    assert state is not None
    assert not state.status.state.done
    spec = job.spec()
    cloud.store.put(
        job.key("spec.json"),
        msgspec.json.encode(replace(spec, limits=replace(SMALL, timeout_s=1))),
    )
    code, lines, said_2 = cloud.run(job, attempt=2)
    assert code == 0, said_2
    assert result_of(job).state is JobState.TIMED_OUT
    log = whole_log(job)
    assert log.startswith(first)
    assert "attempt 2" in log[len(first) :]
    assert cloud.store.get(job.key("log.bin")) == log.encode()
    offsets = [frame[0] for line in lines if (frame := decode(line)) is not None]
    assert min(offsets) == len(first.encode())
    state = job.state()
    assert state is not None
    assert (state.attempt, state.status.state) == (2, JobState.TIMED_OUT)


@pytest.mark.slow
def test_output_goes_on_while_the_store_is_away_and_arrives_later(cloud: Cloud) -> None:
    command = "echo begun; for n in $(seq 400); do echo line $n; sleep 0.02; done; echo ended"
    job = cloud.job({"a": ""}, command)
    process = cloud.start(job)
    assert process.stdout is not None
    eventually(lambda: "begun\n" in whole_log(job))
    cloud.down.set()
    lines: list[str] = []
    while not any("ended" in line and "echo" not in line for line in lines):
        lines.append(process.stdout.readline().decode())
        assert lines[-1], "the live log ended early"
    cloud.down.clear()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    expected = "".join(f"line {number}\n" for number in range(1, 401))
    assert expected in whole_log(job)
    assert result_of(job).exit_code == 0


def test_a_job_whose_snapshot_is_missing_ends_with_a_cause(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "true")
    cloud.store.delete([one.key for one in cloud.store.list("packs/")])
    code, _, said = cloud.run(job)
    assert code == 0, said
    result = result_of(job)
    assert result.state is JobState.FAILED
    assert result.cause is not None
    assert result.cause.hint


@pytest.mark.slow
def test_a_role_whose_credentials_come_late_is_waited_for(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "true")
    with late_credentials(refusals=4) as address:  # the SDK itself asks three times
        role = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": address, "AWS_ACCESS_KEY_ID": ""}
        role |= {"AWS_SECRET_ACCESS_KEY": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ""}
        code, _, said = cloud.run(job, 1, **role)
    assert (code, result_of(job).state) == (0, JobState.SUCCEEDED), said
    assert "store_unavailable: The credentials of the container's role cannot be had" in said


def test_a_worker_that_never_reaches_the_store_asks_for_another_attempt(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "true")
    cloud.down.set()
    attempt = (
        "import sys\n"
        "from mcp_cloud_agents.storage.s3_client import s3_client\n"
        "from mcp_cloud_agents.storage.s3_store import S3Store\n"
        "from mcp_cloud_agents.worker.aws.attempt import attempt\n"
        "from mcp_cloud_agents.worker.aws.order import Order\n"
        f"order = Order(bucket={BUCKET!r}, job_id={job.id!r}, attempt=1)\n"
        "store = S3Store(s3_client(), order.bucket)\n"
        "sys.exit(attempt(order, store, (), None, store_within_s=0.0))\n"
    )
    ended = subprocess.run([sys.executable, "-c", attempt], env=cloud.env(job), timeout=WITHIN_S)
    assert ended.returncode == TRY_AGAIN
    cloud.down.clear()
    assert job.result() is None


@pytest.mark.parametrize(
    "spec", ["", "s3://worker-tests/other/spec.json", "s3://worker-tests/jobs/../spec.json"]
)
def test_an_order_that_makes_no_sense_is_refused(cloud: Cloud, spec: str) -> None:
    job = cloud.job({"a": ""}, "true")
    code, lines, said = cloud.run(job, JOB_SPEC=spec)
    assert (code, lines) == (2, [])
    assert "no_order" in said


def test_a_damaged_specification_is_no_success(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "true")
    cloud.store.put(job.key("spec.json"), b'{"version": 1, "id": 3}')
    code, _, said = cloud.run(job)
    assert code == 1
    assert "damaged" in said
    cloud.store.put(job.key("spec.json"), b'{"version": 999}')
    code, _, said = cloud.run(job)
    assert code == 1
    assert "newer version" in said


@pytest.mark.slow
def test_an_environment_is_built_once_for_all_containers(cloud: Cloud) -> None:
    setup = SetupPlan(
        commands=("echo made > /env/made; date +%N >> /env/made",), key="d" * 64, source="a test"
    )
    jobs = [cloud.job({"a": ""}, "cat /env/made", setup=setup) for _ in range(2)]
    for job in jobs:
        code, _, said = cloud.run(job)
        assert code == 0, said
    assert [result_of(job).environment for job in jobs] == ["built", "cached"]
    made = [whole_log(job).partition("$ cat /env/made\n")[2] for job in jobs]
    assert made[0].startswith("made\n")
    assert made[0] == made[1]


def test_nothing_of_a_job_is_left_on_the_disk(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "mkdir -p deep/er; chmod 0 deep; exit 1")
    assert cloud.run(job)[0] == 0
    assert list((cloud.folder / f"scratch-{job.id}-1").iterdir()) == []


@pytest.mark.slow
def test_a_models_key_comes_from_the_containers_environment_and_stays_in_the_worker(
    cloud: Cloud,
) -> None:
    look = "cat /proc/*/environ /proc/*/cmdline; env; exit 1"
    turns = (Turn(calls=(("run_command", {"command": look}),)), Turn(drop="at_once"))
    with model_server({"look": Script(turns=turns)}) as models:
        order = FixOrder(
            goal="g",
            engine=Engine.MODEL,
            models=(route_to(f"{models.url}/look", key="env:MODEL_KEY"),),
            budget=Budget(wall_s=30),
        )
        job = cloud.job(TESTS, "python3 -m unittest", kind=Kind.FIX, runner="unittest", fix=order)
        code, _, said = cloud.run(job, MODEL_KEY=KEY)
        keys = {request.key for request in models.requests}
        shown = "".join(request.text for request in models.requests)
    assert (code, result_of(job).state) == (0, JobState.SUCCEEDED), said
    assert keys == {KEY}
    assert KEY not in shown + whole_log(job) + said
    assert "GIT_CONFIG_NOSYSTEM" in shown  # the command did see an environment: its own


def test_an_attempt_after_the_deadline_does_nothing_and_is_not_repeated(cloud: Cloud) -> None:
    job = cloud.job({"a": ""}, "echo ran", created_at=1_000.0, deadline_at=2_000.0)
    code, lines, _ = cloud.run(job)
    result = result_of(job)
    assert (code, result.state, result.exit_code) == (0, JobState.TIMED_OUT, None)
    assert result.cause is not None
    assert result.cause.kind is CauseKind.DEADLINE
    assert result.cause.message.endswith("was over before a machine could start it.")
    assert not any("ran" in line for line in lines)
