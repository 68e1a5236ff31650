"""Bringing a job's patch back: which worktree may get it, and whether its bytes are whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.applied import ApplyMode, Change, Kinship, Way
from mcp_cloud_agents.domain.errors import (
    NoPatch,
    PatchDamaged,
    PatchTooLarge,
    UnknownArtifact,
    WrongWorktree,
)
from mcp_cloud_agents.domain.job import JobId, JobState
from mcp_cloud_agents.ports.audit import Action, Entry

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.books import Books
    from mcp_cloud_agents.domain.applied import Applied
    from mcp_cloud_agents.domain.job import Origin
    from mcp_cloud_agents.domain.patch import Patch
    from mcp_cloud_agents.ports.backend import Backend
    from mcp_cloud_agents.ports.patches import Patches
    from mcp_cloud_agents.ports.records import Record

PATCH = "patch.diff"
MAX_PATCH_BYTES = 256 << 20
_PAGE = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOrder:
    """A wish to apply."""

    job_id: JobId
    workspace: str
    """A path in the worktree that shall get it."""
    way: Way
    actor: Actor = field(default_factory=Actor)
    elsewhere: bool = False
    """Whether it may be another worktree of the repository than the job was made from."""


class Applier:
    """Applies patches of jobs. The one way to do it: the tool and the command call it."""

    def __init__(self, patches: Patches, books: Books) -> None:
        self._patches = patches
        self._books = books
        self._threads = anyio.CapacityLimiter(1)

    async def apply(
        self, order: ApplyOrder, record: Record, backend: Backend, target: Origin
    ) -> Applied:
        """Check or apply the job's patch.

        Raises:
            NoPatch: there is none.
            WrongWorktree: it is of another worktree and nobody said so, or of another repository.
            AgentsError: those of `Patches.apply`; nothing was changed.
        """
        patch = await _patch_of(backend, order.job_id)
        await self._check_place(order, record.spec.snapshot.origin, target)
        change = Change(
            job_id=order.job_id,
            snapshot=record.spec.snapshot,
            patch=patch,
            data=await _bytes_of(backend, order.job_id, patch),
        )
        if order.way.mode is not ApplyMode.CHECK:
            await self._note(order, record, change, target)
        work = partial(self._patches.apply, change, target, order.way)
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    async def undo(self, job_id: JobId, target: Origin, actor: Actor) -> Applied:
        """Take the job's last apply to the worktree out again. Raises NothingToUndo.

        Of a job that is long gone nothing but its id is known.
        """
        told = partial(self._books.tell_of, job_id, Action.UNDONE, actor, into=target.workspace)
        await anyio.to_thread.run_sync(told, limiter=self._threads)
        work = partial(self._patches.undo, job_id, target)
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    async def _note(
        self, order: ApplyOrder, record: Record, change: Change, target: Origin
    ) -> None:
        """Which bytes go where: the job's own worktree, which every entry has, may be another."""
        way, action = order.way, Action.APPLIED
        details = (
            ("mode", str(way.mode)),
            ("into", target.workspace),
            ("patch", change.patch.sha256),
            *((("allow_protected", "true"),) if way.allow_protected else ()),
        )
        said = Entry(at=0, action=action, actor=order.actor, details=details)
        note = partial(self._books.note, action, record, order.actor, said)
        await anyio.to_thread.run_sync(note, limiter=self._threads)

    async def _check_place(self, order: ApplyOrder, job: Origin, target: Origin) -> None:
        ask = partial(self._patches.kinship, job, target)
        kinship = await anyio.to_thread.run_sync(ask, limiter=self._threads)
        if kinship is Kinship.STRANGER:
            raise WrongWorktree(
                f"Job {order.job_id} was made from {job.workspace}, which is another repository "
                f"than {target.workspace}.",
                hint=f'Apply it in a worktree of that repository: workspace="{job.workspace}".',
            )
        if kinship is Kinship.SIBLING and not order.elsewhere:
            raise WrongWorktree(
                f"Job {order.job_id} was made from {job.workspace}; this is {target.workspace}.",
                hint=f'Pass workspace="{job.workspace}", or other_worktree=true to bring it into '
                f"this one (in a terminal: --into {target.workspace}).",
            )


async def _patch_of(backend: Backend, job_id: JobId) -> Patch:
    status = await backend.status(job_id)
    if not status.state.done:
        raise NoPatch(
            f"Job {job_id} is {status.state}: it has no patch yet.",
            hint=f'Call wait_job(job_id="{job_id}", timeout_s=50) until done is true.',
        )
    result = await backend.result(job_id)
    if result is None or result.patch is None:
        ran = result is not None and status.state is JobState.SUCCEEDED
        why = "it changed no file" if ran else f"it is {status.state}"
        raise NoPatch(
            f"Job {job_id} has no patch: {why}.",
            hint=f'get_job(job_id="{job_id}") tells what it did, and what was left out of a patch.',
        )
    return result.patch


async def _bytes_of(backend: Backend, job_id: JobId, patch: Patch) -> bytes:
    """The artifact, whole, and the one that the result names."""
    if patch.size_bytes > MAX_PATCH_BYTES:
        raise PatchTooLarge(
            f"The patch has {patch.size_bytes:,} bytes, and at most {MAX_PATCH_BYTES >> 20} MiB "
            "are applied.",
            hint="Nothing was changed. Let the command change less and submit the job again, or "
            f"take the bytes: `mcp-cloud-agents artifact {job_id} {PATCH} --to change.diff`.",
        )
    if patch.size_bytes < 1:
        raise _damaged(f"it has {patch.size_bytes} bytes")
    data = bytearray()
    while len(data) < patch.size_bytes:
        try:
            piece = await backend.artifact(job_id, PATCH, offset=len(data), limit=_PAGE)
        except UnknownArtifact:
            raise _damaged("its bytes are gone") from None
        if not piece.data or piece.size != patch.size_bytes:
            raise _damaged(f"it has {piece.size} bytes, and not {patch.size_bytes}")
        data += piece.data
    found = bytes(data)
    if hashlib.sha256(found).hexdigest() != patch.sha256:
        raise _damaged("its sha256 is not the one that the result names")
    return found


def _damaged(why: str) -> PatchDamaged:
    return PatchDamaged(
        f"The patch cannot be trusted: {why}.",
        hint="Nothing was changed. Submit the job again.",
        paths=(),
    )
