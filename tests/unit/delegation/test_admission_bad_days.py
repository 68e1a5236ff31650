"""Books that cannot be written or read: nothing that costs starts, and the way out is told."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.delegation.approve import Approver
from mcp_cloud_agents.domain.budget import BudgetTable, TeamBudget, Unreachable
from mcp_cloud_agents.domain.errors import (
    AgentsError,
    AuditUnusable,
    LedgerUnusable,
    OverBudget,
    StateUnusable,
)
from mcp_cloud_agents.ports.approvals import Answer
from mcp_cloud_agents.storage import sqlite_file
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from mcp_cloud_agents.storage.team_ledger import Offline
from tests.ledgers import in_team
from tests.paid_house import ASK, MODEL, WORST, Tariff
from tests.unit.delegation.desk import Desk
from tests.unreliable_ledger import Trouble, unreachable, unreliable


@contextmanager
def in_use(path: str) -> Generator[None]:
    """Another process writes, and does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def damage(path: str) -> None:
    for beside in ("-wal", "-shm"):
        Path(path + beside).unlink(missing_ok=True)
    Path(path).write_bytes(b"no database" * 1_000)


def refused(desk: Desk, kind: type[AgentsError]) -> AgentsError:
    with pytest.raises(kind) as caught:
        desk.ask(9)
    return caught.value


def free_job_starts(desk: Desk) -> bool:
    desk.house.pricing = Tariff(0)
    started = desk.ask(8) is None
    desk.house.pricing = Tariff()
    return started


@pytest.mark.parametrize("policy", ["", ASK])
def test_what_cannot_be_written_down_holds_no_money(desk: Desk, policy: str) -> None:
    desk.house.policy(policy)
    audit = Path(desk.house.folder.audit)
    audit.write_text("in the way")
    assert "audit" in refused(desk, AuditUnusable).message
    desk.house.pricing = Tariff(0)
    refused(desk, AuditUnusable)
    audit.unlink()
    assert (desk.held(), desk.house.actions()) == (0, [])
    assert desk.house.books().approvals.waiting(now=0) == ()


def test_a_disk_that_fills_up_before_the_entry_holds_no_money(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused(desk, AuditUnusable)
    assert desk.held() == 0
    desk.ask(9)
    assert desk.held() == WORST


def test_while_another_process_holds_the_ledger_only_free_jobs_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.ask(1)
    monkeypatch.setattr(sqlite_file, "_BUSY_S", 0.05)
    with in_use(desk.house.folder.ledger):
        error = refused(desk, LedgerUnusable)
        assert "try again" in error.hint
        assert free_job_starts(desk)
    assert desk.held() == WORST


def test_with_a_damaged_ledger_only_free_jobs_start_until_it_is_recovered(desk: Desk) -> None:
    desk.ask(1)
    damage(desk.house.folder.ledger)
    error = refused(desk, LedgerUnusable)
    assert "damaged" in error.message
    assert "costs --recover" in error.hint
    assert free_job_starts(desk)
    desk.house.ledger.recover(link.entry for link in desk.house.links())
    assert desk.held() == WORST
    desk.ask(9)
    assert desk.held() == 2 * WORST


def test_a_damaged_ledger_hides_no_free_job_whose_question_expired(desk: Desk) -> None:
    desk.house.policy(ASK)
    desk.house.pricing = Tariff(0)
    desk.ask()
    damage(desk.house.folder.ledger)
    desk.house.clock.moved_s = 3_601
    books = desk.house.books()
    question = Approver(books, desk.house.admission(books)).question(desk.record(1))
    assert question is not None
    assert question.answer is Answer.EXPIRED


def test_a_question_that_cannot_be_stored_holds_no_money(desk: Desk) -> None:
    desk.house.policy(ASK)
    desk.ask(1)
    damage(desk.house.folder.approvals)
    assert "approvals" in refused(desk, StateUnusable).message
    assert desk.held() == WORST


def test_money_of_a_job_that_expired_waits_for_an_audit_that_works(desk: Desk) -> None:
    desk.house.policy(ASK)
    desk.ask()
    desk.house.clock.moved_s = 3_601
    audit = Path(desk.house.folder.audit)
    aside = audit.rename(audit.with_name("aside"))
    audit.write_text("in the way")
    books = desk.house.books()
    approver = Approver(books, desk.house.admission(books))
    question = approver.question(desk.record(1))
    assert question is not None
    assert question.answer is Answer.EXPIRED
    audit.unlink()
    aside.rename(audit)
    assert desk.held() == WORST
    approver.question(desk.record(1))
    assert (desk.held(), desk.house.actions()) == (0, ["asked", "expired"])


def test_without_the_team_the_limit_of_this_machine_alone_refuses(
    desk: Desk, tmp_path: Path
) -> None:
    away = Trouble(raises=unreachable, always=True)
    team = unreliable(SqliteLedger(str(tmp_path / "team.sqlite")), away, "team")
    alone = Offline(when_unreachable=Unreachable.LOCAL, local_micros=WORST)
    desk.house.budget = BudgetTable(team=TeamBudget(table="t"))
    books = replace(desk.house.books(), ledger=in_team(tmp_path, team, alone))
    admission = desk.house.admission(books)
    admission.admit(desk.record(1), desk.place, MODEL)
    with pytest.raises(OverBudget, match="limit of this team offline has 0 USD left") as refused:
        admission.admit(desk.record(2), desk.place, MODEL)
    assert "budget.team.local_usd" in refused.value.hint
