"""What would run a job twice for one price, past a stop, or on a yes to something else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.delegation.approve import Approver, Word
from mcp_cloud_agents.delegation.roots import scoped_key
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.errors import PolicyDenied, UnknownJob
from mcp_cloud_agents.domain.job import JobId, JobSpec, JobState, Kind
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.storage.stop_flag import Stop, StopFlag
from tests.asking import MODEL, asks, call, client_of
from tests.e2e.terminal import program
from tests.e2e.wire import Repository, a_repository
from tests.paid_house import ASK, PERSON, SPENT, PaidHouse, Tariff

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
DENY = "default = 'deny'\n"
DOCS_ONLY = """\
default = "deny"
[[rules]]
name = "documentation"
decision = "allow"
[rules.when]
only_paths = "docs/*"
"""
NO_INFRA = """\
[[rules]]
name = "no infra"
decision = "deny"
[rules.when]
paths = "infra/*"
"""
STOP = Stop(by="ada", at=0.0, why="the bill")


@pytest.fixture
def house(open_path: Path) -> PaidHouse:
    return PaidHouse(a_repository(open_path))


def was_started(house: PaidHouse, job: JobId) -> bool:
    return Path(house.folder.jobs, job).exists()


def money(house: PaidHouse) -> list[tuple[str, int]]:
    return [(one.state.value, one.actual_micros) for one in house.check_books()]


async def approved_unstarted(house: PaidHouse) -> JobId:
    """The process that took the yes was killed before it started the job."""
    house.policy(ASK)
    runner, books = house.runner(), house.books()
    job = (await runner.submit(house.request("echo ran", "key"))).spec.id
    word = Word(answer=Answer.APPROVED, actor=PERSON)
    Approver(books, house.admission(books)).answer(runner._records.get(job), house.place(), word)
    return job


async def ended(runner: JobRunner, job: JobId) -> JobState:
    return (await runner.wait(job, timeout_s=60)).status.state


@pytest.mark.parametrize("asked", [True, False])
async def test_a_job_that_was_billed_and_removed_never_runs_again(
    house: PaidHouse, *, asked: bool
) -> None:
    """A bucket's lifecycle removes what a job left; the key and the yes stay known here."""
    job = (
        await approved_unstarted(house)
        if asked
        else (await house.runner().submit(house.request("echo ran", "key"))).spec.id
    )
    assert await ended(house.runner(), job) is JobState.SUCCEEDED
    shutil.rmtree(Path(house.folder.jobs, job))
    for again in (house.runner().look(job), house.runner().submit(house.request("x", "key"))):
        with pytest.raises(UnknownJob):
            await again
    assert not was_started(house, job)
    assert money(house) == [("settled", SPENT)]


async def test_an_approved_job_cancelled_during_a_stop_never_starts(house: PaidHouse) -> None:
    job = await approved_unstarted(house)
    flag = StopFlag(house.folder.path)
    flag.set(STOP)
    view = await house.runner().cancel(job, PERSON)
    assert view.status.state is JobState.CANCELLED
    assert money(house) == [("released", 0)]
    flag.clear()
    assert await ended(house.runner(), job) is JobState.CANCELLED
    assert house.actions() == ["asked", "approved", "declined", "released"]


async def test_a_yes_to_a_price_starts_nothing_at_a_later_price(house: PaidHouse) -> None:
    job = await approved_unstarted(house)
    dear = replace(house, pricing=Tariff(worst_micros=9_000_000))
    view = await dear.runner().look(job)
    assert "has changed since the question" in view.note
    assert view.status.state is JobState.CANCELLED
    assert not was_started(house, job)
    assert money(house) == [("released", 0)]


async def test_a_yes_of_hours_ago_starts_nothing_and_holds_no_money(house: PaidHouse) -> None:
    job = await approved_unstarted(house)
    house.clock.moved_s = 3_700
    assert await house.runner().sweep() == 1
    assert (await house.runner().look(job)).status.state is JobState.CANCELLED
    assert not was_started(house, job)
    assert money(house) == [("released", 0)]


async def test_a_policy_that_denies_by_now_outweighs_a_yes(house: PaidHouse) -> None:
    house.policy(ASK)
    runner = house.runner()
    job = (await runner.submit(house.request("echo ran", "key"))).spec.id
    house.policy(DENY)
    with pytest.raises(PolicyDenied):
        await runner.answer(job, Answer.APPROVED, actor=PERSON)
    assert (await runner.look(job)).status.state is JobState.AWAITING_APPROVAL
    house.policy(ASK)
    await runner.answer(job, Answer.APPROVED, actor=PERSON)
    assert await ended(runner, job) is JobState.SUCCEEDED


async def test_a_job_is_judged_by_its_own_paths_whoever_repeats_its_key(house: PaidHouse) -> None:
    """Two calls at once with one key: the one that may run must not start the one that may not."""
    house.policy(DOCS_ONLY)
    runner = house.runner()
    packer = house.place().packer
    origin = packer.locate(str(house.repository.path))
    allowed = asking_for(house, "docs/test_it.py")
    denied = asking_for(house, "test_it.py")
    spec = packer.pack(replace(denied, key=scoped_key(denied.key, origin)), origin)
    runner._records.claim(Record(spec=spec, backend="local"))
    with pytest.raises(PolicyDenied):
        await runner.submit(allowed)
    assert not was_started(house, spec.id)


def asking_for(house: PaidHouse, path: str) -> Any:
    house.repository.write(path, "import unittest\n")
    wish = Wish(kind=Kind.TESTS, command=None, paths=(path,))
    return house.request("", "key", agent="run_tests", wish=wish)


class Slow:
    """A backend on whose way to a job somebody stops everything."""

    def __init__(self, port: Any, flag: StopFlag) -> None:
        self._port = port
        self._flag = flag

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def submit(self, spec: JobSpec) -> None:
        self._flag.set(STOP)
        await self._port.submit(spec)


async def test_a_job_that_starts_while_everything_is_stopped_is_ended(house: PaidHouse) -> None:
    def stopping(name: str, port: Any) -> Any:
        return Slow(port, StopFlag(house.folder.path)) if name == "backend" else port

    runner = replace(house, wrap=stopping).runner()
    job = (await runner.submit(house.request("sleep 600", "key"))).spec.id
    assert await ended(runner, job) is JobState.CANCELLED
    [(state, _)] = money(house)
    assert state == "settled"


@pytest.mark.parametrize("path", ["./infra/test_a.py", "infra//test_a.py", "test_a.py"])
async def test_a_path_written_in_another_way_passes_no_rule(house: PaidHouse, path: str) -> None:
    house.policy(NO_INFRA)
    inside = house.repository.path / "infra"
    request = asking_for(house, "infra/test_a.py")
    wish = replace(request.wish, paths=(path,))
    where = str(inside if "/" not in path else house.repository.path)
    with pytest.raises(PolicyDenied, match="no infra"):
        await house.runner().submit(replace(request, wish=wish, workspace=where))


def a_day_may_cost(repository: Repository, usd: str) -> None:
    config = Path(repository.env["HOME"], ".config", "mcp-cloud-agents", "config.toml")
    config.write_text(f"{MODEL}[budget]\nday_usd = {usd}\n")


async def test_a_limit_lowered_while_a_server_runs_counts_at_once(open_path: Path) -> None:
    repository = a_repository(open_path)
    asks(repository, policy="")
    job = {"goal": "double doubles", "test_command": "true", "engine": "model"}
    async with client_of(repository, "auto", None) as client:
        assert (await call(client, "list_jobs"))["ok"]
        a_day_may_cost(repository, "0.5")
        lowered = await call(client, "fix_in_sandbox", **job)
        a_day_may_cost(repository, "no")
        broken = await call(client, "fix_in_sandbox", **job)
    assert [one["error"]["code"] for one in (lowered, broken)] == ["over_budget", "bad_config"]
    assert "0.5 USD left" in lowered["error"]["message"]


def test_a_submit_that_was_killed_leaves_nothing_for_a_stop_to_fail_at(house: PaidHouse) -> None:
    house.runner()._records.claim(Record(spec=house.spec(), backend="local"))
    done = program(house.repository, "stop", "--all")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


async def test_an_approved_job_that_cannot_start_is_waited_for_without_a_hurry(
    house: PaidHouse,
) -> None:
    job = await approved_unstarted(house)
    flag = StopFlag(house.folder.path)
    flag.set(STOP)
    done = program(house.repository, "attach", job)
    assert (done.returncode, "approved, but not started" in done.stdout) == (3, True), done

    def patient(name: str, port: Any) -> Any:
        return Resumed(port, flag) if name == "approvals" else port

    runner = replace(house, wrap=patient).runner()
    assert await ended(runner, job) is JobState.SUCCEEDED


class Resumed:
    """Somebody resumes after the question was read for a while."""

    def __init__(self, port: Any, flag: StopFlag) -> None:
        self._port = port
        self._flag = flag
        self._left = 4

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def get(self, job_id: JobId, *, now: float) -> Any:
        self._left -= 1
        if not self._left:
            self._flag.clear()
        return self._port.get(job_id, now=now)
