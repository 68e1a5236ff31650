"""The worker image, built and run by a Docker Engine under Fargate's restrictions."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import JobState, Kind
from mcp_cloud_agents.domain.result import VerdictOutcome
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from tests.cloud_worker import Cloud, a_cloud, eventually, result_of, whole_log
from tests.docker_engine import Engine, Task, a_task, run
from tests.e2e.test_in_a_container import TESTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def task(docker_engine: Engine, worker_image: str) -> Iterator[Task]:
    with a_task(docker_engine, worker_image) as found:
        yield found


@pytest.fixture
def cloud(open_path: Path) -> Iterator[Cloud]:
    with a_cloud(open_path) as found:
        yield found


def test_a_job_runs_in_the_image_under_fargate_s_restrictions(task: Task, cloud: Cloud) -> None:
    job = cloud.job(
        {"a.txt": "old\n"},
        "id; cat /proc/*/environ; echo new > a.txt; touch /x /usr/x /opt/worker/x; exit 3",
        isolation=IsolationLevel.CONTAINER,
    )
    done = run(task.argv, cloud.env(job), 100)
    assert done.returncode == 0, done.stderr
    result = result_of(job)
    assert (result.state, result.exit_code) == (JobState.SUCCEEDED, 3), result.cause
    assert result.isolation.driver == "uid_drop"
    log = whole_log(job)
    assert "uid=62000(agent) gid=62000(agent) groups=62000(agent)" in log
    assert "s3cret" not in log
    assert log.count("Permission denied\n") >= 3
    patch = job.artifact("patch.diff", 0, 1 << 20)
    assert patch is not None
    assert b"-old\n+new\n" in patch.data


def test_the_image_s_own_python_runs_tests_and_reports(task: Task, cloud: Cloud) -> None:
    job = cloud.job(
        TESTS,
        "python3 -m unittest",
        kind=Kind.TESTS,
        runner="unittest",
        isolation=IsolationLevel.CONTAINER,
    )
    done = run(task.argv, cloud.env(job), 100)
    assert done.returncode == 0, done.stderr
    verdict = result_of(job).verdict
    assert verdict is not None
    assert verdict.outcome is VerdictOutcome.FAILED
    assert [failure.test.line for failure in verdict.failures] == [9]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_stopped_container_is_gone_and_leaves_the_job_to_the_next_attempt(
    task: Task, cloud: Cloud, number: signal.Signals, code: int
) -> None:
    job = cloud.job({"a": ""}, "echo begun; sleep 600", isolation=IsolationLevel.CONTAINER)
    with subprocess.Popen(task.argv, env=cloud.env(job), stdout=subprocess.DEVNULL) as process:
        eventually(lambda: "begun\n" in whole_log(job), 60)
        process.send_signal(number)
        assert process.wait(timeout=60) == code
    eventually(lambda: not task.containers(), 60)
    assert job.result() is None
    ended = "attempt 1 was ended from outside" in whole_log(job)
    assert ended is (number is signal.SIGTERM)
