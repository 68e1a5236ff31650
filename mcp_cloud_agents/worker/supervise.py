"""Composition root of the worker on this machine: queue, sandbox, then the job.

Every command runs with `--die-with-parent`, so nothing of a job survives its supervisor.
"""

from __future__ import annotations

import ctypes
import logging
import select
import sys
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError, NoSpace
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Cause, CauseKind
from mcp_cloud_agents.governance.known_secrets import KnownSecrets
from mcp_cloud_agents.sandbox.choose import choose, drivers
from mcp_cloud_agents.storage.job_folder import WORKING
from mcp_cloud_agents.storage.queue import Ticket
from mcp_cloud_agents.storage.state_folder import StateFolder
from mcp_cloud_agents.storage.trees import remove_tree
from mcp_cloud_agents.telemetry.logs import redact_logs
from mcp_cloud_agents.worker.endings import past_deadline
from mcp_cloud_agents.worker.fix.keys import read_handed
from mcp_cloud_agents.worker.housekeeping import tidy
from mcp_cloud_agents.worker.job import Job
from mcp_cloud_agents.worker.places import Places
from mcp_cloud_agents.worker.vault import Given, was_handed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.ports.sandbox import Sandbox
    from mcp_cloud_agents.storage.folder_desk import FolderDesk
    from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder
    from mcp_cloud_agents.worker.claim import Claim

_log = logging.getLogger(__name__)
_QUEUE_LOOK_MS = 100
_SPACE_LOOK_MS, _SPACE_TRIES = 500, 1_200  # ten minutes
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def supervise(
    claim: Claim, sandboxes: Sequence[Sandbox] | None = None, handed: int | None = None
) -> None:
    """Run the job to its end.

    Args:
        claim: the job.
        sandboxes: it runs in the first that will do; None: they are looked for.
        handed: a pipe with the keys of its models and its secrets; None: it has none.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    folder, host = claim.folder, claim.host
    candidates = sandboxes or drivers(job_uid=host.owner)
    values, known = read_handed(handed), KnownSecrets()
    known.remember((*values.keys.values(), *values.secrets.values()))
    redact_logs(known.known)
    given = Given(variables=values.keys, read=was_handed(values.secrets))
    job = Job(claim.spec, _places(folder, host), claim.desk, given=given)
    _work(job, claim, candidates)
    _clear(folder)
    claim.desk.close()  # what follows is about other jobs
    tidy(StateFolder(host.state), host)


def _work(job: Job, claim: Claim, sandboxes: Sequence[Sandbox]) -> None:
    folder, spec, host, desk = claim.folder, claim.spec, claim.host, claim.desk
    started_at, ticket = time.monotonic(), None
    try:
        ticket = Ticket(StateFolder(host.state).queue, spec.id)
        if (cause := _why_not(job, ticket, host, desk)) is not None:
            job.give_up(cause)
            return
        job.waited(round(time.monotonic() - started_at, 3))
        job.do(*choose(spec.isolation, sandboxes))
    except AgentsError as exc:
        cause = Cause(kind=_kind(exc), message=exc.message, hint=exc.hint)
        _fail(job, cause, folder, desk)
    except Exception as exc:  # noqa: BLE001  the worker's last resort: a job never just vanishes
        _log.exception("worker_failed")
        _fail(job, _internal(exc, folder), folder, desk)
    finally:
        if ticket is not None:
            ticket.give_back()


def _fail(job: Job, cause: Cause, folder: JobFolder, desk: FolderDesk) -> None:
    """Leave the last word, also on a full disk: the job's own files make room, or we wait."""
    for _ in range(_SPACE_TRIES):
        try:
            job.end(JobState.FAILED, cause)
        except NoSpace:
            _clear(folder)
            desk.beat(None)
            _pause(_SPACE_LOOK_MS)
        else:
            return
    _log.error("no_space_for_result")


def _clear(folder: JobFolder) -> None:
    for name in WORKING:
        remove_tree(folder.file(name))


def _places(folder: JobFolder, host: HostPlan) -> Places:
    state = StateFolder(host.state)
    return Places(
        job=folder.path,
        repositories=state.repositories,
        environments=state.environments,
        uv=host.uv,
        owner=host.owner,
        setup_env=host.setup_env,
        breakers=state.breakers,
    )


def _why_not(job: Job, ticket: Ticket, host: HostPlan, desk: FolderDesk) -> Cause | None:
    """Wait in line; why the job does not begin at its end, None when it does."""
    told = 0
    while ahead := ticket.ahead(concurrent=host.concurrent_jobs):
        if desk.cancelled():
            return _CANCELLED_IN_QUEUE
        if job.over():
            return past_deadline("before it could start, as others were ahead of it")
        if ahead != told:
            desk.say(f"waiting: {ahead} jobs must end first")
            told = ahead
        desk.beat(None)
        _pause(_QUEUE_LOOK_MS)
    if desk.cancelled():
        return _CANCELLED_IN_QUEUE
    return past_deadline("before it could start") if job.over() else None


def _pause(milliseconds: int) -> None:
    select.poll().poll(milliseconds)


_CANCELLED_IN_QUEUE = Cause(
    kind=CauseKind.CANCELLED,
    message="The job was cancelled before it started.",
    hint="Submit it again when it is wanted.",
)


def _kind(exc: AgentsError) -> CauseKind:
    match exc.code:
        case "isolation_unavailable":
            return CauseKind.SANDBOX_START
        case "no_space":
            return CauseKind.DISK
        case "model_unusable":
            return CauseKind.MODEL_UNUSABLE
        case "secret_unusable":
            return CauseKind.SECRET_UNUSABLE
        case _:
            return CauseKind.INTERNAL


def _internal(exc: Exception, folder: JobFolder) -> Cause:
    return Cause(
        kind=CauseKind.INTERNAL,
        message=f"The worker made a mistake: {type(exc).__name__}.",
        hint=f"Please report it with {folder.file('supervisor.log')}; the log so far is kept.",
    )
