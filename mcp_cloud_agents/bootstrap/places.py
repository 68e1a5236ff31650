"""Where jobs run: this machine, and the person's AWS account."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp_cloud_agents.delegation.place import Place, Places
    from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe
    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.governance.secret_grants import SecretRules
    from mcp_cloud_agents.settings import AwsSettings, Settings
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
    from mcp_cloud_agents.storage.aws_secrets import AwsSecrets
    from mcp_cloud_agents.storage.state_folder import StateFolder


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


def places_of(
    settings: Settings,
    state: StateFolder,
    snapshots: GitSnapshots,
    known: KnownSecrets,
    met: Callable[[str], object] = str,
    *,
    keep_spare: bool,
) -> Places:
    """All places of these settings, the person's account first.

    Args:
        settings: the person's.
        state: the state folder, opened.
        snapshots: of this machine.
        known: is told every secret that is resolved in this process.
        met: is told who AWS takes us for, whenever it was asked.
        keep_spare: whether a worker waits for jobs as long as this process lives.
    """
    from mcp_cloud_agents.delegation.place import Places
    from mcp_cloud_agents.governance.secret_grants import SecretRules
    from mcp_cloud_agents.settings import secrets_in
    from mcp_cloud_agents.snapshots.trusted import TrustedSnapshots
    from mcp_cloud_agents.storage.sqlite_trust import SqliteTrust

    trusted = TrustedSnapshots(snapshots=snapshots, trust=SqliteTrust(state.trust))
    secrets = SecretRules(tables=partial(secrets_in, settings.file), trusted=trusted)
    here = _here(settings, state, snapshots, secrets, known, keep_spare=keep_spare)
    if settings.aws is None:
        return Places([here])
    cloud = _cloud(settings, settings.aws, snapshots, replace(secrets, elsewhere=True), met)
    return Places([cloud, here])


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

    def keys(names: Sequence[str]) -> dict[str, str]:
        found = variables(names)
        known.remember(found.values())
        return found

    backend = LocalBackend(state.jobs, host, probe, spare, keys, values)
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
    settings: Settings,
    aws: AwsSettings,
    snapshots: GitSnapshots,
    secrets: SecretRules,
    met: Callable[[str], object],
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
        aws_backend(aws, snapshots.stores, met), Breaker(BreakerPolicy(), clock.now, circuit)
    )
    packer = Packer(snapshots, planner, clock, aws.required_isolation, secrets)
    pricing = AwsPricing(aws, settings.file)
    return Place(backend, packer, aws.required_isolation, pricing, shared=True)


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
