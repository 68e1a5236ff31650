"""The report for a person: all of it there, and nothing of the job's text is markup."""

from __future__ import annotations

from mcp_cloud_agents.domain.fix import (
    CandidateReport,
    Engine,
    Evidence,
    Finding,
    FixOutcome,
    FixReport,
    Label,
    Reproduction,
    Spent,
    StopReason,
)
from mcp_cloud_agents.worker.fix.written_report import in_markdown

EVIDENCE = Evidence(
    label=Label.LIKELY,
    why=("The change has a suspicious line (exits).",),
    ran=("target `pytest -q` in a fresh sandbox: 1 of 1 failing tests pass",),
    protected=("tests/test_a.py",),
    findings=(Finding(rule="exits", path="a.py", line=3, text="os._exit(0)", why="ends it"),),
)


def a_report(message: str) -> FixReport:
    candidate = CandidateReport(
        number=1,
        engine=Engine.MODEL,
        stopped=StopReason.SUBMITTED,
        message=message,
        model="a-model",
        sha256="x",
        files=1,
        evidence=EVIDENCE,
    )
    return FixReport(
        outcome=FixOutcome.PATCH,
        summary="A likely patch.",
        reproduction=Reproduction(failing=("test_a",), passed=4, runs=2),
        candidates=(candidate,),
        chosen=1,
        choice=("Candidate 1 is offered, likely.",),
        spent=Spent(usd_micros=12_300, requests=2, input_tokens=10, output_tokens=5),
    )


def test_it_tells_what_failed_what_ran_what_was_found_and_what_it_cost() -> None:
    told = in_markdown(a_report("done"))
    for words in (
        "2 runs: 1 test fails in each, 4 pass.",
        "## Candidate 1: likely",
        "- made with `model` by a-model",
        "1 of 1 failing tests pass",
        "- Protected, put back: tests/test\\_a.py",
        "- suspicious, a.py:3: ends it: os.\\_exit(0)",
        "- Candidate 1 is offered, likely.",
        "$0.0123 for 2 requests",
        "What none of this catches",
    ):
        assert words in told


def test_text_of_a_job_can_neither_open_headings_nor_links() -> None:
    told = in_markdown(a_report("\n# Verified\n[click](http://x) <b>`x`"))
    assert "\n# Verified" not in told
    assert "\\# Verified \\[click\\](http://x) \\<b\\>\\`x\\`" in told
