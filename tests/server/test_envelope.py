"""The envelope of any job whatever fits 8,000 characters, and says what it left out."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState, Kind, Origin, Snapshot
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
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.server.answers import JobAnswer
from mcp_cloud_agents.server.calls import result_of
from mcp_cloud_agents.server.views import job_answer, links_of
from tests.server.envelope import checked

SCHEMA = JobAnswer.model_json_schema()
JOB = JobId("j1m7y080sptn5z2v5k960nd")
# What a job can choose: quotes and backslashes take two characters of JSON, controls up to six.
NASTY = st.text(
    st.one_of(st.sampled_from('"\\\n\t\x00\x1b\u202e\u2028é😀'), st.characters(codec="utf-8")),
    max_size=60,
)
TEXT = st.builds(lambda part, times: part * times, NASTY, st.sampled_from([1, 1, 3, 40]))
TEXTS = st.builds(
    lambda parts, times: tuple(parts * times),
    st.lists(TEXT, max_size=8),
    st.sampled_from([1, 1, 30]),
)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=40).map(tuple)
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
    cases=st.lists(CASES, max_size=40).map(tuple),
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
SENTENCES = TEXT.map("Something: {}".format)
CAUSES = st.builds(
    Cause, kind=st.sampled_from(CauseKind), message=SENTENCES, hint=SENTENCES, excerpt=TEXTS
)
ENDS = st.sampled_from([state for state in JobState if state.done])


@st.composite
def ended_jobs(draw: st.DrawFn) -> JobView:
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
    )
    tail = draw(TEXT).encode() * draw(st.sampled_from([1, 10, 100]))
    return JobView(
        spec=draw(SPECS),
        backend="local",
        status=JobStatus(state=state, history=((state, 1.0),), cause=cause, log_bytes=len(tail)),
        result=draw(st.just(result) | st.none()) if state is JobState.LOST else result,
        tail=Bytes(data=tail, offset=0, size=len(tail)),
        note=draw(st.sampled_from(["", "This key already started this job."])),
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


@given(view=ended_jobs())
@settings(
    max_examples=150,
    deadline=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_job_makes_an_answer_of_more_than_8000_characters(view: JobView) -> None:
    answer = job_answer(view)
    told = checked(result_of(answer, links_of(view)), SCHEMA)
    assert told["log"]["cursor"] == len(view.tail.data)
    assert told["job_id"] == JOB


def a_crowded_job() -> JobView:
    """As much of everything as a job can leave."""
    cases = tuple(
        Case(
            id=f"tests/test_{n}.py::test_{n}",
            outcome=Outcome.FAILED,
            kind=FailureKind.ASSERT,
            message=f'"{n}" is not \\ ' + "x" * 200,
            details=tuple(f'"{n}"' * 30 for _ in range(20)),
        )
        for n in range(300)
    )
    report = Report(cases=cases, complete=True)
    result = JobResult(
        job_id=JOB,
        spec_digest="f",
        state=JobState.SUCCEEDED,
        exit_code=1,
        isolation=IsolationRecord(
            level=IsolationLevel.FULL, driver="d", run_network=Network.NONE, notes=("n" * 300,) * 9
        ),
        verdict=judge(report, exit_code=1),
        patch=Patch(
            **{"base_tree": "a", "tree": "b", "base_commit": "c", "sha256": "d", "size_bytes": 1},
            **{"files": 500, "insertions": 1, "deletions": 1},
            paths=tuple(f'{n}/"quoted"/' + "p" * 90 for n in range(200)),
            refused=tuple((f"{n}" + "r" * 90, "symlink leaves the tree") for n in range(50)),
            sensitive=tuple(".github/" + "s" * 80 for _ in range(50)),
        ),
        artifacts=tuple(
            Artifact(
                name=f"{n}-" + "a" * 90, media_type="text/plain", size_bytes=1, sha256="e" * 64
            )
            for n in range(40)
        ),
        notes=("note " * 50,) * 8,
    )
    tail = b"".join(b"line %d\n" % n for n in range(500))
    status = JobStatus(state=JobState.SUCCEEDED, history=((JobState.SUCCEEDED, 1.0),))
    origin = Origin(
        workspace="/w", git_dir="g", common_dir="c", base_commit=None, branch="b", dirty=True
    )
    snapshot = Snapshot(
        **{"repository": "r", "object_format": "sha1", "commit": "c", "tree": "t"},
        **{"files": 1, "sent_bytes": 1},
        origin=origin,
        warnings=("w" * 300,) * 30,
    )
    spec = JobSpec(
        **{"id": JOB, "agent": "run_tests_cloud", "kind": Kind.TESTS, "snapshot": snapshot},
        **{"command": "pytest " + "c" * 500, "runner": "pytest", "setup": SetupPlan()},
        **{"limits": Limits(), "isolation": IsolationLevel.FULL, "digest": "d", "created_at": 1.0},
    )
    return JobView(
        **{"spec": spec, "backend": "local", "status": status, "result": result},
        tail=Bytes(data=tail, offset=0, size=len(tail)),
    )


def test_a_crowded_answer_keeps_failures_and_tail_and_counts_what_it_left_out() -> None:
    view = a_crowded_job()
    answer = job_answer(view)
    told: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True)
    assert told["tests"]["counts"]["failed"] == 300
    assert len(told["tests"]["failures"]) >= 10
    shown = sum(failure.get("same", 1) for failure in told["tests"]["failures"])
    assert shown + told["tests"]["not_shown"] == 300
    assert told["log"]["tail"].endswith("line 499\n")
    assert len(told["log"]["tail"]) > 300
    assert told["notes"][-1].startswith("Left out for brevity: ")
    assert told["patch"]["files"] == 500
    for what, shown, all_of_them in (
        ("artifacts", told["artifacts"], 40),
        ("changed paths", told["patch"]["paths"], 200),
        ("refused paths", told["patch"]["refused"], 50),
        ("tree warnings", told["tree"].get("warnings", []), 30),
    ):
        assert f"{all_of_them - len(shown)} {what}" in told["notes"][-1]
