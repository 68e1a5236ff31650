"""What hardly ever happens between a person's yes, a start and a settlement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_cloud_agents.delegation.approve import Approver, Word
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.errors import NoSpace
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.storage.stop_flag import Stop, StopFlag
from tests.contracts.places import ended, until
from tests.e2e.wire import Repository
from tests.paid_house import ASK, PERSON, SPENT, WORST, PaidHouse

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
def house(repository: Repository) -> PaidHouse:
    return PaidHouse(repository)


async def submit(runner: JobRunner, house: PaidHouse, command: str = "echo ran") -> JobId:
    return (await runner.submit(house.request(command, command))).spec.id


async def ended_unseen(house: PaidHouse, command: str) -> JobId:
    job = await submit(house.runner(), house, command)
    await until(house.place().backend, job, ended)
    return job


def money(house: PaidHouse) -> dict[str, tuple[str, int]]:
    found = house.check_books()
    return {one.order.token: (one.state.value, one.actual_micros) for one in found}


def damage(folder: Path) -> None:
    for name in ("state.json", "result.json"):
        (folder / name).write_bytes(b'{"status": 1')


async def test_a_stop_after_the_yes_keeps_the_job_from_starting(house: PaidHouse) -> None:
    """The process that took the answer was killed before it started the job."""
    house.policy(ASK)
    runner, books = house.runner(), house.books()
    job = await submit(runner, house)
    record = runner._records.get(job)
    word = Word(answer=Answer.APPROVED, actor=PERSON)
    Approver(books, house.admission(books)).answer(record, house.place(), word)
    flag = StopFlag(house.folder.path)
    flag.set(Stop(by="ada", at=0.0, why="the bill"))
    for view in (await runner.look(job), await runner.wait(job, timeout_s=0.1)):
        assert view.status.state is JobState.QUEUED
        assert "approved, but not started: ada stopped everything" in view.note
    assert await runner.sweep() == 0
    assert money(house) == {job: ("open", 0)}
    flag.clear()
    view = await runner.wait(job, timeout_s=60)
    assert view.status.state is JobState.SUCCEEDED
    assert house.actions() == ["asked", "approved", "allowed", "settled"]


async def test_a_job_whose_money_was_given_back_is_billed_when_it_ran(house: PaidHouse) -> None:
    """A clock that jumped ahead let the sweep believe that nothing was started."""
    job = await ended_unseen(house, "echo ran")
    house.ledger.release(job, at=house.clock.now())
    view = await house.runner().look(job)
    assert view.money is not None
    assert view.money.actual_micros == SPENT
    assert money(house) == {job: ("settled", SPENT)}


async def test_one_job_that_cannot_be_looked_at_is_no_end_of_the_sweep(house: PaidHouse) -> None:
    damaged, away = await ended_unseen(house, "echo 1"), await ended_unseen(house, "echo 2")
    fine = await ended_unseen(house, "echo 3")
    damage(Path(house.folder.jobs, damaged))
    runner = house.runner()
    spec = runner._records.get(away).spec
    runner._records.forget([away])
    runner._records.claim(Record(spec=spec, backend="aws_batch"))
    assert await runner.sweep() == 2
    assert money(house) == {
        damaged: ("settled", WORST),
        away: ("open", 0),
        fine: ("settled", SPENT),
    }


class Full:
    """A backend whose disk is full when a job shall start."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def submit(self, spec: JobSpec) -> None:
        raise NoSpace(f"No room for {spec.id}.", hint="Make some.")


def full_disk(name: str, port: Any) -> Any:
    return Full(port) if name == "backend" else port


async def test_a_start_that_failed_in_between_keeps_claim_and_money_for_the_same_key(
    house: PaidHouse,
) -> None:
    full = replace(house, wrap=full_disk)
    with pytest.raises(NoSpace):
        await submit(full.runner(), full)
    [(job, held)] = money(house).items()
    assert held == ("open", 0)
    assert await submit(house.runner(), house) == job
    view = await house.runner().wait(JobId(job), timeout_s=60)
    assert view.status.state is JobState.SUCCEEDED
    assert money(house) == {job: ("settled", SPENT)}


async def test_calls_with_one_key_at_once_start_and_pay_one_job(house: PaidHouse) -> None:
    found: list[JobId] = []

    async def one() -> None:
        found.append(await submit(house.runner(), house))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(one)
    assert len(set(found)) == len(money(house)) == 1
    view = await house.runner().wait(found[0], timeout_s=60)
    assert view.status.state is JobState.SUCCEEDED
    assert money(house) == {found[0]: ("settled", SPENT)}


async def test_of_a_yes_and_a_no_at_once_one_counts(house: PaidHouse) -> None:
    house.policy(ASK)
    job = await submit(house.runner(), house)
    said: dict[Answer, Any] = {}

    async def say(answer: Answer) -> None:
        try:
            said[answer] = await house.runner().answer(job, answer, actor=PERSON)
        except Exception as exc:  # noqa: BLE001  what it is, is looked at below
            said[answer] = exc

    async with anyio.create_task_group() as group:
        group.start_soon(say, Answer.APPROVED)
        group.start_soon(say, Answer.DENIED)
    view = await house.runner().wait(job, timeout_s=60)
    approved = view.question is None
    assert view.status.state is (JobState.SUCCEEDED if approved else JobState.CANCELLED)
    late = said[Answer.DENIED if approved else Answer.APPROVED]
    assert getattr(late, "code", "") == "nothing_to_approve", said
    assert money(house) == {job: ("settled", SPENT) if approved else ("released", 0)}
