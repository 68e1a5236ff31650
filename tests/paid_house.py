"""A machine on which jobs cost money: real books, real jobs, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mcp_cloud_agents.bootstrap.books import rules_for
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.admit import Admission
from mcp_cloud_agents.delegation.books import Books, Host
from mcp_cloud_agents.delegation.place import Place, Places
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.budget import BudgetTable
from mcp_cloud_agents.domain.job import JobSpec, JobState, Kind
from mcp_cloud_agents.domain.money import FREE, Estimate
from mcp_cloud_agents.domain.result import JobResult
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.governance.audit import Verified
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.ports.audit import Link
from mcp_cloud_agents.ports.ledger import Reservation, ScopeKind
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.settings import Settings, load
from mcp_cloud_agents.storage.audit_files import AuditFiles
from mcp_cloud_agents.storage.sqlite_approvals import SqliteApprovals
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from mcp_cloud_agents.storage.sqlite_records import SqliteRecords
from mcp_cloud_agents.storage.state_folder import StateFolder
from mcp_cloud_agents.storage.stop_flag import StopFlag
from mcp_cloud_agents.telemetry.clock import SystemClock
from mcp_cloud_agents.telemetry.local_time import local_time
from tests.e2e.wire import Repository

T = TypeVar("T")
Wrap = Callable[[str, Any], Any]
WORST, SPENT = 100_000, 40_000
"""Micro-dollars of a job that costs: at most, and once it ran."""
MODEL = Actor(client="codex", client_version="1.0")
PERSON = Actor(client="terminal")
ASK = "default = 'ask'\n"


class MovedClock(SystemClock):
    """The system's clock, put ahead or back; measured time goes on as it does."""

    def __init__(self, moved_s: float = 0.0) -> None:
        self.moved_s = moved_s

    def now(self) -> float:
        """See the port."""
        return super().now() + self.moved_s


class Tariff:
    """`ports.pricing.Pricing` by the job: the worst case before it, a flat price when it ran."""

    def __init__(self, worst_micros: int = WORST, spent_micros: int = SPENT) -> None:
        self.worst_micros = worst_micros
        self._spent = min(spent_micros, worst_micros)

    def vcpus(self, spec: JobSpec) -> float:
        """See the port."""
        del spec
        return 1.0 if self.worst_micros else 0.0

    def estimate(self, spec: JobSpec) -> Estimate:
        """See the port."""
        del spec
        if not self.worst_micros:
            return FREE
        return Estimate(worst_micros=self.worst_micros, expected_micros=self.worst_micros // 2)

    def actual_micros(
        self, spec: JobSpec, status: JobStatus, result: JobResult | None
    ) -> int | None:
        """See the port."""
        del spec, result
        if status.state is JobState.LOST:
            return None
        return self._spent if JobState.RUNNING in dict(status.history) else 0


def as_it_is(_: str, port: T) -> T:
    """Ports that nobody watches."""
    return port


@dataclass
class PaidHouse:
    """A repository, a state folder, and runners over both."""

    repository: Repository
    state: str = ""
    """Name of the state folder beside the repository; empty: the usual one."""
    clock: MovedClock = field(default_factory=MovedClock)
    budget: BudgetTable = field(default_factory=BudgetTable)
    pricing: Tariff = field(default_factory=Tariff)
    wrap: Wrap = as_it_is

    @property
    def settings(self) -> Settings:
        """As a program would read them now."""
        found = load(self.repository.env, cwd=str(self.repository.path))
        scratch = self.repository.path.parent
        return replace(found, state_dir=str(scratch / self.state)) if self.state else found

    @property
    def folder(self) -> StateFolder:
        """The state folder."""
        return StateFolder(self.settings.state_dir)

    @property
    def ledger(self) -> SqliteLedger:
        """As another process sees it."""
        return SqliteLedger(self.folder.ledger)

    @property
    def audit(self) -> AuditFiles:
        """The same."""
        return AuditFiles(self.folder.audit, Redactor().text)

    def policy(self, text: str) -> None:
        """Give the person a policy."""
        path = Path(self.settings.file).with_name("policy.toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def books(self, session: str = "server 1") -> Books:
        """Of one process."""
        return Books(
            ledger=self.wrap("ledger", self.ledger),
            approvals=self.wrap("approvals", SqliteApprovals(self.folder.approvals)),
            audit=self.wrap("audit", self.audit),
            host=Host(session=session, os_user="ada"),
            clock=self.clock,
        )

    def place(self) -> Place:
        """This machine, where jobs have a price."""
        place = runner_for(self.settings)._places.first
        return replace(place, backend=self.wrap("backend", place.backend), pricing=self.pricing)

    def admission(self, books: Books) -> Admission:
        """Of one process."""
        settings, stopped = self.settings, StopFlag(self.folder.path).why
        return Admission(books, rules_for(settings), lambda: self.budget, stopped, local_time)

    def runner(self) -> JobRunner:
        """Of one process."""
        settings, books = self.settings, self.books()
        made = runner_for(settings)
        return JobRunner(
            places=Places([self.place()]),
            records=self.wrap("records", SqliteRecords(self.folder.records, lambda: ())),
            patches=made._applier._patches,
            roots=[str(self.repository.path)],
            admission=self.admission(books),
            books=books,
        )

    def request(self, command: str, key: str | None = None, **changes: Any) -> Request:
        """A command as a model asks for it."""
        wish = Wish(kind=Kind.COMMAND, command=command)
        plain = Request(
            agent="run_in_sandbox",
            workspace=str(self.repository.path),
            wish=wish,
            key=f"caller:{key}" if key else None,
            actor=MODEL,
        )
        return replace(plain, **changes)

    def spec(self, command: str = "true") -> JobSpec:
        """A job that nobody has claimed."""
        packer, request = self.place().packer, self.request(command)
        return packer.pack(request, packer.locate(request.workspace))

    def actions(self) -> list[str]:
        """What was written down, oldest first."""
        return [link.entry.action for link in self.links()]

    def links(self) -> Iterable[Link]:
        """The same with all that was said."""
        return self.audit.links()

    def check_books(self) -> list[Reservation]:
        """Every limit adds up, and to what its reservations say; the audit's chain is whole."""
        found = reservations(self.ledger)
        for scope in {limit.scope for one in found for limit in one.order.limits}:
            [balance] = self.ledger.balances([scope])
            mine = [one for one in found if scope in {each.scope for each in one.order.limits}]
            held = sum(one.order.amount_micros for one in mine if one.state == "open")
            spent = sum(one.actual_micros for one in mine)
            assert (balance.open_micros, balance.spent_micros) == (held, spent), balance
            assert balance.room_micros == balance.limit.cap_micros - held - spent, balance
            assert scope.kind is not ScopeKind.TEAM
        assert isinstance(self.audit.folder.verify(), Verified)
        return found


def reservations(ledger: SqliteLedger) -> list[Reservation]:
    """All that were ever made."""
    tokens = ledger._read(lambda db: db.execute("SELECT token FROM reservations").fetchall())
    found = [ledger.get(token) for (token,) in tokens]
    return [one for one in found if one is not None]
