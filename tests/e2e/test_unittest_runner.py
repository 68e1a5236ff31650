"""python -m unittest through the server: its verdict, what is sent, its network."""

from __future__ import annotations

import pytest

from tests.e2e.suites import (
    HOSTILE,
    UNREACHABLE,
    Told,
    artifacts,
    counts,
    failures,
    fill,
    junit,
    run_tests,
)
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = pytest.mark.timeout(180)

SUITE = f"""import socket
import unittest


class T(unittest.TestCase):
    def test_good(self):
        pass

    def test_bad(self):
        self.assertEqual(1, 2, "one is not two")

    @unittest.skip("not today")
    def test_skipped(self):
        pass

    def test_hostile(self):
        raise ValueError("{HOSTILE} \\ud800")

    def test_network(self):
        socket.create_connection(("{UNREACHABLE}", 443), timeout=2)

    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)
"""
DIRTY = """import unittest


class D(unittest.TestCase):
    def test_dirty(self):
        pass
"""
BROKEN = "import nothing_of_this_name\n"
HOSTILE_TOLD = "ValueError: red   \ufffd end \ufffd"
BAD = "AssertionError: 1 != 2 : one is not two"
NO_NETWORK = "OSError: [Errno 101] Network is unreachable"
NOT_FOUND = "ModuleNotFoundError: No module named 'nothing_of_this_name'"


def failing(prefix: str, folder: str) -> list[Told]:
    file = f"{folder}/test_a.py"
    return [
        Told(f"{prefix}test_a.T.test_bad", f"{file}:10", "assert", BAD),
        Told(f"{prefix}test_a.T.test_hostile", f"{file}:17", "error", HOSTILE_TOLD),
        Told(f"{prefix}test_a.T.test_network", f"{file}:20", "error", NO_NETWORK),
        Told(
            f"{prefix}test_a.T.test_parts",
            f"{file}:25",
            "assert",
            "subTest (number=1): AssertionError: 1 == 1",
        ),
    ]


def test_the_verdict_of_unittest_is_complete(repository: Repository, wire: Wire) -> None:
    files = {"tests/__init__.py": "", "tests/test_a.py": SUITE, "tests/test_b.py": BROKEN}
    fill(repository, files, {"tests/test_dirty.py": DIRTY})
    answer = run_tests(wire)
    assert (answer["command"], answer["verdict"]) == ("python3 -m unittest", "failed")
    assert answer["tree"]["dirty"] is True
    assert counts(answer) == {"total": 8, "passed": 2, "failed": 2, "errors": 3, "skipped": 1}
    broken = Told("tests.test_b", "tests/test_b.py:1", "collection", NOT_FOUND)
    assert failures(answer) == [*failing("tests.", "tests"), broken]
    assert artifacts(answer) == ["junit.xml"]
    assert "test_dirty" in junit(wire, answer)


def test_unittest_files_folders_and_ids_can_be_asked_for(
    repository: Repository, connect: Connect
) -> None:
    files = {"tests/__init__.py": "", "tests/test_a.py": SUITE, "tests/deep/__init__.py": ""}
    fill(repository, files, {"tests/deep/test_dirty.py": DIRTY})
    wire = connect()
    assert counts(run_tests(wire, paths=["tests/deep/test_dirty.py"])) == {"total": 1, "passed": 1}
    assert counts(run_tests(wire, paths=["tests/deep"])) == {"total": 1, "passed": 1}
    parts = run_tests(wire, paths=["tests.test_a.T.test_parts"])
    assert failures(parts) == failing("tests.", "tests")[3:]
    chosen = run_tests(wire, command="python3 -m unittest -k test_good -k test_bad")
    assert counts(chosen) == {"total": 2, "passed": 1, "failed": 1}


def test_unittest_in_a_folder_that_is_no_package_is_discovered(
    repository: Repository, connect: Connect
) -> None:
    helped = {"checks/helper.py": "", "checks/test_b.py": "import helper\n" + DIRTY}
    fill(repository, {"checks/test_a.py": SUITE, **helped}, {})
    wire = connect()
    answer = run_tests(wire)
    assert answer["command"] == "python3 -m unittest discover -s checks"
    assert failures(answer) == failing("", "checks")
    assert counts(run_tests(wire, paths=["checks/test_b.py"])) == {"total": 1, "passed": 1}
    one = run_tests(wire, paths=["test_a.T.test_bad"])
    assert failures(one) == failing("", "checks")[:1]
    assert counts(run_tests(wire, paths=["checks"])) == counts(answer)


def test_a_workspace_below_the_top_sends_the_whole_tree(
    repository: Repository, connect: Connect
) -> None:
    fill(repository, {"service/tests/test_a.py": SUITE, "lib.py": ""}, {})
    wire = connect()
    answer = run_tests(
        wire,
        workspace=str(repository.path / "service"),
        command="test -f ../lib.py && python3 -m unittest discover -s tests",
    )
    assert failures(answer) == failing("", "service/tests")
