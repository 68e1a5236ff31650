"""Composition root of every job: settings in, a runner out.

What the first answer of the server does not need is imported when it is first used.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from mcp_cloud_agents.bootstrap.books import Principal, books_of, rules_for
from mcp_cloud_agents.bootstrap.places import job_owner, places_of, roots_of

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.settings import AwsSettings, Settings
    from mcp_cloud_agents.snapshots.apply.far_bases import FarBases
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots


_log = logging.getLogger(__name__)


def build_runner(known: KnownSecrets | None = None) -> JobRunner:
    """The job runner of a server on this machine, from the person's settings.

    Args:
        known: is told every secret that is resolved in this process; None: nobody else shows
            what this process says.

    Raises:
        BadConfig: the settings are wrong.
        StateUnusable, NoSpace: the state folder cannot be used.
    """
    from mcp_cloud_agents.settings import load

    return runner_for(load(), known, keep_spare=True)


def runner_for(
    settings: Settings, known: KnownSecrets | None = None, *, keep_spare: bool = False
) -> JobRunner:
    """The same from given settings.

    Args:
        settings: the person's.
        known: as in `build_runner`.
        keep_spare: whether a worker waits for jobs as long as this process lives.
    """
    from mcp_cloud_agents.delegation.admit import Admission
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.ports.backend import LOCAL
    from mcp_cloud_agents.ports.records import Record
    from mcp_cloud_agents.settings import budget_in
    from mcp_cloud_agents.snapshots.apply.git_patches import GitPatches
    from mcp_cloud_agents.snapshots.screen import ScreenRules
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
    from mcp_cloud_agents.storage.job_folder import all_specs
    from mcp_cloud_agents.storage.sqlite_records import SqliteRecords
    from mcp_cloud_agents.storage.state_folder import StateFolder
    from mcp_cloud_agents.storage.stop_flag import StopFlag
    from mcp_cloud_agents.telemetry.local_time import local_time

    state = StateFolder(settings.state_dir)
    state.open(shared=job_owner(settings) is not None)
    rules = ScreenRules(
        max_file_mib=settings.max_file_mib,
        max_total_mib=settings.max_total_mib,
        allow=settings.allow_untracked,
    )
    snapshots = GitSnapshots(settings.state_dir, rules)
    known, principal = known or KnownSecrets(), Principal(settings.aws)
    places = places_of(settings, state, snapshots, known, principal.meet, keep_spare=keep_spare)

    def indexed() -> tuple[Record, ...]:
        specs = all_specs(state.jobs, on_damage=lambda what: _log.warning("job_damaged: %s", what))
        return tuple(Record(spec=spec, backend=LOCAL) for spec in specs)

    books = books_of(settings, state, known, principal, serving=keep_spare)
    return JobRunner(
        places=places,
        records=SqliteRecords(state.records, indexed),
        patches=GitPatches(snapshots, _far_bases(settings.aws, snapshots)),
        roots=roots_of(settings),
        admission=Admission(
            books,
            rules_for(settings),
            partial(budget_in, settings.file),
            StopFlag(state.path).why,
            local_time,
        ),
        books=books,
    )


def _far_bases(aws: AwsSettings | None, snapshots: GitSnapshots) -> FarBases | None:
    """Where the snapshots of other machines' jobs come from: the person's bucket, if any."""
    if aws is None:
        return None
    from mcp_cloud_agents.snapshots.apply.far_bases import FarBases

    def bucket() -> Store:
        from mcp_cloud_agents.backends.aws_batch.clients import Clients
        from mcp_cloud_agents.backends.aws_batch.factory import bucket_store

        return bucket_store(aws, Clients(aws))

    return FarBases(snapshots.stores, bucket)
