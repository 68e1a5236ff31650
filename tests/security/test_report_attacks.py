"""What a hostile job can put into its report: none of it hurts us, or turns red into green."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.result import Outcome, VerdictOutcome
from mcp_cloud_agents.domain.verdict import judge
from mcp_cloud_agents.runners import events, junit, untrusted
from mcp_cloud_agents.runners.detect import RUNNERS, runner_named
from mcp_cloud_agents.runners.progress import ProgressReader

GREEN = b'<testsuite tests="1"><testcase classname="a" name="green" file="a.py"/></testsuite>'
BILLION = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(
        b'<!ENTITY a%d "%s">' % (n, b"&a%s;" % (b"%d" % (n - 1) if n else b"") * 10)
        for n in range(9)
    )
    + b"]><testsuite><testcase name='&a8;'/></testsuite>"
)
EXTERNAL = (
    b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    b"<testsuite><testcase name='t'><failure>&e;</failure></testcase></testsuite>"
)


class Folder:
    """A report folder on disk, read without following links."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, name: str, data: bytes) -> Folder:
        (self.path / name).write_bytes(data)
        return self

    def read(self, name: str, limit: int, offset: int = 0) -> bytes | None:
        try:
            fd = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return os.pread(fd, limit, offset)
        except OSError:
            return None
        finally:
            os.close(fd)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"not xml",
        b"<a/>",
        GREEN[:-5],
        BILLION,
        b"<testsuite>" * 100_000,
        b"<testsuites>" + b"<testsuite>" * 300 + b"</testsuite>" * 300 + b"</testsuites>",
        b'<?xml version="1.0" encoding="nonsense"?>' + GREEN,
        b'<?xml version="1.0" encoding="utf-16"?>' + GREEN,
        b"<testsuite><testcase name='\xff'/></testsuite>",
        b"x" * (junit.MAX_BYTES + 1),
    ],
    ids=lambda data: repr(data[:20]),
)
@pytest.mark.parametrize("name", ["pytest", "unittest", "vitest"])
def test_a_broken_junit_file_is_a_problem_and_no_pass(
    name: str, data: bytes, folder: Folder
) -> None:
    report = runner_named(name).read(folder.put("junit.xml", data))
    assert (report.cases, report.complete, bool(report.problem)) == ((), False, True)
    assert judge(report, exit_code=0).outcome is VerdictOutcome.NONE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"nonsense",
        b'{"testResults": 1}',
        b'{"testResults": [{"name": "\xff"}]}',
        b'{"testResults":' + b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b" " * ((32 << 20) + 1),
    ],
    ids=lambda data: repr(data[:30]),
)
def test_a_broken_json_report_is_a_problem_and_no_pass(data: bytes, folder: Folder) -> None:
    report = runner_named("jest").read(folder.put("jest.json", data))
    assert (report.cases, report.complete, bool(report.problem)) == ((), False, True)


@pytest.mark.parametrize("name", ["pytest", "unittest", "vitest"])
def test_a_control_sequence_in_a_report_is_shown_harmless_and_hides_no_verdict(
    name: str, folder: Folder
) -> None:
    data = b"<testsuite><testcase name='\x1b[2J'><failure message='\x07'/></testcase></testsuite>"
    report = runner_named(name).read(folder.put("junit.xml", data))
    assert [case.outcome for case in report.cases] == [Outcome.FAILED]
    assert not {"\x1b", "\x07"} & set(repr(report))


@pytest.mark.parametrize(
    "data",
    [
        b'{"testResults": [{"name": "\\ud800"}]}',
        b'{"testResults": [{"assertionResults": [{"duration": 1e999}]}]}',
    ],
)
def test_odd_values_of_a_json_report_are_never_a_pass(data: bytes, folder: Folder) -> None:
    report = runner_named("jest").read(folder.put("jest.json", data))
    assert judge(report, exit_code=0).outcome is not VerdictOutcome.PASSED
    assert repr(report).encode()


def test_an_external_entity_shows_no_file_of_ours(folder: Folder) -> None:
    report = runner_named("unittest").read(folder.put("junit.xml", EXTERNAL))
    assert "root:" not in repr(report)


@pytest.mark.parametrize("file", ["junit.xml", "events.jsonl", "jest.json", "packages"])
@pytest.mark.parametrize("name", sorted(RUNNERS))
def test_a_link_out_of_the_report_folder_is_not_followed(
    name: str, file: str, folder: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("secret") / "junit.xml"
    secret.write_bytes(GREEN)
    (folder.path / file).symlink_to(secret)
    assert runner_named(name).read(folder).cases == ()
    assert ProgressReader(folder).read() is None


@pytest.mark.parametrize("kind", ["fifo", "folder"])
@pytest.mark.parametrize("name", sorted(RUNNERS))
def test_a_pipe_or_folder_in_place_of_a_report_is_no_report(
    name: str, kind: str, folder: Folder
) -> None:
    for file in ("junit.xml", "events.jsonl", "jest.json", "packages"):
        path = folder.path / file
        os.mkfifo(path) if kind == "fifo" else path.mkdir()
    report = runner_named(name).read(folder)
    assert judge(report, exit_code=0).outcome is VerdictOutcome.NONE


def test_the_totals_a_suite_claims_are_not_believed(folder: Folder) -> None:
    data = (
        b'<testsuite tests="500" failures="0" errors="0">'
        b'<testcase name="a" classname="m" file="m.py"><failure message="no"/></testcase>'
        b"</testsuite>"
    )
    report = runner_named("pytest").read(folder.put("junit.xml", data))
    counts = judge(report, exit_code=0).counts
    assert (counts.total, counts.passed, counts.failed) == (1, 0, 1)


def test_a_green_copy_of_a_failed_test_does_not_hide_it(folder: Folder) -> None:
    data = (
        b'<testsuite><testcase name="a" classname="m" file="m.py"><failure/></testcase>'
        b'<testcase name="a" classname="m" file="m.py"/></testsuite>'
    )
    (case,) = runner_named("pytest").read(folder.put("junit.xml", data)).cases
    assert case.outcome is Outcome.FAILED


def test_a_green_junit_file_does_not_hide_what_the_events_told(folder: Folder) -> None:
    folder.put("junit.xml", GREEN)
    folder.put(
        "events.jsonl",
        b'{"session": "/workspace"}\n{"total": 3}\n{"start": "a.py::green"}\n'
        b'{"id": "a.py::green", "phase": "call", "outcome": "failed"}\n{"end": "a.py::green"}\n'
        b'{"start": "a.py::hung"}\n{"finish": 0}\n',
    )
    report = runner_named("pytest").read(folder)
    assert [(case.id, case.outcome) for case in report.cases] == [("a.py::green", Outcome.FAILED)]
    assert (report.unfinished, report.expected) == (("a.py::hung",), 3)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("inf", 0.0),
        ("1e999", 0.0),
        ("nan", 0.0),
        ("-5", 0.0),
        ("1,234.5", 1234.5),
        ("1e300", 10_000_000.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_a_duration_is_finite_whatever_is_told(told: str, seconds: float, folder: Folder) -> None:
    data = f'<testsuite><testcase name="a" time="{told}"/></testsuite>'.encode()
    (case,) = runner_named("unittest").read(folder.put("junit.xml", data)).cases
    assert case.duration_s == seconds


def test_names_and_messages_carry_no_control_characters(folder: Folder) -> None:
    name = "a&#10;b&#8238;c&#x9b;31m"
    data = (
        f'<testsuite><testcase name="{name}" classname="m"><failure message="x&#8206;y">'
        "line&#8233;two</failure></testcase></testsuite>"
    ).encode()
    (case,) = runner_named("unittest").read(folder.put("junit.xml", data)).cases
    assert case.id == "m.a b\ufffdc\ufffd31m"
    assert case.message == "x\ufffdy"
    assert case.details == ("line\ufffdtwo",)


@pytest.mark.parametrize(
    "file",
    ["../../etc/passwd", "/etc/passwd", "a/../../x", "/workspace/../etc/x", "a\\0b", "x" * 5_000],
)
def test_a_file_outside_the_tree_is_no_place(file: str, folder: Folder) -> None:
    trace = f'  File "{file}", line 3, in x'
    data = (
        f'<testsuite><testcase name="a" classname="m" file="{file}">'
        f"<failure>{trace}</failure></testcase></testsuite>"
    ).encode()
    (case,) = runner_named("unittest").read(folder.put("junit.xml", data)).cases
    assert case.file is None or not case.file.startswith(("/", ".."))


def test_long_names_messages_and_traces_are_cut(folder: Folder) -> None:
    long = "x" * 1_000_000
    data = (
        f'<testsuite><testcase name="{long}"><failure message="{long}">{long}\n'
        f"{'line' * 30_000}</failure></testcase></testsuite>"
    ).encode()
    (case,) = runner_named("unittest").read(folder.put("junit.xml", data)).cases
    assert (len(case.id), len(case.message)) == (500, 1_000)
    assert len(case.details) <= 20
    assert all(len(line) <= 400 for line in case.details)


def test_too_many_tests_are_a_problem_and_no_pass(folder: Folder) -> None:
    data = b"<testsuite>" + b'<testcase name="a"/>' * (untrusted.MAX_CASES + 1) + b"</testsuite>"
    report = runner_named("unittest").read(folder.put("junit.xml", data))
    assert (report.cases, report.complete) == ((), False)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{",
        b'{"total": 1e999}',
        b'{"total": -5}',
        b'{"total": true}',
        b'{"id": 5, "outcome": "passed"}',
        b'{"id": "a", "frames": [["x", "y"]]}',
        b'{"id": "\xff"}',
        b'{"x":' + b"[" * 60_000,
        b'{"id": "' + b"x" * 100_000 + b'"}',
        b'{"finish": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda line: repr(line[:30]),
)
def test_a_line_of_events_that_makes_no_sense_is_passed_over(line: bytes, folder: Folder) -> None:
    good = b'{"id": "a.py::t", "phase": "call", "outcome": "failed"}\n{"end": "a.py::t"}\n'
    folder.put("events.jsonl", line + b"\n" + good)
    assert [case.id for case in runner_named("pytest").read(folder).cases] == ["a.py::t"]
    progress = ProgressReader(folder).read()
    assert progress is not None
    assert (progress.done, progress.failed) == (1, 1)


def test_lying_lines_of_go_cannot_end_a_package_that_runs(folder: Folder) -> None:
    runner = runner_named("go")
    log_filter = runner.log_filter()
    assert log_filter is not None
    log_filter.feed(b'{"Action":"run","Package":"p","Test":"T"}\n{"Action":"pass"}\n{"Action":7}\n')
    log_filter.feed(b'{"Action":"pass","Package":"q"}\n' + b'{"x":' + b"[" * 100_000 + b"\n")
    log_filter.flush()
    assert judge(runner.read(folder), exit_code=0).outcome is VerdictOutcome.INCOMPLETE


@pytest.mark.parametrize("name", ["go", "cargo"])
def test_output_without_line_feeds_is_not_hoarded(name: str, folder: Folder) -> None:
    runner = runner_named(name)
    log_filter = runner.log_filter()
    assert log_filter is not None
    logged = sum(len(log_filter.feed(b"{" * 65_536)) for _ in range(64)) + len(log_filter.flush())
    assert logged == 64 * 65_536
    assert runner.read(folder).cases == ()


def test_hostile_text_is_read_in_linear_time(folder: Folder) -> None:
    """Text made to trip up each regular expression: minutes, if one of them were quadratic."""
    nasty = [
        "(/" * 50_000,
        "File " * 50_000,
        "a/" * 50_000,
        ":1" * 50_000,
        " at " * 50_000,
        "1." * 50_000,
        "0x" * 50_000,
    ]
    cases = "".join(
        f'<testcase name="{n}" classname="c"><failure message="{text}">{text}</failure></testcase>'
        for n, text in enumerate(nasty * 5)
    )
    folder.put("junit.xml", f"<testsuite>{cases}</testsuite>".encode())
    lines = "\n".join(
        f"test {text[:3_900]}\npanicked at {text[:3_900]}\n     Running {text[:3_900]} ("
        for text in nasty * 20
    )
    started_at = time.monotonic()
    for name in ("pytest", "unittest", "vitest"):
        judge(runner_named(name).read(folder), exit_code=1)
    for name in ("go", "cargo"):
        runner = runner_named(name)
        log_filter = runner.log_filter()
        assert log_filter is not None
        log_filter.feed(lines.encode())
        runner.read(folder)
    assert time.monotonic() - started_at < 20


def test_a_flood_of_events_ends_at_the_size_limit(folder: Folder) -> None:
    folder.put("events.jsonl", b'{"start": "a"}\n' * 100_000)
    told = events.told(folder.read("events.jsonl", events.MAX_BYTES) or b"")
    assert told.unfinished == ("a",)
