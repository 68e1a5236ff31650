"""A ledger made again from the audit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.governance.ledger_rebuild import details_of, order_of, rebuilt
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.ports.ledger import Order, ReservationState
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from tests.ledgers import DAY, MONTH, check, limit, order


def entry(action: Action, token: str, at: float = 1.0, actual: int | None = None) -> Entry:
    return Entry(at=at, action=action, actor=Actor(), job_id=token, actual_micros=actual)


def allowed(given: Order, action: Action = Action.ALLOWED) -> Entry:
    return Entry(
        at=given.at,
        action=action,
        actor=Actor(),
        job_id=given.token,
        agent=given.tags.agent,
        backend=given.tags.backend,
        workspace=given.tags.workspace,
        worst_micros=given.amount_micros,
        details=(("secrets", "A"), *details_of(given)),
    )


def states(entries: list[Entry]) -> dict[str, tuple[ReservationState, int]]:
    found = rebuilt(entries).reservations
    return {one.order.token: (one.state, one.actual_micros) for one in found}


def test_an_order_is_read_back_from_its_entry_whole() -> None:
    given = order("j1", 30, limit(DAY), limit(MONTH, 7), at=1_763_000_000.123456)
    assert order_of(allowed(given)) == given
    assert order_of(entry(Action.ALLOWED, "j1")) is None


def test_entries_tell_what_is_open_settled_and_given_back() -> None:
    tokens = [f"j{number}" for number in range(7)]
    entries = [allowed(order(token, 30)) for token in tokens]
    entries += [
        *(entry(Action.SETTLED, "j0", actual=12), entry(Action.SETTLED, "j0", actual=99)),
        *(entry(Action.SETTLED, "j1"), entry(Action.RELEASED, "j1")),
        *(entry(Action.RELEASED, "j2"), entry(Action.DECLINED, "j3"), entry(Action.EXPIRED, "j4")),
        *(entry(Action.CANCELLED, "j5"), entry(Action.RELEASED, "unknown")),
        *(entry(Action.RELEASED, "j6"), allowed(order("j6", 8))),
    ]
    settled, back = ReservationState.SETTLED, ReservationState.RELEASED
    assert states(entries) == {
        "j0": (settled, 12),
        "j1": (settled, 30),
        **dict.fromkeys(("j2", "j3", "j4"), (back, 0)),
        **dict.fromkeys(("j5", "j6"), (ReservationState.OPEN, 0)),
    }


def test_money_of_a_job_that_waits_for_a_person_is_held() -> None:
    entries = [allowed(order("j1"), Action.ASKED), allowed(order("j1"), Action.APPROVED)]
    assert states(entries) == {"j1": (ReservationState.OPEN, 0)}


@pytest.mark.parametrize("damage", ["no json", '[["week","w",1]]', '[["day","d",-1]]'])
def test_what_cannot_be_read_is_named_and_the_rest_is_made(damage: str) -> None:
    bad = replace(allowed(order("j1")), details=(("limits", damage),))
    found = rebuilt([bad, allowed(order("j2"))])
    assert [one.order.token for one in found.reservations] == ["j2"]
    assert found.unreadable == ("j1",)


def test_a_rebuilt_ledger_has_the_balances_of_the_lost_one(tmp_path: Path) -> None:
    lost = SqliteLedger(str(tmp_path / "lost.sqlite"))
    orders = [order(f"j{number}", 20, at=float(number)) for number in range(4)]
    for one in orders:
        lost.reserve([one])
    lost.settle("j0", 130, at=5.0)
    lost.settle("j1", None, at=6.0)
    lost.release("j2", at=7.0)
    entries = [
        *map(allowed, orders),
        *(entry(Action.SETTLED, "j0", 5.0, 130), entry(Action.SETTLED, "j1", 6.0)),
        entry(Action.RELEASED, "j2", 7.0),
    ]
    made = SqliteLedger(str(tmp_path / "made.sqlite"), lambda: entries)
    assert made.balances([DAY, MONTH]) == lost.balances([DAY, MONTH])
    assert check(made, DAY) == check(lost, DAY)
    assert (made.open(), made.ended(since=0.0, until=9.0)) == (
        lost.open(),
        lost.ended(since=0.0, until=9.0),
    )
    assert made.latest_at() == lost.latest_at() == 3.0
