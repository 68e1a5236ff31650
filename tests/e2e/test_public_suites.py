"""The suites of public projects: the same counts through the server as bare, in an equal venv.

Opt in: `./dev test --public-suites -m public_suites --log-cli-level=INFO` prints the rows of
docs/evidence.md.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mcp_cloud_agents.domain.job import JobSpec
from mcp_cloud_agents.domain.sandbox import JOB_UID
from mcp_cloud_agents.environments.uv_program import uv_program
from mcp_cloud_agents.sandbox.bubblewrap_args import CERTIFICATES
from mcp_cloud_agents.storage.job_folder import JobFolder
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = [
    pytest.mark.public_suites,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
]
T = TypeVar("T")
_log = logging.getLogger(__name__)
OWNER = JOB_UID if os.geteuid() == 0 else None
UNITTEST = re.compile(r"(failures|errors|skipped|expected failures)=(\d+)")
FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)
RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)\b")


@dataclass(frozen=True, slots=True)
class Project:
    """A source distribution; `config` is our file, where it does not say what its tests need."""

    name: str
    version: str
    config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    passed: int
    failed: int
    errors: int
    skipped: int


# Its requirements/dev.txt pins another version of itself, so only the test requirements are taken.
JINJA2 = """\
[setup]
commands = ["uv venv /env/venv", "uv pip install -e . -r requirements/tests.txt"]
inputs = ["pyproject.toml", "requirements/tests.txt"]
"""
PROJECTS = (
    Project("attrs", "26.1.0"),
    Project("click", "8.5.1"),
    Project("iniconfig", "2.3.1"),
    Project("itsdangerous", "2.2.0"),
    Project("jinja2", "3.1.6", JINJA2),
    Project("markupsafe", "3.0.4"),
    Project("more-itertools", "11.2.1"),
    Project("packaging", "26.3"),
    Project("pluggy", "1.7.0"),
    Project("python-dateutil", "4.0.0"),
)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_a_public_suite_gives_the_counts_of_a_bare_run(
    project: Project, repository: Repository, connect: Connect, open_path: Path
) -> None:
    check_out(project, repository, open_path)
    wire = connect()
    first_s, done = timed(lambda: job(wire, fresh=False))
    again_s, again = timed(lambda: job(wire, fresh=True))
    spec = JobFolder(
        os.path.join(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "jobs", done["job_id"])
    ).spec()
    bare = BareRun(spec, repository, open_path / "bare")
    bare.set_up()
    bare_s, expected = timed(bare.run)
    assert counts_of(done) == counts_of(again) == expected
    assert failing_in(done) == failing_in(again) == bare.failing
    assert (done["environment"], again["environment"]) == ("built", "cached")
    _log.info(
        "| %s %s | %s | %s | %s | %.1f | %.1f | %.1f |",
        *(project.name, project.version, spec.setup.source, told(expected), told(counts_of(done))),
        *(bare_s, again_s, first_s),
    )


def check_out(project: Project, repository: Repository, scratch: Path) -> None:
    """The sdist's files as the working tree of a repository with one commit."""
    wanted = f"{project.name}=={project.version}"
    downloads = scratch / "downloads"
    fetch = ["download", "-q", "--no-binary", ":all:", "--no-deps", "-d", str(downloads), wanted]
    subprocess.run([sys.executable, "-m", "pip", *fetch], check=True, capture_output=True)
    (archive,) = downloads.iterdir()
    with tarfile.open(archive) as opened:
        opened.extractall(scratch / "unpacked", filter="data")
    (unpacked,) = (scratch / "unpacked").iterdir()
    shutil.rmtree(repository.path)
    unpacked.rename(repository.path)
    if project.config is not None:
        repository.write(".cloud-agents/config.toml", project.config)
    repository.git("init", "-q", "-b", "main")
    repository.git("add", "-A")
    repository.git("commit", "-qm", "as published")


def job(wire: Wire, *, fresh: bool) -> dict[str, Any]:
    """The envelope of a finished run of the detected tests."""
    answer = wire.call("run_tests_cloud", {"fresh": fresh, "wait_s": 50})
    assert answer["ok"], answer
    while not answer["done"]:
        answer = wire.call("wait_job", {"job_id": answer["job_id"], "timeout_s": 50})
    assert answer["tests"], answer
    return answer


def counts_of(answer: dict[str, Any]) -> Counts:
    counts = answer["tests"]["counts"]
    assert counts["missing"] == 0
    return Counts(**{name: counts[name] for name in Counts.__dataclass_fields__})


def failing_in(answer: dict[str, Any]) -> set[str]:
    """Ids of the failing tests; those with one message are one entry, with up to two others."""
    failures = answer["tests"].get("failures", [])
    return {test for one in failures for test in (one["id"], *one.get("also", []))}


class BareRun:
    """The job's own set-up commands and test command, without sandbox, worker or report plugin."""

    def __init__(self, spec: JobSpec, repository: Repository, scratch: Path) -> None:
        self.failing = set[str]()
        self._spec = spec
        self._scratch = scratch
        self._tree = scratch / "tree"
        shutil.copytree(repository.path, self._tree, symlinks=True)
        self._setup_env = {name: self._here(value) for name, value in spec.setup.setup_env}
        (scratch / "home").mkdir()
        os.makedirs(self._setup_env["TMPDIR"])
        uv = os.path.dirname(uv_program(str(scratch / "tools"), job_uid=OWNER))
        folders = (*map(self._here, spec.setup.path), uv, "/usr/local/bin", "/usr/bin", "/bin")
        self._env = {
            "PATH": ":".join(folders),
            "HOME": str(scratch / "home"),
            "LANG": "C.UTF-8",
            **({"SSL_CERT_FILE": CERTIFICATES} if os.path.exists(CERTIFICATES) else {}),
            **{name: self._here(value) for name, value in spec.setup.env},
        }
        if OWNER is not None:
            for folder, _, names in os.walk(scratch):
                for one in (folder, *(os.path.join(folder, name) for name in names)):
                    os.chown(one, OWNER, OWNER, follow_symlinks=False)

    def set_up(self) -> None:
        for command in self._spec.setup.commands:
            done = self._shell(self._here(command), self._setup_env)
            assert done.returncode == 0, done.stdout

    def run(self) -> Counts:
        done = self._shell(self._spec.command, dict(self._spec.setup.run_env))
        self.failing = set(FAILED.findall(done.stdout))
        _log.info("fails in both: %s", sorted(self.failing))
        return counts_in(done.stdout)

    def _here(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/env(?=/|$)", str(self._scratch / "env"), text)

    def _shell(self, command: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._tree,
            env={**self._env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            user=OWNER,
            group=OWNER,
            extra_groups=None if OWNER is None else [],
        )


def counts_in(output: str) -> Counts:
    """What the runner says at its end; expected failures are told as skips, as in JUnit."""
    ran = RAN.search(output)
    last = next(line for line in reversed(output.splitlines()) if ran or COUNT.search(line))
    found = {kind.rstrip("s"): int(number) for number, kind in COUNT.findall(last)}
    found |= {kind.rstrip("s"): int(number) for kind, number in UNITTEST.findall(last)}
    bad = sum(found.get(kind, 0) for kind in ("failed", "failure", "error"))
    skipped = sum(found.get(kind, 0) for kind in ("skipped", "xfailed", "expected failure"))
    passed = found.get("passed", 0) + found.get("xpassed", 0)
    if ran:
        passed = int(ran[1]) - bad - skipped
    return Counts(
        passed=passed,
        failed=bad - found.get("error", 0),
        errors=found.get("error", 0),
        skipped=skipped,
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    started_at = time.monotonic()
    found = work()
    return time.monotonic() - started_at, found


def told(counts: Counts) -> str:
    bad = counts.failed + counts.errors
    return f"{counts.passed} / {bad} / {counts.skipped}"
