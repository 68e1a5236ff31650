"""The worker image, built and run by a Docker Engine under Fargate's restrictions.

The engine is the one that `docker` finds, or as root one started here. The base is made by
debootstrap from this machine's own mirror; `MCA_WORKER_IMAGE` names an image that is already there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import JobState, Kind
from mcp_cloud_agents.domain.result import VerdictOutcome
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.storage.job_objects import JobObjects
from tests.cloud_worker import Cloud, a_cloud, eventually, result_of, whole_log
from tests.container import CAPABILITIES, ROOT
from tests.e2e.test_in_a_container import TESTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAME = "mca-worker:test"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PATH_OF_CREDENTIALS = "/v2/credentials/s3cret-path"


class Engine:
    """A Docker Engine that answers."""

    def __init__(self, host: str | None) -> None:
        self.env = {"PATH": os.defpath + ":/usr/local/bin:/usr/sbin:/sbin", "HOME": "/root"}
        if host:
            self.env["DOCKER_HOST"] = host

    def run(self, *words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def answers(self) -> bool:
        return self.run("info").returncode == 0


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    found = Engine(os.getenv("DOCKER_HOST"))
    if found.answers():
        yield found
        return
    daemon = shutil.which("dockerd", path=f"{os.defpath}:/usr/sbin:/sbin")
    if daemon is None or os.geteuid() != 0:
        pytest.skip("no Docker Engine answers, and none can be started here (dockerd, root)")
    with tempfile.TemporaryDirectory(prefix="mca-docker-", dir="/var/tmp") as folder:
        yield from started(daemon, Path(folder))


def started(daemon: str, folder: Path) -> Iterator[Engine]:
    """An engine of our own, with nothing of the machine's."""
    host = f"unix://{folder}/socket"
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    words = [f"--{name}={folder / place}" for name, place in places.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([daemon, "--host", host, *words], stdout=log, stderr=log)
        try:
            engine, pause = Engine(host), threading.Event()
            for _ in range(60):
                if engine.answers():
                    break
                if process.poll() is not None:
                    pytest.skip(f"dockerd ends: {(folder / 'log').read_text()[-300:]}")
                pause.wait(0.5)
            else:
                pytest.skip("dockerd does not answer within 30 s")
            yield engine
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            for mounted in mounts_below(folder):  # it leaves its network namespace behind
                subprocess.run(["umount", "--lazy", mounted], check=True)


def mounts_below(folder: Path) -> list[str]:
    """Mount points, the deepest first (proc_pid_mountinfo(5), field 5)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    if given := os.getenv("MCA_WORKER_IMAGE"):
        return given
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    env = engine.env | {"MIRROR": mirror(), "BUILD_ARGS": "--network host", "DOCKER_BUILDKIT": "0"}
    if Path(CERTIFICATES).exists():
        env["CERTIFICATES"] = CERTIFICATES
    done = subprocess.run(
        [ROOT / "scripts/build_worker_image.sh", NAME],
        env=env,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return NAME


def mirror() -> str:
    """Where this machine gets its packages from."""
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt").glob("sources.list.d/*")]
    for source in sources:
        found = re.search(r"^(?:URIs: *|deb )(http\S+debian/?)\s", source.read_text(), re.MULTILINE)
        if found:
            return found[1]
    pytest.skip("the machine's own Debian mirror was not found")


@pytest.fixture
def cloud(open_path: Path) -> Iterator[Cloud]:
    with a_cloud(open_path) as found:
        yield found


def container(cloud: Cloud, job: JobObjects, image: str, *more: str) -> list[str]:
    """Arguments of `docker run` as Fargate would have them; its network is loopback here."""
    env = cloud.env(job) | {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": PATH_OF_CREDENTIALS}
    given = {name: value for name, value in env.items() if name not in ("PATH", "HOME", "TMPDIR")}
    return [
        *("run", "--rm", "--init", "--read-only", "--network", "host", "--cap-drop", "ALL"),
        *(word for name in CAPABILITIES for word in ("--cap-add", name.upper())),
        *("--memory", "1g", *(word for pair in given.items() for word in ("-e", "=".join(pair)))),
        *(*more, image),
    ]


def test_a_job_runs_in_the_image_under_fargate_s_restrictions(
    engine: Engine, image: str, cloud: Cloud
) -> None:
    job = cloud.job(
        {"a.txt": "old\n"},
        "id; cat /proc/*/environ; echo new > a.txt; touch /x /usr/x /opt/worker/x; exit 3",
        isolation=IsolationLevel.CONTAINER,
    )
    done = engine.run(*container(cloud, job, image), timeout_s=100)
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


def test_the_image_s_own_python_runs_tests_and_reports(
    engine: Engine, image: str, cloud: Cloud
) -> None:
    job = cloud.job(
        TESTS,
        "python3 -m unittest",
        kind=Kind.TESTS,
        runner="unittest",
        isolation=IsolationLevel.CONTAINER,
    )
    done = engine.run(*container(cloud, job, image), timeout_s=100)
    assert done.returncode == 0, done.stderr
    verdict = result_of(job).verdict
    assert verdict is not None
    assert verdict.outcome is VerdictOutcome.FAILED
    assert [failure.test.line for failure in verdict.failures] == [9]


def test_a_stopped_container_leaves_the_job_to_the_next_attempt(
    engine: Engine, image: str, cloud: Cloud
) -> None:
    job = cloud.job({"a": ""}, "echo begun; sleep 600", isolation=IsolationLevel.CONTAINER)
    name = f"mca-test-{os.getpid()}"
    words = container(cloud, job, image, "--name", name)
    with subprocess.Popen(["docker", *words], env=engine.env, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: "begun\n" in whole_log(job), 60)
        assert engine.run("stop", "--time", "30", name).returncode == 0
        assert process.wait(timeout=60) == 143
    assert job.result() is None
    assert "attempt 1 was ended from outside" in whole_log(job)
