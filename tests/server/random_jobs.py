"""Jobs as nasty as a job can make them, for the answers that tell of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.delegation.waiting import waiting_view
from mcp_cloud_agents.domain.fix import FixReport
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState, Kind, Origin, Snapshot
from mcp_cloud_agents.domain.money import Estimate, Money
from mcp_cloud_agents.domain.patch import Patch
from mcp_cloud_agents.domain.result import (
    Artifact,
    Cause,
    CauseKind,
    FailureKind,
    JobResult,
    Outcome,
)
from mcp_cloud_agents.domain.result import TestCase as Case
from mcp_cloud_agents.domain.result import TestReport as Report
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Limits, Network
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.domain.verdict import judge
from mcp_cloud_agents.ports.approvals import Answer, Question
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.ports.records import Record
from tests.questions import some_facts

JOB = JobId("j1m7y080sptn5z2v5k960nd")


def repeated(text: str, times: int) -> str:
    return text * times


def lines(texts: list[str], times: int) -> tuple[str, ...]:
    return tuple(texts * times)


def sentence(text: str) -> str:
    return f"Something: {text}"


# What a job can choose: quotes and backslashes take two characters of JSON, controls up to six.
NASTY = st.text(
    st.one_of(st.sampled_from('"\\\n\t\x00\x1b\u202e\u2028é😀'), st.characters(codec="utf-8")),
    max_size=60,
)
TEXT: st.SearchStrategy[str] = st.builds(repeated, NASTY, st.sampled_from([1, 1, 3, 40]))
SENTENCE = st.builds(sentence, TEXT)
TEXTS: st.SearchStrategy[tuple[str, ...]] = st.builds(
    lines, st.lists(TEXT, max_size=8), st.sampled_from([1, 1, 30])
)
PAIRS: st.SearchStrategy[tuple[tuple[str, str], ...]] = st.builds(
    tuple[tuple[str, str], ...], st.lists(st.tuples(TEXT, TEXT), max_size=40)
)
NUMBERS = st.integers(0, 2**63 - 1)
CASES = st.builds(
    Case,
    id=TEXT,
    outcome=st.sampled_from(Outcome),
    duration_s=st.floats(0, 1e6),
    file=st.none() | TEXT,
    line=st.none() | NUMBERS,
    kind=st.none() | st.sampled_from(FailureKind),
    message=TEXT,
    details=TEXTS,
)
REPORTS = st.builds(
    Report,
    cases=st.builds(tuple[Case, ...], st.lists(CASES, max_size=40)),
    complete=st.booleans(),
    unfinished=TEXTS,
    problem=TEXT,
)
PATCHES = st.builds(
    Patch,
    base_tree=st.just("a" * 64),
    tree=st.just("b" * 64),
    base_commit=st.just("c" * 64),
    sha256=st.just("d" * 64),
    size_bytes=NUMBERS,
    files=NUMBERS,
    insertions=NUMBERS,
    deletions=NUMBERS,
    paths=TEXTS,
    refused=PAIRS,
    sensitive=TEXTS,
)
ARTIFACTS = st.builds(
    Artifact,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", fullmatch=True),
    media_type=st.just("application/octet-stream"),
    size_bytes=NUMBERS,
    sha256=st.just("e" * 64),
)
ISOLATIONS = st.builds(
    IsolationRecord,
    level=st.sampled_from(IsolationLevel),
    driver=TEXT,
    run_network=st.just(Network.NONE),
    notes=TEXTS,
)
CAUSES = st.builds(
    Cause, kind=st.sampled_from(CauseKind), message=SENTENCE, hint=SENTENCE, excerpt=TEXTS
)
ORIGINS = st.builds(
    Origin,
    workspace=TEXT,
    git_dir=TEXT,
    common_dir=TEXT,
    base_commit=st.none() | st.just("a" * 64),
    branch=st.none() | TEXT,
    dirty=st.booleans(),
)
SPECS = st.builds(
    JobSpec,
    id=st.just(JOB),
    agent=st.just("run_tests_cloud"),
    kind=st.just(Kind.TESTS),
    snapshot=st.builds(
        Snapshot,
        repository=st.just("r"),
        object_format=st.just("sha256"),
        commit=st.just("b" * 64),
        tree=st.just("c" * 64),
        files=NUMBERS,
        sent_bytes=NUMBERS,
        origin=ORIGINS,
        warnings=TEXTS,
    ),
    command=TEXT,
    runner=st.just("pytest"),
    setup=st.just(SetupPlan()),
    limits=st.just(Limits()),
    isolation=st.just(IsolationLevel.FULL),
    digest=st.just("d"),
    created_at=st.just(1.0),
)
MONEY = st.builds(
    Money,
    estimate=st.builds(Estimate, worst_micros=NUMBERS, expected_micros=NUMBERS),
    reserved_micros=NUMBERS,
    actual_micros=st.none() | NUMBERS,
)
NO_FIX: st.SearchStrategy[FixReport | None] = st.none()
ENDS = st.sampled_from([state for state in JobState if state.done])


@st.composite
def asked_jobs(draw: st.DrawFn) -> JobView:
    """Any job that a person was asked about and that never started."""
    answer = draw(st.sampled_from([Answer.WAITING, Answer.DENIED, Answer.EXPIRED]))
    facts = some_facts(worst_micros=draw(NUMBERS), workspace=draw(TEXT))
    question = Question(
        job_id=JOB,
        digest="d" * 64,
        rule=draw(TEXT),
        reason=draw(TEXT),
        asked_at=1.0,
        expires_at=draw(st.floats(1, 4e9)),
        facts=facts,
        answer=answer,
        answered_at=None if answer is Answer.WAITING else 2.0,
        answered_by=draw(TEXT),
        why=draw(TEXT),
    )
    record = Record(spec=draw(SPECS), backend="local")
    return replace(waiting_view(record, question), money=draw(st.none() | MONEY))


@st.composite
def ended_jobs(draw: st.DrawFn, fixes: st.SearchStrategy[FixReport | None] = NO_FIX) -> JobView:
    """Any job that has ended in any way."""
    state = draw(ENDS)
    cause = None if state is JobState.SUCCEEDED else draw(st.none() | CAUSES)
    report, exit_code = draw(st.none() | REPORTS), draw(st.none() | st.integers(0, 255))
    result = JobResult(
        job_id=JOB,
        spec_digest="f",
        state=state,
        exit_code=exit_code,
        isolation=draw(ISOLATIONS),
        cause=cause,
        verdict=None if report is None else judge(report, exit_code=exit_code),
        patch=draw(st.none() | PATCHES),
        artifacts=tuple(draw(st.lists(ARTIFACTS, max_size=30))),
        notes=draw(TEXTS),
        fix=draw(fixes),
    )
    tail = draw(TEXT).encode() * draw(st.sampled_from([1, 10, 100]))
    return JobView(
        spec=draw(SPECS),
        backend="local",
        status=JobStatus(state=state, history=((state, 1.0),), cause=cause, log_bytes=len(tail)),
        result=None if state is JobState.LOST else result,
        tail=Bytes(data=tail, offset=0, size=len(tail)),
        note=draw(st.sampled_from(["", "This key already started this job."])),
        money=draw(st.none() | MONEY),
    )
