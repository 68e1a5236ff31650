"""The team's table on bad days of AWS, and what a request to it looks like."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument, LedgerUnusable
from mcp_cloud_agents.emulator.emulator import Emulator
from mcp_cloud_agents.ports.ledger import OverLimit, ReservationState, Reserved, ScopeKind
from mcp_cloud_agents.storage import dynamo_table
from mcp_cloud_agents.storage.dynamo_items import change_cap, hold, move
from mcp_cloud_agents.storage.dynamo_ledger import DynamoLedger
from mcp_cloud_agents.storage.dynamo_table import AnswerLost
from tests.ledgers import DAY, TEAM, an_emulator, check, dynamo, limit, order

HELD = {ScopeKind.TEAM: (70, 0, 30)}
ORDER = order("j1", 30, limit(TEAM))


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with an_emulator() as running:
        yield running


@pytest.fixture
def ledger(emulator: Emulator) -> Iterator[DynamoLedger]:
    yield dynamo(emulator.endpoint)
    emulator.control.set_faults({})


def trouble(emulator: Emulator, kind: str, **more: Any) -> None:
    """For writes, unless another action is named."""
    rule = {"kind": kind, "service": "dynamodb", "action": "TransactWriteItems", **more}
    emulator.control.set_faults({"api": [rule]})


CONFLICT: dict[str, Any] = {"code": "TransactionConflictException", "status": 400}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("error", {**CONFLICT, "times": 2}),
        ("error", {"code": "ProvisionedThroughputExceededException", "status": 400, "times": 3}),
        ("throttle", {"times": 3}),
        ("error", {"times": 3}),
    ],
)
def test_what_passes_by_itself_is_tried_again(
    ledger: DynamoLedger, emulator: Emulator, kind: str, more: dict[str, Any]
) -> None:
    trouble(emulator, kind, **more)
    assert ledger.reserve([ORDER]) == Reserved()
    assert check(ledger, TEAM) == HELD


@pytest.mark.parametrize("kind", ["lost_answer", "dropped"])
def test_a_lost_answer_is_looked_up_and_nothing_is_held_twice(
    ledger: DynamoLedger, emulator: Emulator, kind: str
) -> None:
    trouble(emulator, kind, times=1)
    assert isinstance(ledger.reserve([ORDER]), Reserved)
    assert check(ledger, TEAM) == HELD
    trouble(emulator, kind, times=1)
    done = ledger.settle("j1", 12, at=2.0)
    assert done is not None
    assert (done.state, done.actual_micros) == (ReservationState.SETTLED, 12)
    assert check(ledger, TEAM) == {ScopeKind.TEAM: (88, 12, 0)}


def test_a_conflict_that_stays_is_told_after_its_deadline(
    ledger: DynamoLedger, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    within(monkeypatch, 0.1)
    trouble(emulator, "error", **CONFLICT)
    with pytest.raises(LedgerUnusable, match="TransactionConflictException") as raised:
        ledger.reserve([ORDER])
    assert "try again" in raised.value.hint
    assert ledger.get("j1") is None


def test_answers_that_stay_away_leave_the_outcome_open(
    ledger: DynamoLedger, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    within(monkeypatch, 0.1)
    trouble(emulator, "error")
    with pytest.raises(AnswerLost):
        ledger.reserve([ORDER])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredTokenException", "aws sso login"),
        ("UnrecognizedClientException", "AWS_ACCESS_KEY_ID"),
        ("AccessDeniedException", "submitter policy"),
        ("ResourceNotFoundException", "team_budget = true"),
    ],
)
def test_what_a_person_has_to_mend_is_told_with_the_remedy(
    ledger: DynamoLedger, emulator: Emulator, code: str, said: str
) -> None:
    trouble(emulator, "error", action="*", code=code, status=400)
    with pytest.raises(LedgerUnusable) as raised:
        ledger.reserve([ORDER])
    assert said in raised.value.hint
    assert not isinstance(raised.value, AnswerLost)


def test_a_table_that_is_not_there_is_named(emulator: Emulator) -> None:
    with pytest.raises(LedgerUnusable, match="nowhere"):
        dynamo(emulator.endpoint, "nowhere").balances([TEAM])


def test_an_account_out_of_reach_is_told_and_nothing_was_changed() -> None:
    with pytest.raises(LedgerUnusable, match="does not answer") as raised:
        dynamo("http://127.0.0.1:9", "team").reserve([ORDER])
    assert not isinstance(raised.value, AnswerLost)


def test_more_orders_than_a_transaction_takes_are_refused_whole(ledger: DynamoLedger) -> None:
    fan_out = [order(f"j{number}", 1, limit(TEAM)) for number in range(100)]
    with pytest.raises(InvalidArgument, match="100 jobs with 1 limits") as raised:
        ledger.reserve(fan_out)
    assert "fewer" in raised.value.hint
    assert ledger.balances([TEAM]) == ()
    assert ledger.reserve(fan_out[:99]) == Reserved()
    assert check(ledger, TEAM) == {ScopeKind.TEAM: (1, 0, 99)}
    assert len(ledger.open()) == 99


def test_members_at_once_share_the_last_room_among_them(emulator: Emulator) -> None:
    first = dynamo(emulator.endpoint)
    members = [dynamo(emulator.endpoint, first._table.name) for _ in range(8)]

    def take(number: int) -> bool:
        wanted = order(f"j{number}", 30, limit(TEAM), limit(DAY))
        return isinstance(members[number].reserve([wanted]), OverLimit)

    with ThreadPoolExecutor(8) as pool:
        refused = list(pool.map(take, range(8)))
    assert refused.count(False) == 3
    assert set(check(first, TEAM, DAY).values()) == {(10, 0, 90)}


def test_every_change_holds_only_for_the_cap_and_room_it_was_worked_out_for(
    ledger: DynamoLedger,
) -> None:
    ledger.reserve([ORDER])
    (stored,) = ledger.balances([TEAM])
    for stale in (hold(stored, 71, 71), hold(stored, 5, 80), move(DAY, held=1, spent=0)):
        with pytest.raises(dynamo_table.Cancelled, match="ConditionalCheckFailed"):
            ledger._table.write([stale])
    ledger.set_cap(limit(TEAM, 200))
    for stale in (hold(stored, 1, 1), change_cap(stored, 50)):
        with pytest.raises(dynamo_table.Cancelled, match="ConditionalCheckFailed"):
            ledger._table.write([stale])
    assert check(ledger, TEAM) == {ScopeKind.TEAM: (170, 0, 30)}


def within(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A shorter deadline than a person has patience for."""
    monkeypatch.setattr(dynamo_table, "_WITHIN_S", seconds)
