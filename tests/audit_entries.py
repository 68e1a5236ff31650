"""Entries of an audit for tests; also as a program that appends some when it is told to.

`python -m tests.audit_entries FOLDER NAME COUNT` prints `ready`, waits for a line, and prints the
number of each entry once it was acknowledged.
"""

from __future__ import annotations

import sys
from typing import Any

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.storage.audit_files import AuditFiles


def an_entry(**changes: Any) -> Entry:
    given: dict[str, Any] = {
        "at": 1_700_000_000.5,
        "action": Action.ALLOWED,
        "actor": Actor(client="claude-code", os_user="ada"),
        "job_id": "j-1",
        "rule": "default",
        "worst_micros": 1_250_000,
        **changes,
    }
    return Entry(**given)


def audit_in(folder: object, **options: Any) -> AuditFiles:
    """The audit that is kept in a folder."""
    return AuditFiles(str(folder), Redactor().text, **options)


if __name__ == "__main__":
    folder, name, count = sys.argv[1:]
    audit = audit_in(folder, rotate_bytes=4_096)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for turn in range(int(count)):
        link = audit.append(an_entry(job_id=f"{name}-{turn}"))
        sys.stdout.write(f"{link.number}\n")
        sys.stdout.flush()
