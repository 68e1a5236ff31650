"""The bad day: three in ten calls of S3, Batch and Logs fail, one attempt in five is reclaimed.

Every job ends with its right verdict, none runs twice to completion, none is lost.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState, Kind, Snapshot
from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.ports.backend import Backend
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.job_objects import JobObjects
from mcp_cloud_agents.storage.log_frames import decode
from mcp_cloud_agents.storage.s3_store import S3Store
from tests.account import Account, an_account
from tests.e2e.wire import a_repository
from tests.unit.conftest import SPEC

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(500)]
ROOT = Path(__file__).resolve().parents[2]
SMALL = "tests.unit.backends.aws_batch"
SEED, RECLAIMED, ATTEMPTS = 11, 0.2, 3
SMALL_JOBS, REAL_JOBS = 200, 24
ENDS_WITHIN_S = 400
"""A guard alone: on two idle cores it is a minute."""
Verdict = tuple[JobState, CauseKind | None, int | None]


class NoShipping:
    """The small worker needs no tree."""

    def ship(self, snapshot: Snapshot) -> int:
        del snapshot
        return 0

    def repository_key(self, snapshot: Snapshot) -> str:
        return snapshot.repository


def bad_day(account: Account, *, reclaim_after_s: float) -> None:
    services = ("s3", "batch", "logs")
    kinds = (("error", 0.1), ("throttle", 0.1), ("lost_answer", 0.125))  # the first that meets
    account.faults(
        api=[
            {"kind": kind, "service": service, "rate": rate, "seed": SEED + number}
            for number, (kind, rate) in enumerate(kinds)
            for service in services
        ],
        jobs=[{"fault": f"reclaim after={reclaim_after_s}", "rate": RECLAIMED, "seed": SEED}],
    )


def expected(job_id: str, code: int) -> Verdict:
    """By the emulator's own dice: whoever is reclaimed each time is told so."""
    from mcp_cloud_agents.emulator.job_faults import chance

    dice = [chance(SEED, f"mca-{job_id}", None, number + 1) for number in range(ATTEMPTS)]
    if all(one < RECLAIMED for one in dice):
        return JobState.FAILED, CauseKind.SPOT_RECLAIMED, None
    return JobState.SUCCEEDED, None, code


class Day:
    """Jobs on a bad day, each followed by somebody who does not give up."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.verdicts: dict[JobId, Verdict] = {}
        self.causes: dict[JobId, Cause | None] = {}
        self.troubles: Counter[str] = Counter()

    def wrong(self, wanted: Mapping[JobId, Verdict]) -> dict[JobId, tuple[Verdict, Cause | None]]:
        """Jobs that ended in another way, with what was said of it."""
        return {
            job_id: (verdict, self.causes[job_id])
            for job_id, verdict in self.verdicts.items()
            if verdict != wanted[job_id]
        }

    async def run(self, specs: list[JobSpec]) -> None:
        with anyio.fail_after(ENDS_WITHIN_S):
            async with anyio.create_task_group() as group:
                for spec in specs:
                    group.start_soon(self._one, spec)

    async def _one(self, spec: JobSpec) -> None:
        steps = (self._submit, self._follow)
        for step in steps:
            while True:
                try:
                    await step(spec)
                    break
                except AgentsError as exc:
                    self.troubles[exc.code] += 1

    async def _submit(self, spec: JobSpec) -> None:
        await self.backend.submit(spec)

    async def _follow(self, spec: JobSpec) -> None:
        async with self.backend.watch(spec.id) as watch:
            while not (status := await self.backend.status(spec.id)).state.done:
                await watch.changed(timeout_s=5)
        result = await self.backend.result(spec.id)
        kind = None if status.cause is None else status.cause.kind
        code = None if result is None else result.exit_code
        self.verdicts[spec.id] = (status.state, kind, code)
        self.causes[spec.id] = status.cause


def at_work(account: Account, spec: JobSpec) -> set[str]:
    """Ids of those jobs of Batch of this name whose worker said something of the job's log."""
    batch, queue = account.client("batch"), account.aws.queues[account.aws.queue]
    name = [{"name": "JOB_NAME", "values": [f"mca-{spec.id}"]}]
    found = batch.list_jobs(jobQueue=queue, filters=name)["jobSummaryList"]
    jobs = batch.describe_jobs(jobs=[one["jobId"] for one in found])["jobs"]
    return {
        job["jobId"]
        for job in jobs
        for attempt in job["attempts"]
        if any(decode(line) for line in said(account, attempt["container"]))
    }


def said(account: Account, container: dict[str, Any]) -> list[str]:
    """What one attempt's container printed; it fits into one page."""
    stream = {"logGroupName": account.aws.log_group, "logStreamName": container["logStreamName"]}
    page = account.client("logs").get_log_events(**stream, startFromHead=True)
    return [event["message"] for event in page["events"]]


def owner(account: Account, spec: JobSpec) -> str:
    """Id in Batch of the one that the job was given to."""
    return JobObjects(S3Store(account.client("s3"), account.aws.bucket), spec.id).owner()


@pytest.fixture
def nursery() -> Iterator[str]:
    """Address of one; a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="mca-") as folder:
        door = f"{folder}/door"
        argv = [sys.executable, "-m", f"{SMALL}.nursery", door]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
                yield door
            finally:
                process.terminate()


@pytest.fixture
def small(nursery: str) -> Iterator[Account]:
    cradle = ROOT.joinpath(*SMALL.split("."), "cradle.py")
    worker = (sys.executable, "-I", "-S", str(cradle), nursery)
    with an_account(worker, pull_s=0.05, log_flush_s=0.05, stop_grace_s=2.0) as account:
        yield account


@pytest.fixture
def real() -> Iterator[Account]:
    with an_account(stop_grace_s=20.0) as account:
        yield account


async def test_two_hundred_jobs_end_right_and_once_on_a_bad_day(
    small: Account, tmp_path: Path
) -> None:
    from mcp_cloud_agents.backends.aws_batch.factory import backend_of

    marks = tmp_path / "marks"
    command = f"mark {marks}; say begin; sleep 0.7; say end; exit {{}}"
    specs = [
        replace(
            SPEC,
            id=JobId(f"jfault{number:03}"),
            kind=Kind.COMMAND,
            command=command.format(number % 3),
            runner=None,
            isolation=IsolationLevel.CONTAINER,
            created_at=time.time(),
        )
        for number in range(SMALL_JOBS)
    ]
    day = Day(backend_of(replace(small.aws, attempts=ATTEMPTS), NoShipping()))
    assert (await day.backend.probe()).works
    bad_day(small, reclaim_after_s=0.4)
    await day.run(specs)
    small.faults()
    wanted = {spec.id: expected(spec.id, number % 3) for number, spec in enumerate(specs)}
    assert day.wrong(wanted) == {}
    assert day.verdicts.keys() == wanted.keys()
    workers, completed = defaultdict[str, set[str]](set), Counter[str]()
    for line in marks.read_text().splitlines():
        job_id, batch_id, what = line.split()
        workers[job_id].add(batch_id)
        completed[job_id] += what == "completed"
    assert workers == {spec.id: {owner(small, spec)} for spec in specs if spec.id in workers}
    done = {job_id for job_id, verdict in day.verdicts.items() if verdict[1] is None}
    assert +completed == dict.fromkeys(done, 1)  # without those that never completed
    assert sum(day.troubles.values()) < SMALL_JOBS / 4, day.troubles


async def test_jobs_of_the_real_worker_end_right_on_a_bad_day(
    real: Account, open_path: Path
) -> None:
    made = a_repository(open_path)
    settings = replace(load(made.env, cwd=str(made.path)), aws=replace(real.aws, attempts=ATTEMPTS))
    place = next(iter(runner_for(settings)._places.candidates("aws_batch")))
    wish = Wish(kind=Kind.COMMAND, command="true")
    request = Request(agent="run_in_sandbox", workspace=str(made.path), wish=wish, key=None)
    packed = place.packer.pack(request, place.packer.locate(str(made.path)))
    specs = [
        replace(
            packed,
            id=JobId(f"jfault{number:03}"),
            command=f"echo begin; sleep 0.5; echo end; exit {number % 3}",
        )
        for number in range(REAL_JOBS)
    ]
    day = Day(place.backend)
    assert (await day.backend.probe()).works
    bad_day(real, reclaim_after_s=1.5)
    await day.run(specs)
    real.faults()
    wanted = {spec.id: expected(spec.id, number % 3) for number, spec in enumerate(specs)}
    assert day.wrong(wanted) == {}
    assert day.verdicts.keys() == wanted.keys()
    for spec in specs:
        log = (await day.backend.log(spec.id, offset=0, limit=1 << 20)).data.decode()
        whole = [line for line in log.splitlines() if line in ("begin", "end")]
        assert whole[-2:] == ["begin", "end"], log
        assert at_work(real, spec) == {owner(real, spec)}
