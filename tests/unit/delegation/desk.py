"""A desk where jobs of one packed tree ask to be started, over real books of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mcp_cloud_agents.delegation.approve import Approver, Word
from mcp_cloud_agents.delegation.place import Place
from mcp_cloud_agents.domain.job import JobId, JobSpec
from mcp_cloud_agents.governance.approval import GrantWish
from mcp_cloud_agents.ports.approvals import Answer, Question
from mcp_cloud_agents.ports.records import Record
from tests.e2e.wire import Repository
from tests.paid_house import MODEL, PERSON, PaidHouse


@dataclass(frozen=True)
class Ground:
    """A repository whose tree was packed once, for all tests of this file."""

    repository: Repository
    spec: JobSpec
    place: Place


@dataclass
class Desk:
    """Where jobs ask to be started, each time by a process of its own."""

    ground: Ground
    house: PaidHouse

    def record(self, number: int, **changes: Any) -> Record:
        spec = replace(self.ground.spec, id=JobId(f"j{number}"), **changes)
        return Record(spec=spec, backend="local")

    @property
    def place(self) -> Place:
        return replace(self.ground.place, pricing=self.house.pricing)

    def ask(self, number: int = 1, *, session: str = "server 1", **changes: Any) -> Question | None:
        """As a process of its own that was just started."""
        admission = self.house.admission(self.house.books(session))
        return admission.admit(self.record(number, **changes), self.place, MODEL)

    def answer(self, answer: Answer, number: int = 1, grant: GrantWish | None = None) -> Question:
        books = self.house.books()
        approver = Approver(books, self.house.admission(books))
        word = Word(answer=answer, actor=PERSON, why="so be it", grant=grant)
        return approver.answer(self.record(number), self.place, word)

    def held(self) -> int:
        """All books are checked on the way."""
        found = self.house.check_books()
        return sum(one.order.amount_micros for one in found if one.state == "open")
