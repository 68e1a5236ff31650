from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.result import FailureKind, Outcome
from mcp_cloud_agents.domain.result import TestCase as Case
from mcp_cloud_agents.runners import junit, untrusted

NAMES = st.text(max_size=60).map(untrusted.name).filter(bool)
CASES = st.builds(
    Case,
    id=NAMES,
    outcome=st.sampled_from(Outcome),
    duration_s=st.floats(0, 1e6).map(untrusted.seconds),
    message=st.text(max_size=80).map(untrusted.message),
)


def test_what_is_written_can_be_read_again() -> None:
    case = Case(
        id="a > b <&>",
        outcome=Outcome.FAILED,
        duration_s=1.5,
        file="src/a.js",
        kind=FailureKind.ASSERT,
        message='said "no"',
        details=("one", "two"),
    )
    assert junit.parse(
        junit.write([case, replace(case, outcome=Outcome.PASSED)])
    ) == junit.Document(
        entries=(
            junit.Entry(
                name="a > b <&>",
                classname="src/a.js",
                file="src/a.js",
                line=None,
                time="1.5",
                outcome=Outcome.FAILED,
                message='said "no"',
                text="one\ntwo",
                type="assert",
            ),
            junit.Entry(
                name="a > b <&>",
                classname="src/a.js",
                file="src/a.js",
                line=None,
                time="1.5",
                outcome=Outcome.PASSED,
            ),
        )
    )


@given(st.lists(CASES, max_size=5))
def test_any_cases_can_be_written_and_counted_again(cases: list[Case]) -> None:
    document = junit.parse(junit.write(cases))
    assert document.problem == ""
    assert [entry.outcome for entry in document.entries] == [case.outcome for case in cases]


def test_the_worst_of_several_outcomes_of_one_id_counts() -> None:
    first = Case(id="a", outcome=Outcome.FAILED, message="first")
    last = Case(id="a", outcome=Outcome.ERROR, message="last")
    other = Case(id="b", outcome=Outcome.PASSED)
    assert junit.worst([first, other, last, first]) == (last, other)


def test_the_worst_result_inside_one_case_counts() -> None:
    case = b"<testcase name='a'><failure message='f'/><error message='e'/></testcase>"
    (entry,) = junit.parse(b"<testsuite>" + case + b"</testsuite>").entries
    assert (entry.outcome, entry.message) == (Outcome.ERROR, "e")
