"""The audit: what an entry costs, with its way to the disk and without, and verifying many."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

from mcp_cloud_agents.governance.audit import Verified
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.ports.audit import Entry
from mcp_cloud_agents.storage.audit_files import AuditFiles
from tests.audit_entries import an_entry
from tests.bench.series import Series, ms, took_s
from tests.bench.table import Table, verdict

_TARGET_S = 0.0015
_VERIFY_TARGET_S = 5.0
_FACTS = (
    '{"agent":"run_tests_cloud","kind":"tests","backend":"aws_batch","worst_micros":1250000,'
    '"timeout_s":1800,"memory_mib":8192,"vcpus":2.0,"network":true,"secrets":[],'
    '"workspace":"/home/ada/src/app","paths":["tests"],"engine":null,"attempts":1,'
    '"local_time":"mon 14:05"}'
)


def measure(*, quick: bool) -> Table:
    """Entries of a decision, behind many others."""
    count, rounds = (10_000, 200) if quick else (100_000, 2_000)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-audit-") as folder:
        audit = AuditFiles(f"{folder}/audit", Redactor().text)
        with mock.patch.object(os, "fsync"):
            for _ in range(count):
                audit.append(_entry())
            computing = _appends(audit, rounds)
        durable = _appends(audit, rounds)
        disk = syncs(folder, rounds)
        size = sum(path.stat().st_size for path in Path(folder, "audit").iterdir())
        verifying = Series()
        for _ in range(3):
            verifying.add(took_s(lambda: _verify(audit)))
    entries = count + 2 * rounds
    rows = [
        (f"an entry behind {count:,} others, ms", *ms_fine(durable)),
        ("the same without fsync, ms", *ms_fine(computing)),
        ("fsync of as many bytes alone, ms", *ms_fine(disk)),
        (f"`audit verify` of {entries:,} entries ({size >> 20} MiB), ms", *ms(verifying)),
    ]
    notes = (
        verdict(
            "An entry besides fsync, median",
            f"{computing.median * 1_000:.2f} ms",
            "1.5 ms",
            met=computing.median <= _TARGET_S,
        ),
        verdict(
            f"{entries:,} entries verified",
            f"{verifying.median:.1f} s",
            "5 s",
            met=verifying.median <= _VERIFY_TARGET_S,
        ),
    )
    return Table(columns=("", "median", "min", "p95"), rows=rows, notes=notes)


def ms_fine(series: Series) -> tuple[str, str, str]:
    """Seconds as cells in milliseconds with two digits."""
    return series.cells(1_000, 2)


def _entry() -> Entry:
    return an_entry(facts=_FACTS, spec_digest="a" * 64, policy_digest="b" * 64)


def _appends(audit: AuditFiles, rounds: int) -> Series:
    found = Series()
    for _ in range(rounds):
        found.add(took_s(lambda: audit.append(_entry())))
    return found


def syncs(folder: str, rounds: int) -> Series:
    """What the disk takes for itself."""
    found = Series()
    fd = os.open(f"{folder}/plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in range(rounds):
        os.write(fd, b"x" * 1_000)
        found.add(took_s(lambda: os.fsync(fd)))
    os.close(fd)
    return found


def _verify(audit: AuditFiles) -> None:
    assert isinstance(audit.folder.verify(), Verified)
