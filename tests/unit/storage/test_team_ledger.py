"""This machine and the team, when one of them dies, refuses, or cannot be reached."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.budget import Unreachable
from mcp_cloud_agents.domain.errors import InvalidArgument, LedgerUnusable
from mcp_cloud_agents.ports.ledger import Ledger, OverLimit, Reserved, ScopeKind
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from mcp_cloud_agents.storage.team_ledger import Offline, TeamLedger
from tests.ledgers import (
    DAY,
    MEMORY,
    OFFLINE,
    REFUSE,
    TEAM,
    check,
    counting_all,
    limit,
    local,
    order,
)
from tests.unreliable_ledger import Died, Trouble, lost, unreachable, unreliable

ALONE = Offline(when_unreachable=Unreachable.LOCAL, local_micros=25)
FREE = {ScopeKind.DAY: (100, 0, 0), ScopeKind.TEAM: (100, 0, 0)}


@dataclass(frozen=True)
class Pair:
    """A member's ledger and the team's, and the same composed over trouble."""

    folder: Path
    here: SqliteLedger
    team: SqliteLedger

    def ledger(
        self,
        offline: Offline = REFUSE,
        trouble: Trouble | None = None,
        of_team: Trouble | None = None,
    ) -> TeamLedger:
        trouble = trouble or Trouble()
        here = unreliable(self.here, trouble, "here")
        team = unreliable(self.team, of_team or trouble, "team")
        return TeamLedger(here, team, offline, str(self.folder / "turns"))

    def rooms(self) -> dict[ScopeKind, tuple[int, int, int]]:
        """Of both, added up."""
        return check(self.here, DAY, OFFLINE) | check(self.team, TEAM)

    def tokens(self, ledger: Ledger) -> set[str]:
        return {one.order.token for one in ledger.open()}

    def swept(self) -> dict[ScopeKind, tuple[int, int, int]]:
        """After whatever is open here was given back, as the sweep does it."""
        assert self.tokens(self.team) <= self.tokens(self.here)
        sweeper = self.ledger()
        for one in sweeper.open():
            sweeper.release(one.order.token, at=9.0)
        assert (self.here.open(), self.team.open()) == ((), ())
        return self.rooms()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        folder = Path(made)
        yield Pair(folder, local(folder), counting_all(folder / "team.sqlite"))


def test_both_count_their_own_limits(pair: Pair) -> None:
    ledger = pair.ledger()
    assert ledger.reserve([order("j1", 30)]) == Reserved()
    assert pair.rooms() == {ScopeKind.DAY: (70, 0, 30), ScopeKind.TEAM: (70, 0, 30)}
    assert pair.here.balances([TEAM]) == pair.team.balances([DAY]) == ()
    ledger.settle("j1", 12, at=2.0)
    assert pair.rooms() == {ScopeKind.DAY: (88, 12, 0), ScopeKind.TEAM: (88, 12, 0)}


def test_an_order_without_a_limit_of_the_team_never_asks_it(pair: Pair) -> None:
    gone = Trouble(at=0, raises=unreachable, always=True)
    ledger = pair.ledger(of_team=gone)
    assert ledger.reserve([order("j1", 30, limit(DAY))]) == Reserved()
    ledger.settle("j1", 12, at=2.0)
    assert (pair.rooms(), gone.calls) == ({ScopeKind.DAY: (88, 12, 0)}, [])


def test_a_refusal_of_the_team_gives_the_local_money_back(pair: Pair) -> None:
    pair.team.reserve([order("other", 80)])
    refused = pair.ledger().reserve([order("j1", 15), order("j2", 15)])
    assert isinstance(refused, OverLimit)
    assert (refused.balance.limit.scope, refused.needed_micros) == (TEAM, 30)
    assert pair.rooms()[ScopeKind.DAY] == (100, 0, 0)
    assert pair.ledger().reserve([order("j1", 15)]) == Reserved()


def test_a_refused_fan_out_keeps_what_was_held_before(pair: Pair) -> None:
    ledger = pair.ledger()
    pair.team.reserve([order("other", 80)])
    ledger.reserve([order("j1", 15)])
    assert isinstance(ledger.reserve([order("j1", 15), order("j2", 15)]), OverLimit)
    assert pair.tokens(pair.here) == {"j1"}
    assert pair.rooms()[ScopeKind.DAY] == (85, 0, 15)


def test_a_team_out_of_reach_refuses_and_holds_nothing_here(pair: Pair) -> None:
    with pytest.raises(LedgerUnusable, match="cannot be reached"):
        pair.ledger(of_team=Trouble(at=0, raises=unreachable)).reserve([order("j1", 30)])
    assert pair.rooms() == {ScopeKind.DAY: (100, 0, 0)}
    assert pair.ledger().reserve([order("j1", 30)]) == Reserved()


def test_alone_a_day_of_its_own_is_spent_up_to_its_limit(pair: Pair) -> None:
    gone = Trouble(at=0, raises=unreachable, always=True)
    ledger = pair.ledger(ALONE, of_team=gone)
    assert ledger.reserve([order("j1", 20)]) == Reserved()
    assert ledger.reserve([order("j1", 20)]) == Reserved(already=True)
    refused = ledger.reserve([order("j2", 6)])
    assert isinstance(refused, OverLimit)
    assert refused.balance.limit == limit(OFFLINE, 25)
    assert pair.rooms() == {ScopeKind.DAY: (80, 0, 20), ScopeKind.TEAM_OFFLINE: (5, 0, 20)}
    ledger.settle("j1", 8, at=2.0)
    assert pair.rooms() == {ScopeKind.DAY: (92, 8, 0), ScopeKind.TEAM_OFFLINE: (17, 8, 0)}


@pytest.mark.parametrize("offline", [REFUSE, ALONE], ids=["refuse", "alone"])
@pytest.mark.parametrize("done", [True, False])
def test_after_a_lost_answer_the_sweep_gives_both_back(
    pair: Pair, offline: Offline, done: bool
) -> None:
    ledger = pair.ledger(offline, of_team=Trouble(at=0, after=done, raises=lost))
    if offline is REFUSE:
        with pytest.raises(LedgerUnusable, match="lost"):
            ledger.reserve([order("j1", 20)])
    else:
        assert ledger.reserve([order("j1", 20)]) == Reserved()
    assert pair.rooms()[ScopeKind.DAY] == (80, 0, 20)
    assert pair.tokens(pair.team) == ({"j1"} if done else set())
    assert set(pair.swept().values()) <= {(100, 0, 0), (25, 0, 0)}


def test_an_end_that_the_team_does_not_hear_of_is_told_again(pair: Pair) -> None:
    pair.ledger().reserve([order("j1", 30)])
    for call in ("settle", "release"):
        ledger = pair.ledger(of_team=Trouble(at=0, raises=unreachable))
        with pytest.raises(LedgerUnusable):
            getattr(ledger, call)("j1", *((12,) if call == "settle" else ()), at=2.0)
        assert pair.tokens(pair.here) == {"j1"}
    pair.ledger().settle("j1", 12, at=3.0)
    assert set(pair.rooms().values()) == {(88, 12, 0)}


def test_a_repeat_out_of_reach_keeps_what_the_team_holds(pair: Pair) -> None:
    pair.ledger().reserve([order("j1", 20)])
    with pytest.raises(LedgerUnusable):
        pair.ledger(of_team=Trouble(at=0, raises=unreachable)).reserve([order("j1", 20)])
    alone = pair.ledger(ALONE, of_team=Trouble(at=0, raises=unreachable))
    assert alone.reserve([order("j1", 20, limit(DAY))]) == Reserved()
    assert pair.tokens(pair.here) == pair.tokens(pair.team) == {"j1"}
    assert pair.swept() == {**FREE, ScopeKind.TEAM_OFFLINE: (25, 0, 0)}


def test_more_orders_than_the_team_takes_hold_nothing(pair: Pair) -> None:
    too_many = Trouble(at=0, raises=lambda: InvalidArgument("too many", hint="fewer"))
    with pytest.raises(InvalidArgument):
        pair.ledger(ALONE, of_team=too_many).reserve([order("j1", 1), order("j2", 1)])
    assert pair.rooms() == {ScopeKind.DAY: (100, 0, 0)}


Work = Callable[[Ledger], object]
FAN_OUT = [order("a", 10), order("b", 10)]
WORK: dict[str, Work] = {
    "reserve": lambda ledger: ledger.reserve(FAN_OUT),
    "settle": lambda ledger: ledger.settle("j1", 12, at=2.0),
    "release": lambda ledger: ledger.release("j1", at=2.0),
    "refused": lambda ledger: ledger.reserve([order("a", 60, limit(DAY), limit(TEAM, 50))]),
}
CALLS = {
    "reserve": ["here.reserve", "team.reserve"],
    "settle": ["team.settle", "here.settle"],
    "release": ["team.release", "here.release"],
    "refused": ["here.reserve", "team.reserve", "here.release"],
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("work", "call"), [(work, call) for work in CALLS for call in range(len(CALLS[work]))]
)
def test_a_death_at_any_call_leaves_the_right_room_after_the_sweep(
    pair: Pair, work: str, call: int, after: bool
) -> None:
    pair.ledger().reserve([order("j1", 30)])
    trouble = Trouble(at=call, after=after)
    with pytest.raises(Died):
        WORK[work](pair.ledger(trouble=trouble))
    assert trouble.calls == CALLS[work][: call + 1]
    rooms = pair.swept()
    settled = dict.fromkeys(FREE, (88, 12, 0))
    assert rooms in ((FREE, settled) if work == "settle" else (FREE,))


@pytest.mark.parametrize("call", range(2))
@pytest.mark.parametrize("work", ["settle", "release"])
def test_an_end_that_is_told_again_after_a_death_counts_once(
    pair: Pair, work: str, call: int
) -> None:
    pair.ledger().reserve([order("j1", 30)])
    with pytest.raises(Died):
        WORK[work](pair.ledger(trouble=Trouble(at=call)))
    WORK[work](pair.ledger())
    wanted = (88, 12, 0) if work == "settle" else (100, 0, 0)
    assert set(pair.rooms().values()) == {wanted}


def test_a_cost_told_to_the_team_first_is_the_cost_here_too(pair: Pair) -> None:
    pair.ledger().reserve([order("j1", 30)])
    with pytest.raises(Died):
        pair.ledger(trouble=Trouble(at=1)).settle("j1", 12, at=2.0)
    pair.ledger().settle("j1", None, at=3.0)
    assert set(pair.rooms().values()) == {(88, 12, 0)}
