"""What only works in a container, run in one made by hand (`tests/container.py`): Docker's default
capabilities, no namespaces, a read-only root."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import JobState, Kind
from mcp_cloud_agents.domain.result import VerdictOutcome
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Network
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.storage.job_objects import JobObjects
from tests.cloud_worker import Cloud, a_cloud, result_of, whole_log
from tests.container import ROOT, in_container, is_hidden, need_container

pytestmark = pytest.mark.slow
PYTHON = str(ROOT / ".venv/bin/python")
ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TMPDIR": "/scratch/tests",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/s3cret-path",
}
TESTS = {
    "test_it.py": "import unittest\n\n\nclass T(unittest.TestCase):\n"
    "    def test_good(self):\n        pass\n\n    def test_bad(self):\n"
    "        self.assertEqual(1, 2)\n"
}


@pytest.fixture
def box() -> Iterator[Path]:
    """An empty folder for the container's root, on a disk that can hold one."""
    need_container()
    if not Path(PYTHON).exists():
        pytest.skip("the container runs the virtual environment that ./dev makes")
    if is_hidden(ROOT):
        pytest.skip(f"the container has a folder of its own over {ROOT}")
    with tempfile.TemporaryDirectory(prefix="mca-box-") as folder:
        yield Path(folder)


@pytest.fixture
def cloud(open_path: Path) -> Iterator[Cloud]:
    with a_cloud(open_path) as found:
        yield found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "tests",
    [["tests/contracts/test_sandbox.py", "-k", "uid-drop"], ["tests/security/test_uid_drop.py"]],
)
def test_the_uid_drop_keeps_its_contract_and_resists_attacks(box: Path, tests: list[str]) -> None:
    chosen = [f"{ROOT}/{tests[0]}", *tests[1:]]
    options = ["-q", "--rootdir", str(ROOT), "-c", f"{ROOT}/pyproject.toml"]
    done = in_container([PYTHON, "-m", "pytest", *options, *chosen], box, env=ENV, timeout_s=280)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
    assert "does not work here" not in done.stdout
    assert "does not start here" not in done.stdout


def work(cloud: Cloud, box: Path, job: JobObjects, attempt: int = 1) -> tuple[int, str]:
    """The worker in a container, as one attempt."""
    env = {**ENV, **cloud.env(job, attempt), "TMPDIR": "/scratch"}
    command = [PYTHON, "-I", "-m", "mcp_cloud_agents.worker.aws"]
    done = in_container(command, box, env=env, timeout_s=100)
    return done.returncode, done.stderr


def test_a_job_runs_there_and_says_under_which_isolation(cloud: Cloud, box: Path) -> None:
    job = cloud.job(
        {"a.txt": "old\n"},
        "pwd; id -u; cat /proc/1/environ; echo new > a.txt; mkdir /tmp/x; ls /git/ /store/; exit 3",
        isolation=IsolationLevel.CONTAINER,
    )
    code, said = work(cloud, box, job)
    assert code == 0, said
    result = result_of(job)
    assert (result.state, result.exit_code) == (JobState.SUCCEEDED, 3), result.cause
    assert (result.isolation.level, result.isolation.driver) == (
        IsolationLevel.CONTAINER,
        "uid_drop",
    )
    assert result.isolation.run_network is Network.NONE
    assert any("seccomp filter" in note for note in result.isolation.notes)
    log = whole_log(job)
    assert "/workspace\n62000\n" in log
    assert "s3cret-path" not in log
    assert log.count("No such file or directory") == 2
    patch = job.artifact("patch.diff", 0, 1 << 20)
    assert patch is not None
    assert b"-old\n+new\n" in patch.data


def test_a_job_that_asks_for_more_isolation_is_refused_there(cloud: Cloud, box: Path) -> None:
    job = cloud.job({"a": ""}, "true")
    code, said = work(cloud, box, job)
    assert code == 0, said
    result = result_of(job)
    assert result.state is JobState.FAILED
    assert result.cause is not None
    assert result.cause.kind == "sandbox_start"
    assert "'full'" in result.cause.message


def test_tests_with_a_set_up_get_a_verdict_with_places_in_the_tree(cloud: Cloud, box: Path) -> None:
    setup = SetupPlan(
        commands=("mkdir -p /env/bin; cp /bin/echo /env/bin/shout; test -w /workspace",),
        key="c" * 64,
        path=("/env/bin",),
        source="a test",
    )
    job = cloud.job(
        TESTS,
        "shout from set-up && python3 -m unittest",
        kind=Kind.TESTS,
        runner="unittest",
        setup=setup,
        isolation=IsolationLevel.CONTAINER,
    )
    code, said = work(cloud, box, job)
    assert code == 0, said
    result = result_of(job)
    assert result.environment == "built"
    assert result.isolation.setup_network is Network.HOST
    assert "from set-up\n" in whole_log(job)
    assert result.verdict is not None
    assert result.verdict.outcome is VerdictOutcome.FAILED
    (failure,) = result.verdict.failures
    assert (failure.test.file, failure.test.line) == ("test_it.py", 9)
    assert cloud.store.size(f"environments/{'c' * 64}.tar.zst") is not None


def test_tests_that_miss_localhost_are_told_where_they_would_have_it(
    cloud: Cloud, box: Path
) -> None:
    server = (
        "import socket, unittest\n\n\nclass T(unittest.TestCase):\n    def test_serve(self):\n"
        "        socket.socket().bind(('127.0.0.1', 0))\n"
    )
    job = cloud.job(
        {"packages/a/test_it.py": server},
        "pwd; python3 -m unittest",
        kind=Kind.TESTS,
        runner="unittest",
        folder="packages/a",
        isolation=IsolationLevel.CONTAINER,
    )
    code, said = work(cloud, box, job)
    assert code == 0, said
    assert "$ pwd; python3 -m unittest\n/workspace/packages/a\n" in whole_log(job)
    result = result_of(job)
    assert result.verdict is not None
    assert result.isolation.loopback is False
    assert [failure.test.file for failure in result.verdict.failures] == ["packages/a/test_it.py"]
    assert "not even on localhost" in result.notes[0]
    assert "backend='local'" in result.notes[0]
