"""Random days of a ledger: work of all kinds in any order, deaths in between, held to a model."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mcp_cloud_agents.domain.budget import Unreachable
from mcp_cloud_agents.domain.errors import LedgerUnusable
from mcp_cloud_agents.ports.ledger import (
    Ledger,
    Limit,
    Order,
    OverLimit,
    ReservationState,
    Reserved,
    Scope,
)
from mcp_cloud_agents.storage.sqlite_file import SqliteFile
from mcp_cloud_agents.storage.team_ledger import Offline, TeamLedger
from tests.ledgers import (
    DAY,
    MEMORY,
    MONTH,
    OFFLINE,
    TEAM,
    an_emulator,
    counting_all,
    dynamo,
    limit,
    local,
    order,
)
from tests.unreliable_ledger import Died, Trouble, lost, unreachable, unreliable

SCOPES = (DAY, MONTH, TEAM)
TOKENS = st.sampled_from("abcdef")
MICROS = st.integers(0, 60)
CAPS = st.integers(0, 150)
QUICK = settings(
    max_examples=6,
    stateful_step_count=20,
    phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MANY = settings(QUICK, max_examples=150, stateful_step_count=40)


@st.composite
def orders(draw: st.DrawFn) -> list[Order]:
    tokens = draw(st.lists(TOKENS, min_size=1, max_size=3, unique=True))
    scopes = draw(st.lists(st.sampled_from(SCOPES), min_size=1, unique=True))
    limits = tuple(limit(scope, draw(CAPS)) for scope in scopes)
    return [order(token, draw(MICROS), *limits) for token in tokens]


class Model:
    """The contract, as plainly as it can be said: balances are worked out from what happened."""

    def __init__(self) -> None:
        self.caps: dict[Scope, int] = {}
        self.rows: dict[str, tuple[Order, ReservationState]] = {}
        self.spent: dict[Scope, int] = {}

    def used(self, scope: Scope) -> int:
        held = (one.amount_micros for one, _ in self.rows.values() if self._holds(one, scope))
        return self.spent.get(scope, 0) + sum(held)

    def _holds(self, one: Order, scope: Scope) -> bool:
        is_open = self.rows[one.token][1] is ReservationState.OPEN
        return is_open and scope in [each.scope for each in one.limits]

    def reserve(self, wanted: list[Order]) -> type[Reserved | OverLimit]:
        fresh = [one for one in wanted if self.state(one.token) in (None, "released")]
        for each in {each for one in fresh for each in one.limits}:
            asked = sum(one.amount_micros for one in fresh)
            cap = min(each.cap_micros, self.caps.get(each.scope, each.cap_micros))
            if asked > cap - self.used(each.scope):
                return OverLimit
        for one in fresh:
            for each in one.limits:
                self.caps.setdefault(each.scope, each.cap_micros)
            self.rows[one.token] = (one, ReservationState.OPEN)
        return Reserved

    def state(self, token: str) -> str | None:
        return str(self.rows[token][1]) if token in self.rows else None

    def settle(self, token: str, actual: int | None) -> None:
        if self.state(token) in (None, "settled"):
            return
        one = self.rows[token][0]
        for each in one.limits:
            cost = one.amount_micros if actual is None else actual
            self.spent[each.scope] = self.spent.get(each.scope, 0) + cost
        self.rows[token] = (one, ReservationState.SETTLED)

    def release(self, token: str) -> None:
        if self.state(token) == "open":
            self.rows[token] = (self.rows[token][0], ReservationState.RELEASED)


class LedgerDays(RuleBasedStateMachine):
    """Over any implementation."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.model = Model()
        self.ledger: Ledger = self.new_ledger()

    def new_ledger(self) -> Ledger:
        return counting_all(self.folder / "ledger.sqlite")

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(wanted=orders())
    def reserve(self, wanted: list[Order]) -> None:
        assert type(self.ledger.reserve(wanted)) is self.model.reserve(wanted)

    @rule(token=TOKENS, actual=st.none() | MICROS)
    def settle(self, token: str, actual: int | None) -> None:
        self.ledger.settle(token, actual, at=2.0)
        self.model.settle(token, actual)

    @rule(token=TOKENS)
    def release(self, token: str) -> None:
        self.ledger.release(token, at=2.0)
        self.model.release(token)

    @rule(scope=st.sampled_from(SCOPES), cap=CAPS)
    def set_cap(self, scope: Scope, cap: int) -> None:
        self.ledger.set_cap(limit(scope, cap))
        self.model.caps[scope] = cap

    @invariant()
    def the_books_are_those_of_the_model(self) -> None:
        found = {one.limit.scope: one for one in self.ledger.balances(SCOPES)}
        assert found.keys() == self.model.caps.keys()
        for scope, one in found.items():
            assert one.limit == Limit(scope=scope, cap_micros=self.model.caps[scope])
            whole = one.room_micros + one.spent_micros + one.open_micros
            assert whole == one.limit.cap_micros
            assert one.room_micros == self.model.caps[scope] - self.model.used(scope)
            assert one.spent_micros == self.model.spent.get(scope, 0)


class DyingConnection(sqlite3.Connection):
    """Dies before a statement, for as long as there is one to die before."""

    left = -1

    def execute(self, *given: Any) -> sqlite3.Cursor:
        DyingConnection.left -= 1
        if DyingConnection.left == 0:
            raise Died
        return super().execute(*given)


class DyingFile(SqliteFile):
    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, factory=DyingConnection)


class SqliteDays(LedgerDays):
    """With deaths: the work of the one who died was not done."""

    def new_ledger(self) -> Ledger:
        made = counting_all(self.folder / "ledger.sqlite")
        made._file = DyingFile(made._file.path, made._file._layout)
        return made

    @rule(wanted=orders(), token=TOKENS, at=st.integers(1, 12), which=st.integers(0, 2))
    def die(self, wanted: list[Order], token: str, at: int, which: int) -> None:
        def settle() -> None:
            self.ledger.settle(token, 5, at=2.0)
            self.model.settle(token, 5)

        def release() -> None:
            self.ledger.release(token, at=2.0)
            self.model.release(token)

        def reserve() -> None:
            outcome = self.ledger.reserve(wanted)
            assert type(outcome) is self.model.reserve(wanted)

        DyingConnection.left = at
        with suppress(Died):
            (reserve, settle, release)[which]()
        DyingConnection.left = -1


class TeamDays(LedgerDays):
    """A machine and the team, over SQLite both; only what each counts is looked at."""

    fell_out = False

    def new_ledger(self) -> Ledger:
        self.here = local(self.folder)
        self.team = counting_all(self.folder / "team.sqlite")
        self.trouble = Trouble()
        return TeamLedger(
            unreliable(self.here, self.trouble, "here"),
            unreliable(self.team, self.trouble, "team"),
            Offline(when_unreachable=Unreachable.LOCAL, local_micros=40),
            str(self.folder / "turns"),
        )

    @rule(
        wanted=orders(),
        token=TOKENS,
        at=st.integers(0, 3),
        after=st.booleans(),
        which=st.integers(0, 2),
        what=st.sampled_from([Died, unreachable, lost]),
    )
    def have_trouble(
        self,
        wanted: list[Order],
        token: str,
        at: int,
        after: bool,
        which: int,
        what: Callable[[], BaseException],
    ) -> None:
        """From here on the model does not know any more what is held, but the rules still hold."""
        self.fell_out = True
        if what is unreachable:
            after = False  # nothing was done: that is what it says
        self.trouble.at, self.trouble.after, self.trouble.raises = at, after, what
        work = (
            lambda: self.ledger.reserve(wanted),
            lambda: self.ledger.settle(token, 5, at=2.0),
            lambda: self.ledger.release(token, at=2.0),
        )[which]
        with suppress(Died, LedgerUnusable):
            work()
        self.trouble.at = -1

    @rule(wanted=orders())
    @precondition(lambda self: self.fell_out)
    def reserve(self, wanted: list[Order]) -> None:
        self.ledger.reserve(wanted)

    @invariant()
    def the_books_are_those_of_the_model(self) -> None:
        here, team = self.here.open(), self.team.open()
        assert {one.order.token for one in team} <= {one.order.token for one in here}
        found = [*self.here.balances((DAY, MONTH, OFFLINE)), *self.team.balances((TEAM,))]
        for one in found:
            held = here if one.limit.scope != TEAM else team
            mine = [
                each.order.amount_micros
                for each in held
                if one.limit.scope in [a_limit.scope for a_limit in each.order.limits]
            ]
            assert one.open_micros == sum(mine)
            whole = one.room_micros + one.spent_micros + one.open_micros
            assert whole == one.limit.cap_micros


def test_any_order_of_work_and_deaths_keeps_the_books_right() -> None:
    run_state_machine_as_test(SqliteDays, settings=QUICK)


def test_any_order_of_trouble_with_the_team_leaves_books_that_add_up() -> None:
    run_state_machine_as_test(TeamDays, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("days", [SqliteDays, TeamDays])
def test_many_days_in_any_order_keep_the_books_right(days: type[LedgerDays]) -> None:
    run_state_machine_as_test(days, settings=MANY)


@pytest.mark.slow
def test_any_order_of_work_keeps_the_books_of_a_team_right() -> None:
    with an_emulator() as emulator:

        class DynamoDays(LedgerDays):
            def new_ledger(self) -> Ledger:
                return dynamo(emulator.endpoint)

        run_state_machine_as_test(DynamoDays, settings=QUICK)
