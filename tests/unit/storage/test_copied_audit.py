"""The copy behind the audit: beside the answers, again after a failure, no more than is needed."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event

import pytest

from mcp_cloud_agents.domain.errors import AuditUnusable
from mcp_cloud_agents.ports.audit import Audit
from mcp_cloud_agents.storage.audit_copy import AuditCopy, Copied
from mcp_cloud_agents.storage.copied_audit import CopiedAudit
from mcp_cloud_agents.storage.folder_store import FolderStore
from tests.audit_entries import an_entry, audit_in

WITHIN_S = 30.0


def test_an_old_entry_is_in_the_bucket_without_being_asked(tmp_path: Path) -> None:
    audit, store, done = audit_in(tmp_path / "audit"), FolderStore(str(tmp_path / "b")), Event()
    copy = AuditCopy(audit.folder, lambda: store)

    def copied() -> Copied:
        found = copy.copy_pending()
        done.set()
        return found

    behind: Audit = CopiedAudit(audit, copied, again_s=0.001)
    link = behind.append(an_entry())
    assert done.wait(WITHIN_S)
    assert copy.state() == Copied(copied=1, pending=0, where=store.name)
    assert list(behind.links()) == [link]


def test_an_entry_is_acknowledged_while_the_copy_hangs(tmp_path: Path) -> None:
    begun, on = Event(), Event()

    def hanging() -> Copied:
        begun.set()
        assert on.wait(WITHIN_S)
        return Copied(copied=2, pending=0)

    audit = CopiedAudit(audit_in(tmp_path / "audit"), hanging, again_s=0.001)
    audit.append(an_entry())
    assert begun.wait(WITHIN_S)
    assert audit.append(an_entry()).number == 2
    on.set()


def test_what_fails_is_tried_again_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done, tries = Event(), list[int]()

    def failing() -> Copied:
        tries.append(1)
        if len(tries) < 3:
            return Copied(copied=0, pending=1, problem="no network")
        if len(tries) == 3:
            raise AuditUnusable("the folder is gone", hint="look")
        done.set()
        return Copied(copied=1, pending=0)

    with caplog.at_level(logging.WARNING):
        CopiedAudit(audit_in(tmp_path / "audit"), failing, again_s=0.001).append(an_entry())
        assert done.wait(WITHIN_S)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["audit_not_copied: no network", "audit_not_copied: the folder is gone"]


def test_an_entry_after_a_rest_is_copied_too(tmp_path: Path) -> None:
    looked = [Event(), Event()]

    def copied() -> Copied:
        (looked[1] if looked[0].is_set() else looked[0]).set()
        return Copied(copied=1, pending=0)

    audit = CopiedAudit(audit_in(tmp_path / "audit"), copied, again_s=0.001)
    audit.append(an_entry())
    assert looked[0].wait(WITHIN_S)
    audit.append(an_entry())
    assert looked[1].wait(WITHIN_S)
