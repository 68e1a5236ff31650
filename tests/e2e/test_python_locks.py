"""uv.lock, poetry.lock and requirement files through the server: installed once, as locked."""

from __future__ import annotations

import subprocess

import pytest
import uv

from tests.e2e.suites import TRUST, UNREACHABLE, artifacts, counts, failures, fill, run_tests
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]

SUITE = f"""import socket

import iniconfig
import pytest


def test_good():
    assert iniconfig.__file__.startswith("/env/venv/")


def test_project():
    from demo import ANSWER

    assert ANSWER == 41


@pytest.mark.skip
def test_skipped():
    pass


def test_network():
    socket.create_connection(("{UNREACHABLE}", 443), timeout=2)
"""
PROJECT = """[project]
name = "demo"
version = "1.0.0"
requires-python = ">=3.11"
dependencies = ["iniconfig"]
"""
UV = PROJECT + '\n[dependency-groups]\ndev = ["pytest"]\n'
BUILT = '\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
POETRY = PROJECT + '\n[tool.poetry.group.dev.dependencies]\npytest = "*"\n'
BUILT_BY_POETRY = (
    '\n[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
)
FILES = {"tests/test_a.py": SUITE, "demo/__init__.py": "ANSWER = 42\n"}


def lock(repository: Repository, *words: str) -> None:
    """The lock file, as the tool itself makes it in the person's tree."""
    done = subprocess.run(
        [uv.find_uv_bin(), *words],
        cwd=repository.path,
        env={**repository.env, **TRUST},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"the registry gives no packages here: {done.stderr[-300:]}")
    repository.git("add", "-A")
    repository.git("commit", "-qm", "lock")


def is_built_once_and_judged(wire: Wire, source: str) -> None:
    """The whole verdict, first with the environment being made, then with it at hand."""
    first = run_tests(wire)
    again = run_tests(wire, paths=["tests/test_a.py"])
    assert (first["environment"], again["environment"]) == ("built", "cached")
    assert again["timings_s"]["setup"] < 1
    log = wire.call("read_log", {"job_id": first["job_id"], "offset": 0})["text"]
    assert f"({source})" in log.splitlines()[0]
    for answer in (first, again):
        assert counts(answer) == {"total": 4, "passed": 1, "failed": 2, "skipped": 1}
        assert [(one.id, one.at, one.kind) for one in failures(answer)] == [
            ("tests/test_a.py::test_network", "tests/test_a.py:23", "error"),
            ("tests/test_a.py::test_project", "tests/test_a.py:14", "assert"),
        ]
        assert artifacts(answer) == ["junit.xml"]


def test_what_uv_locked_is_installed_once(repository: Repository, connect: Connect) -> None:
    fill(repository, {"pyproject.toml": UV + BUILT, **FILES}, {})
    lock(repository, "lock")
    is_built_once_and_judged(connect(), "uv.lock")


def test_what_poetry_locked_is_installed_once(repository: Repository, connect: Connect) -> None:
    fill(repository, {"pyproject.toml": POETRY + BUILT_BY_POETRY, **FILES}, {})
    lock(repository, "tool", "run", "poetry>=2,<3", "lock")
    is_built_once_and_judged(connect(), "poetry.lock")


def test_requirement_files_that_include_others_are_installed_once(
    repository: Repository, connect: Connect
) -> None:
    files = {
        "requirements.txt": "iniconfig\n",
        "requirements-dev.txt": "-r requirements.txt\n-c pins.txt\npytest\n",
        "pins.txt": "pytest<10\n",
        "conftest.py": "",
    }
    fill(repository, {**files, **FILES}, {})
    is_built_once_and_judged(connect(), "requirements.txt, requirements-dev.txt")


def test_a_lock_file_older_than_its_manifest_is_told(
    repository: Repository, connect: Connect
) -> None:
    fill(repository, {"pyproject.toml": POETRY + BUILT_BY_POETRY, **FILES}, {})
    lock(repository, "tool", "run", "poetry>=2,<3", "lock")
    repository.write("pyproject.toml", POETRY.replace('"iniconfig"', '"pluggy"') + BUILT_BY_POETRY)
    answer = run_tests(connect())
    assert (answer["state"], answer["error"]["code"]) == ("failed", "setup_failed")
    assert answer["error"]["hint"].startswith("The lock file is older than the manifest")
