"""Every implementation of the port `Ledger`, empty, for tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.domain.budget import Unreachable
from mcp_cloud_agents.ports.ledger import Ledger, Limit, Order, Scope, ScopeKind, Tags
from mcp_cloud_agents.settings import AwsSettings
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from mcp_cloud_agents.storage.team_ledger import Offline, TeamLedger

if TYPE_CHECKING:
    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.emulator.emulator import Emulator
    from mcp_cloud_agents.storage.dynamo_ledger import DynamoLedger

KINDS = ("sqlite", "dynamo", "team")
REGION = "us-east-1"
DAY = Scope(kind=ScopeKind.DAY, key="2026-11-21")
MONTH = Scope(kind=ScopeKind.MONTH, key="2026-11")
TEAM = Scope(kind=ScopeKind.TEAM, key="2026-11 team")
OFFLINE = Scope(kind=ScopeKind.TEAM_OFFLINE, key="1970-01-01")
TAGS = Tags(agent="run_tests_cloud", backend="aws_batch", workspace="/a", model="m")
REFUSE = Offline(when_unreachable=Unreachable.REFUSE, local_micros=0)
_numbers = itertools.count(1)


MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where many small files are made: processes die in these tests, machines do not."""


def limit(scope: Scope, cap: int = 100) -> Limit:
    return Limit(scope=scope, cap_micros=cap)


def order(
    token: str = "j1",  # noqa: S107  a job's id
    amount: int = 10,
    *limits: Limit,
    at: float = 1.0,
    tags: Tags = TAGS,
) -> Order:
    """One with a limit of 100 for the day and the team each, unless others are given."""
    return Order(
        token=token,
        amount_micros=amount,
        limits=limits or (limit(DAY), limit(TEAM)),
        at=at,
        expires_at=at + 60,
        tags=tags,
    )


@contextmanager
def an_emulator() -> Generator[Emulator]:
    """An AWS in this process, its keys in the environment meanwhile."""
    pytest.importorskip("moto", reason="needs the extra `emulator`")
    from mcp_cloud_agents.emulator.emulator import serve

    with serve() as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        yield emulator


def dynamo(endpoint: str, table: str = "") -> DynamoLedger:
    """A ledger of a team in a table of its own."""
    from mcp_cloud_agents.backends.aws_batch.team_table import TeamTable
    from mcp_cloud_agents.storage.dynamo_ledger import DynamoLedger

    name = table or f"team-{next(_numbers)}"
    if not table:
        from mcp_cloud_agents.emulator.bootstrap import make_team_table

        make_team_table(endpoint, REGION, name)
    return DynamoLedger(TeamTable(_clients(endpoint), name))


@cache
def _clients(endpoint: str) -> Clients:
    """Making them takes a while."""
    from mcp_cloud_agents.backends.aws_batch.clients import Clients

    return Clients(AwsSettings(region=REGION, endpoint_url=endpoint))


def local(folder: Path) -> SqliteLedger:
    """This machine's ledger, of a member of a team."""
    return SqliteLedger(str(folder / "ledger.sqlite"))


def counting_all(path: Path) -> SqliteLedger:
    """One that counts the team's limits as well."""
    return SqliteLedger(str(path), elsewhere=frozenset())


def in_team(folder: Path, team: Ledger, offline: Offline = REFUSE) -> TeamLedger:
    """The composition."""
    return TeamLedger(local(folder), team, offline, str(folder / "turns"))


def new_ledger(kind: str, folder: Path, endpoint: Callable[[], str]) -> Ledger:
    """An empty one."""
    if kind == "sqlite":
        return counting_all(folder / "ledger.sqlite")
    team = dynamo(endpoint())
    return team if kind == "dynamo" else in_team(folder, team)


def check(ledger: Ledger, *scopes: Scope) -> dict[ScopeKind, tuple[int, int, int]]:
    """Room, spent and open of each; all of them add up."""
    found = ledger.balances(scopes)
    for one in found:
        whole = one.room_micros + one.spent_micros + one.open_micros
        assert whole == one.limit.cap_micros, one
    return {
        one.limit.scope.kind: (one.room_micros, one.spent_micros, one.open_micros) for one in found
    }
