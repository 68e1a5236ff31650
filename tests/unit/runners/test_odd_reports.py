"""Reports that real programs write and that strict readers refuse, or place wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.result import FailureKind, Outcome
from mcp_cloud_agents.runners import junit
from mcp_cloud_agents.runners.detect import runner_named
from mcp_cloud_agents.runners.runner import ReportFolder

JUNIT = '<testsuite><testcase classname="{}" name="{}">{}</testcase></testsuite>'


@pytest.mark.parametrize(
    "odd", [b"&#55296;", b"&#xD800;", b"&#0;", b"&#x110000;", b"\x00", b"\x1b", b"\xed\xa0\x80"]
)
def test_characters_that_xml_lacks_do_not_hide_the_other_tests(odd: bytes) -> None:
    failure = b"<failure message='a" + odd + b"b'/>"
    document = junit.parse(JUNIT.format("c", "n", "FAILURE").encode().replace(b"FAILURE", failure))
    (entry,) = document.entries
    assert (document.problem, entry.outcome) == ("", Outcome.FAILED)
    assert entry.message in ("a\ufffdb", "a?b")


def test_characters_that_xml_has_stay_as_they_are() -> None:
    bad = "<failure message='&#9;&#x1F600;&#233; a[1m] \x01'/>"
    (entry,) = junit.parse(JUNIT.format("c", "n", bad).encode()).entries
    assert entry.message == "\t\U0001f600\xe9 a[1m] ?"


@pytest.mark.parametrize("escape", ["", "#x1B"])
def test_what_is_left_of_a_colour_is_taken_away(escape: str) -> None:
    bad = f"<failure message='{escape}[31mred{escape}[0m'>{escape}[1;31mred</failure>"
    (entry,) = junit.parse(JUNIT.format("c", "n", bad).encode()).entries
    assert (entry.message, entry.text) == ("red", "red")


def test_half_a_surrogate_pair_in_a_jest_report_hides_nothing(
    folder: Path, report: ReportFolder
) -> None:
    failing = {"fullName": "a \ud800", "status": "failed", "failureMessages": ["b \udfff"]}
    told = {"testResults": [{"name": "/workspace/a.js", "assertionResults": [failing]}]}
    (folder / "jest.json").write_text(json.dumps(told))
    (case,) = runner_named("jest").read(report).cases
    assert (case.id, case.message) == ("a.js > a \ufffd", "b \ufffd")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"testResults": 3}', b"\xff", b"[" * 100_000])
def test_what_is_no_jest_report_is_a_problem(
    content: bytes, folder: Path, report: ReportFolder
) -> None:
    (folder / "jest.json").write_bytes(content)
    found = runner_named("jest").read(report)
    assert found.problem.startswith("The report cannot be read")


@pytest.mark.parametrize(
    ("frame", "place"),
    [
        ("src/b.test.js:3:1", ("web/src/b.test.js", 3)),
        ("web/src/b.test.js:4:1", ("web/src/b.test.js", 4)),
        ("src/help.js:9:1)\n at f (src/b.test.js:3:1", ("web/src/help.js", 9)),
    ],
)
def test_relative_frames_of_jest_start_at_its_own_root(
    frame: str, place: tuple[str, int], folder: Path, report: ReportFolder
) -> None:
    file = {
        "name": "/workspace/web/src/b.test.js",
        "status": "failed",
        "message": f"  \u25cf Test suite failed to run\n\n    no\n\n at f ({frame})",
    }
    (folder / "jest.json").write_text(json.dumps({"testResults": [file]}))
    (case,) = runner_named("jest").read(report).cases
    assert (case.file, case.line) == place


@pytest.mark.parametrize(
    ("told", "file"),
    [
        ({"testResults": [{"name": "/workspace/web/a.test.js"}]}, "web/a.test.js"),
        ({"testResults": [{"name": "/workspace/a.test.js"}]}, "a.test.js"),
        ({"testResults": [{"name": "/elsewhere/a.test.js"}]}, None),
        ({"testResults": [{"name": "/workspace/other.js"}]}, "a.test.js"),
        ({}, "a.test.js"),
        ([], "a.test.js"),
    ],
)
def test_files_of_vitest_start_where_its_json_says(
    told: object, file: str | None, folder: Path, report: ReportFolder
) -> None:
    (folder / "junit.xml").write_text(JUNIT.format("a.test.js", "adds", ""))
    (folder / "vitest.json").write_text(json.dumps(told))
    (case,) = runner_named("vitest").read(report).cases
    assert (case.id, case.file) == (f"{file or 'a.test.js'} > adds", file)


COMPILER = b"""\
   Compiling demo v0.1.0 (/workspace/sub)
warning: unused variable
 --> src/lib.rs:1:1

error[E0425]: cannot find function `undefined` in this scope
 --> tests/broken.rs:3:5
  |
3 |     undefined();
  |     ^^^^^^^^^ not found in this scope

error: could not compile `demo` (test "broken") due to 1 previous error
warning: build failed, waiting for other jobs to finish...
"""


def test_a_target_that_does_not_compile_is_a_case(folder: Path, report: ReportFolder) -> None:
    (folder / "cargo.root").write_text("/workspace/sub/Cargo.toml\n")
    runner = runner_named("cargo")
    log_filter = runner.log_filter()
    assert log_filter is not None
    assert log_filter.feed(COMPILER) == COMPILER
    (case,) = runner.read(report).cases
    assert (case.id, case.kind) == ('demo test "broken"', FailureKind.COLLECTION)
    assert (case.file, case.line) == ("sub/tests/broken.rs", 3)
    assert case.message == "error[E0425]: cannot find function `undefined` in this scope"
    assert case.details[-1] == "  |     ^^^^^^^^^ not found in this scope"


def test_what_a_test_prints_is_no_compiler_error(report: ReportFolder) -> None:
    runner = runner_named("cargo")
    log_filter = runner.log_filter()
    assert log_filter is not None
    log_filter.feed(b"running 1 test\nerror: could not compile `x` (lib) due to 1 error\n")
    log_filter.feed(b"test a ... ok\n\ntest result: ok. 1 passed;\n")
    assert [case.outcome for case in runner.read(report).cases] == [Outcome.PASSED]


OLD_PANIC = b"""\
     Running unittests src/lib.rs (target/debug/deps/demo-8348ca7a80742723)

running 1 test
test tests::bad ... FAILED

failures:

---- tests::bad stdout ----
thread 'tests::bad' panicked at 'assertion failed: `(left == right)`
  left: `2`,
 right: `3`', src/lib.rs:17:9
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

failures:
    tests::bad

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
"""


def test_a_panic_as_older_rust_tells_it_has_its_place(report: ReportFolder) -> None:
    runner = runner_named("cargo")
    log_filter = runner.log_filter()
    assert log_filter is not None
    log_filter.feed(OLD_PANIC)
    (case,) = runner.read(report).cases
    assert (case.file, case.line, case.kind) == ("src/lib.rs", 17, FailureKind.ASSERT)
    assert case.message == "assertion failed: `(left == right)`\n  left: `2`,\n right: `3`"
