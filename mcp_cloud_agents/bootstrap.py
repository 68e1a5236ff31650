"""Composition root of the server and the command line: settings in, objects out.

What the first answer of the server does not need is imported when it is first used.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.money import micros_of

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.delegation.place import Place
    from mcp_cloud_agents.delegation.rules import PolicyRules
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe
    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.governance.policy import Policy
    from mcp_cloud_agents.governance.secret_grants import SecretRules
    from mcp_cloud_agents.ports.ledger import Ledger
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.settings import AwsSettings, Settings
    from mcp_cloud_agents.snapshots.apply.far_bases import FarBases
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
    from mcp_cloud_agents.storage.audit_files import AuditFiles
    from mcp_cloud_agents.storage.aws_secrets import AwsSecrets
    from mcp_cloud_agents.storage.state_folder import StateFolder

_log = logging.getLogger(__name__)


def serve_stdio() -> None:
    """Serve MCP over stdin and stdout until the client ends."""
    import anyio

    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.server.app import build_server
    from mcp_cloud_agents.server.front import Front
    from mcp_cloud_agents.server.stdio import serve
    from mcp_cloud_agents.telemetry.logs import log_to_stderr, redact_logs

    log_to_stderr()
    known = KnownSecrets()
    redact_logs(known.known)
    here = ""
    with contextlib.suppress(FileNotFoundError):  # gone: each call is told so by the settings
        here = os.getcwd()
    server = build_server(Front(here, partial(build_runner, known)))
    anyio.run(serve, server)


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
    from mcp_cloud_agents.delegation.place import Places
    from mcp_cloud_agents.delegation.runner import JobRunner
    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.governance.secret_grants import SecretRules
    from mcp_cloud_agents.ports.records import Record
    from mcp_cloud_agents.snapshots.apply.git_patches import GitPatches
    from mcp_cloud_agents.snapshots.screen import ScreenRules
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
    from mcp_cloud_agents.snapshots.trusted import TrustedSnapshots
    from mcp_cloud_agents.storage.job_folder import all_specs
    from mcp_cloud_agents.storage.sqlite_records import SqliteRecords
    from mcp_cloud_agents.storage.sqlite_trust import SqliteTrust
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
    trusted = TrustedSnapshots(snapshots=snapshots, trust=SqliteTrust(state.trust))
    secrets = SecretRules(tables=settings.secrets, trusted=trusted)
    known = known or KnownSecrets()
    here = _here(settings, state, snapshots, secrets, known, keep_spare=keep_spare)

    def indexed() -> tuple[Record, ...]:
        specs = all_specs(state.jobs, on_damage=lambda what: _log.warning("job_damaged: %s", what))
        return tuple(Record(spec=spec, backend=here.backend.name) for spec in specs)

    cloud = (
        (_cloud(settings, settings.aws, snapshots, replace(secrets, elsewhere=True)),)
        if settings.aws is not None
        else ()
    )
    books = _books(settings, state, _session(keep_spare=keep_spare))
    return JobRunner(
        places=Places([*cloud, here]),
        records=SqliteRecords(state.records, indexed),
        patches=GitPatches(snapshots, _far_bases(settings.aws, snapshots)),
        roots=roots_of(settings),
        admission=Admission(
            books, rules_for(settings), settings.budget, StopFlag(state.path).why, local_time
        ),
        books=books,
    )


def _books(settings: Settings, state: StateFolder, session: str) -> Books:
    """What admission writes: money, questions, and what happened."""
    from mcp_cloud_agents.delegation.books import Books, Host
    from mcp_cloud_agents.storage.sqlite_approvals import SqliteApprovals
    from mcp_cloud_agents.telemetry.clock import SystemClock

    account = f"account {settings.aws.account_id}" if settings.aws is not None else ""
    return Books(
        ledger=ledger_for(settings),
        approvals=SqliteApprovals(state.approvals),
        audit=audit_for(settings),
        host=Host(session=session, os_user=os_user(), principal=account),
        clock=SystemClock(),
    )


def ledger_for(settings: Settings) -> Ledger:
    """The money of this machine, and of the team where one is named.

    A ledger that was deleted is filled from the audit: to delete it opens no limit.

    Raises:
        BadConfig: a team is named, and no account that its table is in.
    """
    from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
    from mcp_cloud_agents.storage.state_folder import StateFolder

    state, team = StateFolder(settings.state_dir), settings.budget.team
    here = SqliteLedger(state.ledger, lambda: (one.entry for one in audit_for(settings).links()))
    if not team.table:
        return here
    if settings.aws is None:
        raise BadConfig(
            f"{settings.file}: [budget.team] names a table, and there is no [aws] that says where.",
            hint="Run `mcp-cloud-agents configure aws`, or take budget.team.table out.",
        )
    from mcp_cloud_agents.backends.aws_batch.factory import team_ledger
    from mcp_cloud_agents.storage.team_ledger import Offline, TeamLedger

    offline = Offline(
        when_unreachable=team.when_unreachable, local_micros=micros_of(team.local_usd)
    )
    return TeamLedger(here, team_ledger(settings.aws, team.table), offline, state.turns)


def audit_for(settings: Settings) -> AuditFiles:
    """What happened on this machine."""
    from mcp_cloud_agents.governance.redaction import Redactor
    from mcp_cloud_agents.storage.audit_files import AuditFiles
    from mcp_cloud_agents.storage.state_folder import StateFolder

    return AuditFiles(StateFolder(settings.state_dir).audit, Redactor().text)


def policy_for(settings: Settings) -> Policy:
    """The person's policy as it is now. Raises BadConfig."""
    from mcp_cloud_agents.storage.policy_file import read_policy

    return read_policy(os.path.join(os.path.dirname(settings.file), "policy.toml"))


def rules_for(settings: Settings) -> PolicyRules:
    """The person's policy, and how that of a repository is read."""
    from mcp_cloud_agents.agents.repository_policy import read_repository_policy
    from mcp_cloud_agents.delegation.rules import PolicyRules

    return PolicyRules(lambda: policy_for(settings), read_repository_policy)


def _session(*, keep_spare: bool) -> str:
    """One run of the server; for commands the terminal that they are typed in."""
    import secrets

    if keep_spare:
        return f"server {secrets.token_hex(6)}"
    return f"terminal {os.getsid(0)} {datetime.now(UTC):%Y-%m-%d}"


def os_user() -> str:
    """The account that this process runs as; no variable has a say in it."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's uid without an account
        return f"uid {os.geteuid()}"


def _here(
    settings: Settings,
    state: StateFolder,
    snapshots: GitSnapshots,
    secrets: SecretRules,
    known: KnownSecrets,
    *,
    keep_spare: bool,
) -> Place:
    """This machine as a place for jobs."""
    from mcp_cloud_agents.backends.local.backend import LocalBackend
    from mcp_cloud_agents.backends.local.pricing import LocalPricing
    from mcp_cloud_agents.backends.local.spare import Spare
    from mcp_cloud_agents.delegation.pack import Packer
    from mcp_cloud_agents.delegation.place import Place
    from mcp_cloud_agents.environments.planner import TreePlanner
    from mcp_cloud_agents.environments.toolchains import Search, on_this_machine
    from mcp_cloud_agents.environments.uv_program import uv_program
    from mcp_cloud_agents.settings import variables
    from mcp_cloud_agents.storage.job_folder import HostPlan
    from mcp_cloud_agents.storage.secret_values import SecretValues
    from mcp_cloud_agents.telemetry.clock import SystemClock

    owner = job_owner(settings)
    search = Search(search_path=settings.search_path, home=settings.home, job_uid=owner)
    machine = on_this_machine(search)
    planner = TreePlanner(snapshots, settings.limits, machine, settings.setup_env, settings.fix)
    host = HostPlan(
        state=state.path,
        uv=uv_program(state.tools, job_uid=owner),
        concurrent_jobs=settings.concurrent_jobs,
        keep_days=settings.keep_days,
        keep_gib=settings.keep_gib,
        owner=owner,
        setup_env=settings.setup_env,
    )
    probe = SandboxProbe(settings.required_isolation, owner)
    spare = Spare(owner) if keep_spare else None
    values = SecretValues(variables, _aws_secrets(settings.aws), remember=known.remember)
    backend = LocalBackend(state.jobs, host, probe, spare, variables, values)
    packer = Packer(snapshots, planner, SystemClock(), settings.required_isolation, secrets)
    return Place(backend, packer, settings.required_isolation, LocalPricing())


def _aws_secrets(aws: AwsSettings | None) -> AwsSecrets:
    """Secrets of the person's account; boto3 is imported with the first one."""
    from mcp_cloud_agents.storage.aws_secrets import AwsAccess, AwsSecrets

    if aws is None:
        return AwsSecrets(AwsAccess().client)
    access = AwsAccess(
        region=aws.region, profile=aws.credentials_profile, endpoint_url=aws.endpoint_url
    )
    return AwsSecrets(access.client)


def _cloud(
    settings: Settings, aws: AwsSettings, snapshots: GitSnapshots, secrets: SecretRules
) -> Place:
    """The person's AWS account as a place for jobs; boto3 is imported with the first call."""
    from mcp_cloud_agents.backends.aws_batch.factory import aws_backend
    from mcp_cloud_agents.backends.aws_batch.pricing import AwsPricing
    from mcp_cloud_agents.delegation.pack import Packer
    from mcp_cloud_agents.delegation.place import Place
    from mcp_cloud_agents.domain.circuit import BreakerPolicy
    from mcp_cloud_agents.environments.planner import TreePlanner
    from mcp_cloud_agents.environments.worker_image import in_image
    from mcp_cloud_agents.resilience.breaker import Breaker, BreakerBackend
    from mcp_cloud_agents.storage.circuit_file import CircuitFile
    from mcp_cloud_agents.storage.state_folder import StateFolder
    from mcp_cloud_agents.telemetry.clock import SystemClock

    clock = SystemClock()
    machine = in_image(aws.image, aws.image_python)
    planner = TreePlanner(
        snapshots, settings.limits, machine, settings.setup_env, settings.fix, elsewhere=True
    )
    breakers = StateFolder(settings.state_dir).breakers
    circuit = CircuitFile(breakers, f"place aws_batch in {aws.region}")
    backend = BreakerBackend(
        aws_backend(aws, snapshots.stores), Breaker(BreakerPolicy(), clock.now, circuit)
    )
    packer = Packer(snapshots, planner, clock, aws.required_isolation, secrets)
    pricing = AwsPricing(aws, settings.file)
    return Place(backend, packer, aws.required_isolation, pricing, shared=True)


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


def job_owner(settings: Settings) -> int | None:
    """The user that commands run as when the server is root; None: the server's own user."""
    return settings.job_uid if os.geteuid() == 0 else None


def roots_of(settings: Settings) -> tuple[str, ...]:
    """Real paths whose worktrees may be sent: the one the server was started in, those listed.

    Started outside of any worktree (in `/` or the home, as desktop clients do) there is none but
    those listed: all repositories below such a folder would be too many.
    """
    from mcp_cloud_agents.snapshots.worktree import top_of

    here = top_of(settings.cwd)
    roots = (*((here,) if here else ()), *settings.allowed_roots)
    return tuple(os.path.realpath(root) for root in roots)


class SandboxProbe:
    """Which sandbox works here: really starts one; a success is remembered, a failure is not.

    So a person can mend the machine while the server runs.
    """

    def __init__(self, required: IsolationLevel, job_uid: int | None) -> None:
        self._required: IsolationLevel = required
        self._job_uid = job_uid
        self._found: Probe | None = None

    def __call__(self) -> Probe:
        """Look, in the calling thread (about 10 ms)."""
        if self._found is None or not self._found.works:
            from mcp_cloud_agents.sandbox.choose import best, drivers

            self._found = best(self._required, drivers(job_uid=self._job_uid))
        return self._found
