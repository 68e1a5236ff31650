"""The real programs, run with the instrumented command: do they leave what the readers expect?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.result import Outcome, Verdict
from mcp_cloud_agents.domain.result import TestReport as Report
from mcp_cloud_agents.domain.result import VerdictOutcome as Judged
from mcp_cloud_agents.domain.verdict import judge
from mcp_cloud_agents.runners.detect import runner_named
from mcp_cloud_agents.runners.runner import Inside, ReportFolder

PASSED, FAILED, ERROR = Outcome.PASSED, Outcome.FAILED, Outcome.ERROR


@dataclass(frozen=True)
class Ran:
    report: Report
    verdict: Verdict
    log: str

    @property
    def outcomes(self) -> dict[str, Outcome]:
        return {case.id: case.outcome for case in self.report.cases}

    def place(self, test: str) -> str:
        case = next(case for case in self.report.cases if case.id == test)
        return f"{case.file}:{case.line}"


class Project:
    """A tree with tests, and the folders that a job would see at /report and /tools."""

    def __init__(self, path: Path, report: ReportFolder, folder: Path, tools: Path) -> None:
        self.path = path
        self._report = report
        self._inside = Inside(tree=str(path), report=str(folder), tools=str(tools))

    def write(self, **files: str) -> Project:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def run(self, name: str, command: str, *programs: str) -> Ran:
        runner = runner_named(name, self._inside)
        shutil.rmtree(self._inside.report)
        Path(self._inside.report).mkdir()
        for tool in runner.tools():
            shutil.copytree(tool.host, tool.inside, dirs_exist_ok=True)
        instrumented = runner.instrument(command)
        path = [str(Path(program).parent) for program in (sys.executable, *programs)]
        env = {
            "PATH": os.pathsep.join([*path, os.defpath]),
            "HOME": str(Path.home()),
            "GOFLAGS": "-mod=mod",
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict(instrumented.env),
        }
        ended = subprocess.run(
            ["/bin/sh", "-c", instrumented.command],
            cwd=self.path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
        log, log_filter = ended.stdout, runner.log_filter()
        if log_filter is not None:
            log = log_filter.feed(log) + log_filter.flush()
        report = runner.read(self._report)
        return Ran(report, judge(report, exit_code=ended.returncode), log.decode())


@pytest.fixture
def project(tmp_path: Path, report: ReportFolder, folder: Path) -> Project:
    tree = tmp_path / "tree"
    tree.mkdir()
    return Project(tree, report, folder, tmp_path / "tools")


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path.home() / ".cargo/bin"))
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


PYTEST_FILE = """
import os, subprocess, sys
import pytest

def test_good(): pass
def test_bad(): assert 1 == 2
def test_nested_runs_report_nowhere():
    code = "import os; print(*(n for n in os.environ if n.startswith(('JOB_', 'PYTEST_PL'))))"
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b""
def test_leaves():
    how = os.environ.get("HOW")
    if how == "exit": os._exit(0)
    if how == "polite": pytest.exit("bye", returncode=0)
    if how == "kill": os.kill(os.getpid(), 9)
def test_last(): pass
"""


@pytest.mark.parametrize("options", ["", "-n 2", "--junitxml=own.xml", "-o junit_family=xunit2"])
def test_pytest_reports_each_test(project: Project, options: str) -> None:
    ran = project.write(**{"tests/test_a.py": PYTEST_FILE}).run("pytest", f"pytest -q {options}")
    assert ran.outcomes == {
        "tests/test_a.py::test_good": PASSED,
        "tests/test_a.py::test_bad": FAILED,
        "tests/test_a.py::test_nested_runs_report_nowhere": PASSED,
        "tests/test_a.py::test_leaves": PASSED,
        "tests/test_a.py::test_last": PASSED,
    }
    assert ran.verdict.summary == "1 of 5 tests failed."
    assert ran.place("tests/test_a.py::test_bad") == "tests/test_a.py:6"


@pytest.mark.parametrize("how", ["exit", "polite", "kill"])
def test_pytest_that_leaves_in_the_middle_never_passes(project: Project, how: str) -> None:
    project.write(**{"tests/test_a.py": PYTEST_FILE})
    ran = project.run("pytest", f"HOW={how} pytest -q --deselect tests/test_a.py::test_bad")
    assert ran.verdict.outcome is Judged.INCOMPLETE
    assert ran.verdict.unfinished == ("tests/test_a.py::test_leaves",)
    assert ran.verdict.counts.missing == 2


@pytest.mark.slow
def test_a_worker_of_xdist_that_dies_is_a_failure_with_a_name(project: Project) -> None:
    project.write(**{"tests/test_a.py": PYTEST_FILE})
    ran = project.run("pytest", "HOW=kill pytest -q -n 1")
    assert ran.outcomes["tests/test_a.py::test_leaves"] is ERROR
    assert ran.outcomes["tests/test_a.py::test_last"] is PASSED
    assert ran.verdict.unfinished == ()


def test_pytest_through_a_script_below_the_top_reports_as_well(project: Project) -> None:
    project.write(
        **{
            "sub/pytest.ini": "[pytest]\n",
            "sub/tests/test_a.py": PYTEST_FILE,
            "run.sh": "cd sub/tests\nexport PYTHONPATH=$PYTHONPATH:lib\npytest -q\n",
        }
    )
    ran = project.run("pytest", "sh run.sh")
    assert ran.place("tests/test_a.py::test_bad") == "sub/tests/test_a.py:6"


@pytest.mark.slow
def test_two_runs_of_pytest_in_one_command_are_one_report(project: Project) -> None:
    project.write(**{"test_a.py": "def test_a(): pass", "test_b.py": "def test_b(): pass"})
    ran = project.run("pytest", "pytest -q test_a.py && pytest -q test_b.py")
    assert ran.outcomes == {"test_a.py::test_a": PASSED, "test_b.py::test_b": PASSED}
    assert ran.verdict.outcome is Judged.PASSED


def test_pytest_that_selects_nothing_does_not_pass(project: Project) -> None:
    project.write(**{"tests/test_a.py": PYTEST_FILE})
    ran = project.run("pytest", "pytest -q -k nothing || true")
    assert (ran.verdict.outcome, ran.verdict.counts.total) == (Judged.NONE, 0)


def test_green_tests_under_a_red_command_do_not_pass(project: Project) -> None:
    ran = project.write(**{"test_a.py": "def test_a(): pass"}).run("pytest", "pytest -q; exit 3")
    assert ran.verdict.outcome is Judged.FAILED
    assert "exit code 3" in ran.verdict.summary


UNITTEST_FILE = """
import os, unittest

class A(unittest.TestCase):
    def test_bad(self):
        self.assertEqual(1, 2)
    def test_good(self):
        if os.environ.get("HOW"): os._exit(0)
"""


def test_unittest_reports_each_test(project: Project) -> None:
    project.write(**{"tests/__init__.py": "", "tests/test_a.py": UNITTEST_FILE})
    ran = project.run("unittest", "python3 -m unittest -v 2>&1 | cat")
    assert ran.outcomes == {"tests.test_a.A.test_good": PASSED, "tests.test_a.A.test_bad": FAILED}
    assert ran.place("tests.test_a.A.test_bad") == "tests/test_a.py:6"
    assert ran.verdict.summary == "1 of 2 tests failed."


@pytest.mark.parametrize("command", ["HOW=exit python3 -m unittest", "python3 -m unittest test_b"])
def test_unittest_without_a_report_or_a_test_does_not_pass(project: Project, command: str) -> None:
    project.write(**{"test_a.py": UNITTEST_FILE, "test_b.py": ""})
    assert project.run("unittest", command).verdict.outcome is Judged.NONE


RUST = """
pub fn add(a: i32, b: i32) -> i32 { a + b }

#[test]
fn good() {
    if std::env::var("HOW").is_ok() { std::process::exit(0); }
}
#[test]
fn bad() {
    assert_eq!(add(1, 1), 3);
}
"""
CARGO = '[package]\nname = "demo"\nversion = "0.1.0"\nedition = "2021"\n'


@pytest.mark.slow
def test_cargo_reports_each_test(project: Project) -> None:
    cargo = program("cargo")
    project.write(**{"Cargo.toml": CARGO, "src/lib.rs": RUST})
    ran = project.run("cargo", "cargo test -q", cargo)
    assert ran.outcomes == {"demo src/lib.rs good": PASSED, "demo src/lib.rs bad": FAILED}
    assert ran.place("demo src/lib.rs bad") == "src/lib.rs:10"
    left = project.run("cargo", "HOW=exit cargo test good", cargo)
    assert left.verdict.outcome is Judged.INCOMPLETE
    nothing = project.run("cargo", "cargo test nothing", cargo)
    assert nothing.verdict.outcome is Judged.NONE


GO = """package demo

import ("os"; "testing")

func TestGood(t *testing.T) { t.Run("sub", func(t *testing.T) {}) }
func TestBad(t *testing.T) {
	t.Log("before")
	t.Fatal("wrong")
}
func TestLeaves(t *testing.T) { if os.Getenv("HOW") != "" { os.Exit(0) } }
"""


@pytest.mark.slow
def test_go_reports_each_test(project: Project) -> None:
    go = program("go")
    project.write(**{"go.mod": "module example.com/demo\n\ngo 1.19\n", "a/b/x_test.go": GO})
    ran = project.run("go", "go test ./...", go)
    package = "example.com/demo/a/b"
    assert ran.outcomes == {
        f"{package}.TestGood/sub": PASSED,
        f"{package}.TestBad": FAILED,
        f"{package}.TestLeaves": PASSED,
    }
    assert ran.place(f"{package}.TestBad") == "a/b/x_test.go:8"
    assert '{"' not in ran.log
    left = project.run("go", "HOW=exit go test -run Leaves ./...", go)
    assert left.verdict.outcome is Judged.FAILED
    nothing = project.run("go", "go test -run Nothing ./...", go)
    assert nothing.verdict.outcome is Judged.NONE


JAVASCRIPT = """
describe('group', () => {
  test('good', () => {});
  test('bad', () => {
    expect(1).toBe(2);
  });
});
"""


def install(project: Project, package: str, manifest: str) -> str:
    npm = program("npm")
    project.write(**{"package.json": manifest})
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", package],
        cwd=project.path,
        capture_output=True,
        timeout=110,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"npm cannot install {package}: {installed.stderr[-300:].decode()}")
    return npm


@pytest.mark.network
@pytest.mark.slow
def test_jest_reports_each_test(project: Project) -> None:
    npm = install(project, "jest@30", '{"scripts": {"test": "jest"}}')
    project.write(**{"src/a.test.js": JAVASCRIPT, "src/b.test.js": "require('./nothing');"})
    ran = project.run("jest", "npm test", npm)
    assert ran.outcomes == {
        "src/a.test.js > group good": PASSED,
        "src/a.test.js > group bad": FAILED,
        "src/b.test.js": ERROR,
    }
    assert ran.place("src/a.test.js > group bad") == "src/a.test.js:5"
    project.write(**{"src/b.test.js": "test('leaves', () => process.exit(0));"})
    assert project.run("jest", "npx jest -i src/b", npm).verdict.outcome is Judged.NONE


@pytest.mark.network
@pytest.mark.slow
def test_vitest_reports_each_test(project: Project) -> None:
    npm = install(project, "vitest@4", '{"type": "module", "scripts": {"test": "vitest"}}')
    lines = "import { describe, expect, test } from 'vitest';" + JAVASCRIPT
    project.write(**{"src/a.test.js": lines, "src/b.test.js": "import './nothing';"})
    ran = project.run("vitest", "npm test", npm)
    assert ran.outcomes == {
        "src/a.test.js > group > good": PASSED,
        "src/a.test.js > group > bad": FAILED,
        "src/b.test.js": ERROR,
    }
    assert ran.place("src/a.test.js > group > bad") == "src/a.test.js:5"
    nothing = project.run("vitest", "npx vitest run -t nothing src/a", npm)
    assert nothing.verdict.outcome is Judged.NONE
