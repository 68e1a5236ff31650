"""A workspace below the top of the repository: commands start there, paths name the whole tree."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.suites import Told, counts, failures, fill, run_tests
from tests.e2e.wire import Connect, Repository

pytestmark = pytest.mark.timeout(180)
SUITE = """import os
import unittest

from thing import ONE


class T(unittest.TestCase):
    def test_it_starts_in_the_package(self):
        self.assertEqual(os.path.basename(os.getcwd()), "a")

    def test_bad(self):
        self.assertEqual(ONE, 2)
"""
PACKAGE = {
    "packages/a/thing.py": "ONE = 1\n",
    "packages/a/tests/__init__.py": "",
    "packages/a/tests/test_thing.py": SUITE,
}
PYTEST_SUITE = """import pathlib

import thing


def test_good():
    assert pathlib.Path("thing.py").exists()


def test_bad():
    assert thing.ONE == 2
"""


def in_package(repository: Repository, **arguments: Any) -> dict[str, Any]:
    return {"workspace": str(repository.path / "packages" / "a"), **arguments}


def test_tests_of_a_package_run_in_its_folder(repository: Repository, connect: Connect) -> None:
    for name, text in PACKAGE.items():
        repository.write(name, text)
    wire = connect()
    answer = run_tests(wire, **in_package(repository))
    assert counts(answer) == {"total": 2, "passed": 1, "failed": 1}
    bad = "AssertionError: 1 != 2"
    where = "packages/a/tests/test_thing.py:12"
    assert failures(answer) == [Told("tests.test_thing.T.test_bad", where, "assert", bad)]
    again = run_tests(wire, **in_package(repository, paths=["packages/a/tests/test_thing.py"]))
    assert counts(again) == counts(answer)
    whole = run_tests(wire)
    assert counts(whole) == {"total": 1, "passed": 1}


def test_a_command_starts_in_the_workspace_and_its_patch_names_the_whole_tree(
    repository: Repository, connect: Connect
) -> None:
    repository.write("packages/a/one.txt", "1\n")
    wire = connect()
    command = "pwd; echo 2 >> one.txt"
    answer = wire.call("run_in_sandbox", in_package(repository, command=command))
    answer = wire.finished(answer["job_id"])
    assert (answer["exit_code"], answer["patch"]["paths"]) == (0, ["packages/a/one.txt"])
    assert "packages/a$ pwd; echo 2 >> one.txt\n/workspace/packages/a\n" in answer["log"]["tail"]


def test_a_workspace_of_which_nothing_is_sent_is_refused(
    repository: Repository, connect: Connect
) -> None:
    repository.write(".gitignore", "packages/a/\n")
    repository.write("packages/a/one.txt", "1\n")
    answer = connect().call("run_in_sandbox", in_package(repository, command="pwd"))
    assert answer["error"]["code"] == "invalid_argument"
    assert "'packages/a'" in answer["error"]["message"]


@pytest.mark.network
def test_a_package_gets_the_environment_that_it_declares(
    repository: Repository, connect: Connect
) -> None:
    files = {
        "packages/a/requirements.txt": "pytest\n",
        "packages/a/thing.py": "ONE = 1\n",
        "packages/a/tests/test_thing.py": PYTEST_SUITE,
        "packages/b/requirements.txt": "no-such-package-of-anybody==1\n",
    }
    fill(repository, files, dirty={})
    answer = run_tests(connect(), **in_package(repository))
    assert counts(answer) == {"total": 2, "passed": 1, "failed": 1}
    assert [one.at for one in failures(answer)] == ["packages/a/tests/test_thing.py:11"]
