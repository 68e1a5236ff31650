"""Admission (estimate, policy, reservation, audit) behind ten thousand jobs that were settled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

from mcp_cloud_agents.delegation.admit import Admission
from mcp_cloud_agents.delegation.place import Place
from mcp_cloud_agents.domain.job import JobId, JobSpec
from mcp_cloud_agents.governance.budget import Spender, limits_of
from mcp_cloud_agents.governance.ledger_rebuild import details_of
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.ports.ledger import Order, Tags
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from mcp_cloud_agents.storage.sqlite_records import SqliteRecords
from tests.bench.audit import ms_fine, syncs
from tests.bench.series import Series, took_s
from tests.bench.serving import scratch
from tests.bench.table import Table, verdict
from tests.e2e.wire import a_repository
from tests.paid_house import MODEL, PaidHouse, Tariff

_TARGET_S = 0.005
_JOBS = 10_000
_PRICE, _ACTUAL = 1_000, 400
_POLICY = "".join(
    f"[[rules]]\nname = 'r{number}'\ndecision = 'deny'\nreason = 'no'\n"
    f"[rules.when]\nagent = 'other-{number}'\n"
    for number in range(20)
)


def measure(*, quick: bool) -> Table:
    """Jobs that cost and free jobs, in turns."""
    rounds = 100 if quick else 1_000
    with scratch() as folder:
        house = PaidHouse(a_repository(folder))
        house.policy(_POLICY)
        admission, place, spec = _filled(house)
        costs, free = Series(), Series()
        for number in range(rounds):
            for pricing, series in ((Tariff(_PRICE, _ACTUAL), costs), (Tariff(0), free)):
                job = JobId(f"j9{number:07}{pricing.worst_micros}")
                record = Record(spec=replace(spec, id=job), backend=place.name)
                here = replace(place, pricing=pricing)
                series.add(took_s(lambda: admission.admit(record, here, MODEL)))  # noqa: B023  now
        disk = syncs(str(folder), rounds)
    return _table(costs, free, disk)


def _table(costs: Series, free: Series, disk: Series) -> Table:
    rows = [
        (f"a job that costs, behind {_JOBS:,} jobs, ms", *ms_fine(costs)),
        (f"a free job, behind {_JOBS:,} jobs, ms", *ms_fine(free)),
        ("one fsync of a line alone, ms", *ms_fine(disk)),
    ]
    notes = [
        verdict(f"{what}, p95", f"{one.p95 * 1_000:.1f} ms", "5 ms", met=one.p95 <= _TARGET_S)
        for what, one in (("A job that costs", costs), ("A free job", free))
    ]
    return Table(columns=("", "median", "min", "p95"), rows=rows, notes=notes)


def _filled(house: PaidHouse) -> tuple[Admission, Place, JobSpec]:
    """Books that ten thousand jobs of today were written in, and what a server makes over them."""
    books, place = house.books(), house.place()
    admission = house.admission(books)
    request = house.request("true")
    spec = place.packer.pack(request, place.packer.locate(request.workspace))
    records = [
        Record(spec=replace(spec, id=JobId(f"j{number:08}")), backend=place.name)
        for number in range(_JOBS)
    ]
    SqliteRecords(house.folder.records, lambda: records).latest(workspace=None, limit=1)
    with mock.patch.object(os, "fsync"):
        for entry in _entries(house, records):
            house.audit.append(entry)
    SqliteLedger(house.folder.ledger, lambda: (link.entry for link in house.links())).open()
    assert len(books.ledger.ended(since=0, until=house.clock.now() + 1)) == _JOBS
    return admission, place, spec


def _entries(house: PaidHouse, records: list[Record]) -> Iterator[Entry]:
    for record in records:
        order = _order(house, record)
        yield Entry(
            at=order.at,
            action=Action.ALLOWED,
            actor=MODEL,
            job_id=record.spec.id,
            agent=order.tags.agent,
            backend=order.tags.backend,
            workspace=order.tags.workspace,
            worst_micros=_PRICE,
            details=details_of(order),
        )
        yield Entry(
            at=order.at,
            action=Action.SETTLED,
            actor=MODEL,
            job_id=record.spec.id,
            actual_micros=_ACTUAL,
        )


def _order(house: PaidHouse, record: Record) -> Order:
    now, workspace = house.clock.now(), record.spec.snapshot.origin.workspace
    budget = replace(house.budget, session_usd=1_000, workspace_month_usd=1_000)
    return Order(
        token=record.spec.id,
        amount_micros=_PRICE,
        limits=limits_of(budget, Spender(session="server 1", workspace=workspace), now),
        at=now,
        expires_at=now + 60,
        tags=Tags(agent=record.spec.agent, backend=record.backend, workspace=workspace),
    )
