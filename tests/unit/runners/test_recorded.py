"""Reports of real runs, recorded: every runner's cases are read the same way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mcp_cloud_agents.domain.result import FailureKind, Outcome
from mcp_cloud_agents.domain.result import TestCase as Case
from mcp_cloud_agents.domain.result import TestReport as Report
from mcp_cloud_agents.runners.detect import runner_named
from mcp_cloud_agents.runners.runner import ReportFolder

A, E, C = FailureKind.ASSERT, FailureKind.ERROR, FailureKind.COLLECTION
TIMEOUT, CRASH = FailureKind.TIMEOUT, FailureKind.CRASH
PASSED, SKIPPED, FAILED, ERROR = Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED, Outcome.ERROR
Line = tuple[str, Outcome, str | None, FailureKind | None]
Recorded = Callable[..., ReportFolder]
Sample = Callable[[str], bytes]


def told(report: Report) -> list[Line]:
    """Id, outcome, place and kind of each case."""
    return [(case.id, case.outcome, _place(case), case.kind) for case in report.cases]


def _place(case: Case) -> str | None:
    return f"{case.file}:{case.line}" if case.line is not None else case.file


def message(report: Report, test: str) -> str:
    return next(case.message for case in report.cases if case.id == test)


def through_the_filter(name: str, output: bytes, report: ReportFolder) -> tuple[Report, bytes]:
    """The report, and what went into the log, of output that came in odd pieces."""
    runner = runner_named(name)
    log_filter = runner.log_filter()
    assert log_filter is not None
    pieces = [output[at : at + 97] for at in range(0, len(output), 97)]
    log = b"".join(map(log_filter.feed, pieces)) + log_filter.flush()
    return runner.read(report), log


PYTEST_FILE = "tests/test_maths.py"
PYTEST: list[Line] = [
    ("tests/test_unloadable.py", ERROR, "tests/test_unloadable.py:1", C),
    (f"{PYTEST_FILE}::test_divides", PASSED, PYTEST_FILE, None),
    (f"{PYTEST_FILE}::test_fails_in_an_assertion", FAILED, f"{PYTEST_FILE}:14", A),
    (f"{PYTEST_FILE}::test_fails_below", FAILED, f"{PYTEST_FILE}:18", E),
    (f"{PYTEST_FILE}::test_takes_a_value[1]", FAILED, f"{PYTEST_FILE}:23", A),
    (f"{PYTEST_FILE}::test_takes_a_value[2]", FAILED, f"{PYTEST_FILE}:23", A),
    (f"{PYTEST_FILE}::test_with_a_broken_fixture", ERROR, f"{PYTEST_FILE}:28", E),
    (f"{PYTEST_FILE}::test_fails_twice", ERROR, f"{PYTEST_FILE}:38", E),
    (f"{PYTEST_FILE}::test_skipped", SKIPPED, PYTEST_FILE, None),
    (f"{PYTEST_FILE}::test_expected_to_fail", SKIPPED, PYTEST_FILE, None),
    (f"{PYTEST_FILE}::test_passes_unexpectedly", FAILED, f"{PYTEST_FILE}:55", E),
    (f"{PYTEST_FILE}::TestGroup::TestInner::test_odd_names[a::b]", PASSED, PYTEST_FILE, None),
    (f"{PYTEST_FILE}::TestGroup::TestInner::test_odd_names[c/d.py]", PASSED, PYTEST_FILE, None),
    (f"{PYTEST_FILE}::TestGroup::TestInner::test_odd_names[\\x1b[31m]", PASSED, PYTEST_FILE, None),
    (f"{PYTEST_FILE}::Old::test_subtests", FAILED, f"{PYTEST_FILE}:71", A),
]


def test_pytest_cases_come_from_the_junit_file_and_the_events(recorded: Recorded) -> None:
    folder = recorded(**{"junit.xml": "pytest.xml", "events.jsonl": "pytest.events.jsonl"})
    report = runner_named("pytest").read(folder)
    assert told(report) == PYTEST
    assert (report.complete, report.expected, report.unfinished) == (True, 15, ())
    assert message(report, "tests/test_unloadable.py") == (
        "ModuleNotFoundError: No module named 'module_that_is_not_there'"
    )


def test_pytest_cases_of_the_junit_file_alone_have_the_same_ids(recorded: Recorded) -> None:
    report = runner_named("pytest").read(recorded(**{"junit.xml": "pytest.xml"}))
    ids = [one for one, *_ in PYTEST if one != "tests/test_unloadable.py"]
    assert [case.id for case in report.cases][1:] == ids
    assert [case.outcome for case in report.cases] == [outcome for _, outcome, *_ in PYTEST]
    assert (report.complete, report.expected) == (True, None)


def test_pytest_events_alone_are_enough_when_the_run_was_closed(recorded: Recorded) -> None:
    report = runner_named("pytest").read(recorded(**{"events.jsonl": "pytest.events.jsonl"}))
    unplaced = (f"{PYTEST_FILE}::test_passes_unexpectedly", FAILED, PYTEST_FILE, E)
    assert told(report) == [*PYTEST[:10], unplaced, *PYTEST[11:]]
    assert report.complete


def test_a_run_of_pytest_that_exits_inside_a_test_names_it(recorded: Recorded) -> None:
    report = runner_named("pytest").read(recorded(**{"events.jsonl": "pytest-exit.events.jsonl"}))
    assert [case.id for case in report.cases] == [
        "tests/test_c.py::test_one",
        "tests/test_c.py::test_two",
    ]
    assert report.unfinished == ("tests/test_c.py::test_three",)
    assert (report.complete, report.expected) == (False, 4)
    assert report.problem == "pytest started and ended without closing its report"


def test_the_details_of_a_failure_show_where_it_went_wrong(recorded: Recorded) -> None:
    folder = recorded(**{"junit.xml": "pytest.xml", "events.jsonl": "pytest.events.jsonl"})
    report = runner_named("pytest").read(folder)
    assert report.cases[5] == Case(
        id=f"{PYTEST_FILE}::test_takes_a_value[2]",
        outcome=FAILED,
        duration_s=report.cases[5].duration_s,
        file=PYTEST_FILE,
        line=23,
        kind=A,
        message="assert 2 == 0",
        details=(
            "value = 2",
            "",
            '    @pytest.mark.parametrize("value", [1, 2])',
            "    def test_takes_a_value(value):",
            ">       assert value == 0",
            "E       assert 2 == 0",
            "",
            "tests/test_maths.py:23: AssertionError",
        ),
    )


def test_unittest_cases_are_read_from_its_junit_file(recorded: Recorded) -> None:
    report = runner_named("unittest").read(recorded(**{"junit.xml": "unittest.xml"}))
    file, good = "tests/test_old.py", "tests.test_old.Good"
    assert sorted(told(report)) == sorted(
        [
            (f"{good}.test_passes", PASSED, file, None),
            (f"{good}.test_fails", FAILED, f"{file}:14", A),
            (f"{good}.test_subtests", FAILED, f"{file}:34", A),
            (f"{good}.test_errs", ERROR, f"{file}:17", E),
            (f"{good}.test_skipped", SKIPPED, file, None),
            (f"{good}.test_known", SKIPPED, file, None),
            (f"{good}.test_surprise", ERROR, f"{file}:27", E),
            ("setUpClass (tests.test_old.Broken)", ERROR, f"{file}:40", E),
            ("tests.test_unloadable", ERROR, "tests/test_unloadable.py:1", C),
        ]
    )
    assert report.complete
    assert message(report, "tests.test_unloadable") == (
        "ModuleNotFoundError: No module named 'nothing_like_this'"
    )
    assert message(report, f"{good}.test_errs") == "ValueError: 12 bad"


def test_jest_cases_are_read_from_its_json_report(recorded: Recorded) -> None:
    report = runner_named("jest").read(recorded(**{"jest.json": "jest.json"}))
    file = "src/maths.test.js"
    assert sorted(told(report)) == sorted(
        [
            (f"{file} > maths divides", PASSED, file, None),
            (f"{file} > maths is wrong", FAILED, f"{file}:6", A),
            (f"{file} > maths throws below", FAILED, "src/maths.js:2", E),
            (f"{file} > maths later", SKIPPED, file, None),
            (f"{file} > maths write me", SKIPPED, file, None),
            (f"{file} > maths hangs", FAILED, f"{file}:13", TIMEOUT),
            ("src/unloadable.test.js", ERROR, "src/unloadable.test.js:1", C),
        ]
    )
    assert report.complete
    assert message(report, f"{file} > maths is wrong") == (
        "Error: expect(received).toBe(expected) // Object.is equality\n\nExpected: 3\nReceived: 2"
    )
    assert message(report, "src/unloadable.test.js") == (
        "Cannot find module './nothing-like-this' from 'src/unloadable.test.js'"
    )


def test_vitest_cases_are_read_from_its_junit_file(recorded: Recorded) -> None:
    report = runner_named("vitest").read(recorded(**{"junit.xml": "vitest.xml"}))
    file = "src/maths.test.js"
    assert sorted(told(report)) == sorted(
        [
            (f"{file} > maths > divides", PASSED, file, None),
            (f"{file} > maths > is wrong", FAILED, f"{file}:7", A),
            (f"{file} > maths > throws below", FAILED, "src/maths.js:2", E),
            (f"{file} > maths > later", SKIPPED, file, None),
            (f"{file} > maths > write me", SKIPPED, file, None),
            (f"{file} > maths > hangs", FAILED, f"{file}:14", TIMEOUT),
            ("src/unloadable.test.js", ERROR, "src/unloadable.test.js:1", C),
        ]
    )
    assert report.complete


def test_go_cases_are_read_on_the_way_to_the_log(recorded: Recorded, sample: Sample) -> None:
    folder = recorded(packages="go.packages")
    report, log = through_the_filter("go", sample("go.txt"), folder)
    demo, deep = "example.com/demo", "example.com/demo/pkg/deep"
    assert told(report) == [
        (f"{demo}.TestGood", PASSED, None, None),
        (f"{demo}.TestBad/sub_one", FAILED, "maths_test.go:12", A),
        (f"{demo}.TestBad/sub_two", PASSED, None, None),
        (f"{demo}.TestSkipped", SKIPPED, None, None),
        (f"{deep}.TestDeep", FAILED, "pkg/deep/deep_test.go:7", A),
        (f"{deep}.TestPanics", FAILED, "pkg/deep/deep_test.go:12", CRASH),
        (f"{demo}/pkg/unbuilt", ERROR, "pkg/unbuilt/x_test.go:5", C),
        (f"{demo}/pkg/vet", ERROR, "pkg/vet/x_test.go:5", C),
    ]
    assert report.complete
    assert message(report, f"{demo}/pkg/unbuilt") == "undefined: missing"
    assert message(report, f"{deep}.TestDeep") == "deep\n          and more"
    assert b'{"' not in log
    assert b"\n--- PASS: TestGood" in log


def test_cargo_cases_are_read_on_the_way_to_the_log(report: ReportFolder, sample: Sample) -> None:
    output = sample("cargo.txt")
    found, log = through_the_filter("cargo", output, report)
    assert told(found) == [
        ("demo src/lib.rs tests::adds", PASSED, "src/lib.rs", None),
        ("demo src/lib.rs tests::is_wrong", FAILED, "src/lib.rs:24", A),
        ("demo src/lib.rs tests::later", SKIPPED, "src/lib.rs", None),
        ("demo src/lib.rs tests::panics_below", FAILED, "src/lib.rs:9", E),
        ("demo src/lib.rs tests::should_panic", PASSED, "src/lib.rs", None),
        ("it tests/it.rs works", PASSED, "tests/it.rs", None),
        ("it tests/it.rs works_too", FAILED, "tests/it.rs", E),
        ("demo doc-tests src/lib.rs - add (line 1)", PASSED, "src/lib.rs", None),
    ]
    assert (found.complete, found.expected) == (True, 8)
    assert message(found, "demo src/lib.rs tests::is_wrong") == (
        "assertion `left == right` failed: sums\n  left: 2\n right: 3"
    )
    assert log == output


def test_a_cargo_test_that_exits_leaves_the_rest_missing(
    report: ReportFolder, sample: Sample
) -> None:
    found, _ = through_the_filter("cargo", sample("cargo-exit.txt"), report)
    assert (found.complete, found.expected) == (False, 3)


def test_a_rust_compile_error_becomes_the_problem(report: ReportFolder) -> None:
    found, _ = through_the_filter("cargo", b"error[E0425]: no `x`\nerror: no compile\n", report)
    assert found == Report(problem="error[E0425]: no `x`\nerror: no compile")


def test_a_go_test_without_a_last_line_feed_has_ended(report: ReportFolder) -> None:
    output = (
        b'{"Action":"run","Package":"p","Test":"TestA"}\n'
        b'{"Action":"output","Package":"p","Test":"TestA","Output":"x--- PASS: TestA (0.00s)\\n"}\n'
        b'{"Action":"pass","Package":"p"}\n'
    )
    found, _ = through_the_filter("go", output, report)
    assert told(found) == [("p.TestA", PASSED, None, None)]
    assert (found.complete, found.unfinished) == (True, ())


def test_a_go_test_that_was_running_at_a_time_out_failed(report: ReportFolder) -> None:
    said = "panic: test timed out after 1s\\n"
    output = (
        b'{"Action":"run","Package":"p","Test":"TestA"}\n'
        b'{"Action":"output","Package":"p","Test":"TestA","Output":"%b"}\n'
        b'{"Action":"fail","Package":"p"}\n' % said.encode()
    )
    found, _ = through_the_filter("go", output, report)
    assert told(found) == [("p.TestA", FAILED, None, TIMEOUT)]


def test_a_go_package_that_never_ended_leaves_the_report_open(report: ReportFolder) -> None:
    output = (
        b'{"Action":"run","Package":"p","Test":"TestA"}\n'
        b'{"Action":"pass","Package":"p","Test":"TestA"}\n'
        b'{"Action":"run","Package":"p","Test":"TestB"}\n'
    )
    found, _ = through_the_filter("go", output, report)
    assert (found.complete, found.unfinished) == (False, ("p.TestB",))


def test_a_go_package_that_fails_beside_its_tests_is_an_error(report: ReportFolder) -> None:
    output = (
        b'{"Action":"pass","Package":"p","Test":"TestA"}\n'
        b'{"Action":"output","Package":"p","Output":"exit status 3\\n"}\n'
        b'{"Action":"fail","Package":"p"}\n'
    )
    found, _ = through_the_filter("go", output, report)
    assert told(found) == [("p.TestA", PASSED, None, None), ("p", ERROR, None, C)]


@pytest.mark.parametrize("name", ["pytest", "unittest", "jest", "vitest", "go", "cargo"])
def test_nothing_in_the_report_folder_is_a_problem(name: str, report: ReportFolder) -> None:
    found = runner_named(name).read(report)
    assert (found.cases, found.complete, bool(found.problem)) == ((), False, True)
