"""What the command line says of mistakes: wrong words, wrong folders, wrong settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.terminal import PROGRAM, program
from tests.e2e.wire import Repository

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("attach", "nope"),
        ("logs", "[red]x[/red]"),
        ("cancel", "../../etc"),
        ("logs", ""),
        ("attach", "j\u202eabc"),
        ("cancel", "x" * 300),
    ],
)
def test_an_unknown_job_is_told_with_what_to_do(
    repository: Repository, command: str, name: str
) -> None:
    done = program(repository, command, name)
    shown = repr(name[:80]) if name.isascii() else "'j\\u202eabc'"
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"error unknown_job: No job has the id {shown}.\n"
        "next  `mcp-cloud-agents jobs` lists the jobs and their ids.\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "command", "true", "--timeout-minutes", "nan"),
        ("submit", "command", "true", "--timeout-minutes", "-1"),
        ("submit", "command", "true", "--timeout-minutes", "1e9"),
        ("submit", "command", "true", "--unknown"),
        ("submit", "command"),
        ("submit", "command", " "),
        ("submit", "tests", "--path", "../outside"),
        ("jobs", "--limit", "0"),
        ("logs", "x", "--tail", "2", "--search", "y"),
        ("logs", "x", "--offset", "-1"),
        ("logs",),
        ("cancel",),
        ("stop",),
        ("costs", "--since", "soon"),
        ("schemas", "--write", "x", "--check", "y"),
        ("nonsense",),
    ],
)
def test_wrong_usage_ends_with_code_2_and_no_traceback(
    repository: Repository, words: tuple[str, ...]
) -> None:
    done = program(repository, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_outside_a_worktree_the_way_out_is_told(repository: Repository) -> None:
    plain, bare = repository.path.parent / "plain", repository.path.parent / "bare"
    plain.mkdir()
    repository.git("init", "-q", "--bare", str(bare))
    for folder, said in ((plain, "is not in a git repository"), (bare, "is a bare repository")):
        done = program(repository, "submit", "tests", cwd=folder)
        assert done.returncode == 2
        assert done.stderr.startswith("error not_a_worktree: ")
        assert said in done.stderr
        assert program(repository, "init", cwd=folder).returncode == 2


def test_a_folder_that_is_gone_is_told(repository: Repository) -> None:
    script = f"mkdir gone; cd gone; rmdir ../gone; exec {' '.join(PROGRAM)} jobs"
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=repository.path.parent,
        env=repository.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (
        2, "error: the current folder does not exist any more; cd to another one\n",
    )  # fmt: skip


def test_a_person_who_names_a_worktree_needs_no_allowed_root(repository: Repository) -> None:
    done = program(
        repository, "submit", "command", "true", "--workspace", str(repository.path), cwd=Path("/")
    )
    assert done.returncode == 0, done.stderr


def test_a_typo_in_the_settings_is_told_with_file_and_line(repository: Repository) -> None:
    file = Path(repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")
    file.parent.mkdir(parents=True)
    file.write_text("# mine\n[limits]\nmemory_mb = 3\n")
    done = program(repository, "jobs")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error bad_config: {file}, line 3, column 1: unknown key 'limits.memory_mb'.\n"
        "next  Allowed here: "
    )
    examined = program(repository, "doctor")
    assert (examined.returncode, examined.stdout.split()[:2]) == (1, ["FAIL", "settings"])


def test_a_typo_in_the_repositorys_configuration_is_told_too(repository: Repository) -> None:
    repository.write(".cloud-agents/config.toml", '[tests]\nrunner = "nose"\n')
    done = program(repository, "submit", "tests")
    assert done.returncode == 2
    assert ".cloud-agents/config.toml, line 2, column 10: unknown test runner 'nose'" in done.stderr
