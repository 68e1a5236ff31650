"""The envelope of any job whatever fits 8,000 characters, and says what it left out."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.delegation.request import JobView
from mcp_cloud_agents.domain.job import JobSpec, JobState, Kind, Origin, Snapshot
from mcp_cloud_agents.domain.patch import Patch
from mcp_cloud_agents.domain.result import Artifact, FailureKind, JobResult, Outcome
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
from tests.server.random_fixes import FIXES
from tests.server.random_jobs import JOB, ended_jobs

SCHEMA = JobAnswer.model_json_schema()


@given(view=st.one_of(ended_jobs(), ended_jobs(FIXES)))
@settings(
    max_examples=150,
    deadline=None,
    database=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_job_makes_an_answer_of_more_than_8000_characters(view: JobView) -> None:
    told = checked(result_of(job_answer(view), links_of(view)), SCHEMA)
    assert told["log"]["cursor"] == len(view.tail.data)
    assert told["job_id"] == JOB


def test_a_crowded_answer_keeps_failures_and_tail_and_counts_what_it_left_out() -> None:
    told = checked(result_of(job_answer(a_crowded_job())), SCHEMA)
    tests, patch = told["tests"], told["patch"]
    assert tests["counts"]["failed"] == 300
    assert len(tests["failures"]) >= 10
    named = sum(failure.get("same", 1) for failure in tests["failures"])
    assert named + tests["not_shown"] == 300
    assert told["log"]["tail"].endswith("line 499\n")
    assert len(told["log"]["tail"]) > 300
    assert patch["files"] == 500
    for what, shown, all_of_them in (
        ("artifacts", told["artifacts"], 40),
        ("changed paths", patch["paths"], 200),
        ("refused paths", patch["refused"], 50),
        ("tree warnings", told["tree"]["warnings"], 30),
    ):
        assert f"{all_of_them - len(shown)} {what}" in told["notes"][-1]


def a_crowded_job() -> JobView:
    """As much of everything as a job can leave."""
    tail = b"".join(b"line %d\n" % n for n in range(500))
    state = JobState.SUCCEEDED
    return JobView(
        spec=a_spec(),
        backend="local",
        status=JobStatus(state=state, history=((state, 1.0),)),
        result=JobResult(
            job_id=JOB,
            spec_digest="f",
            state=state,
            exit_code=1,
            isolation=an_isolation(),
            verdict=judge(a_report(), exit_code=1),
            patch=a_patch(),
            artifacts=tuple(an_artifact(n) for n in range(40)),
            notes=("note " * 50,) * 8,
        ),
        tail=Bytes(data=tail, offset=0, size=len(tail)),
    )


def a_spec() -> JobSpec:
    origin = Origin(
        workspace="/w", git_dir="g", common_dir="c", base_commit=None, branch="b", dirty=True
    )
    snapshot = Snapshot(
        repository="r",
        object_format="sha1",
        commit="c",
        tree="t",
        files=1,
        sent_bytes=1,
        origin=origin,
        warnings=("w" * 300,) * 30,
    )
    return JobSpec(
        id=JOB,
        agent="run_tests_cloud",
        kind=Kind.TESTS,
        snapshot=snapshot,
        command="pytest " + "c" * 500,
        runner="pytest",
        setup=SetupPlan(),
        limits=Limits(),
        isolation=IsolationLevel.FULL,
        digest="d",
        created_at=1.0,
    )


def an_isolation() -> IsolationRecord:
    return IsolationRecord(
        level=IsolationLevel.FULL, driver="d", run_network=Network.NONE, notes=("n" * 300,) * 9
    )


def a_report() -> Report:
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
    return Report(cases=cases, complete=True)


def a_patch() -> Patch:
    return Patch(
        base_tree="a",
        tree="b",
        base_commit="c",
        sha256="d",
        size_bytes=1,
        files=500,
        insertions=1,
        deletions=1,
        paths=tuple(f'{n}/"quoted"/' + "p" * 90 for n in range(200)),
        refused=tuple((f"{n}" + "r" * 90, "symlink leaves the tree") for n in range(50)),
        sensitive=tuple(".github/" + "s" * 80 for _ in range(50)),
    )


def an_artifact(n: int) -> Artifact:
    return Artifact(name=f"{n}-" + "a" * 90, media_type="text/plain", size_bytes=1, sha256="e" * 64)
