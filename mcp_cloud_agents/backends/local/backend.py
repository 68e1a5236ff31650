"""Jobs on this machine: each in a supervisor process of its own, each a folder of files."""

from __future__ import annotations

import errno
import os
import re
import stat
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mcp_cloud_agents.backends.local.follow import follow
from mcp_cloud_agents.backends.local.spawn import spawn
from mcp_cloud_agents.domain.errors import (
    SecretUnusable,
    UnknownArtifact,
    UnknownJob,
    too_weak,
)
from mcp_cloud_agents.domain.fix import key_variables
from mcp_cloud_agents.domain.handed import Handed
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.backend import LOCAL, Bytes
from mcp_cloud_agents.storage.job_folder import JobFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from mcp_cloud_agents.backends.local.spare import Spare
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.result import JobResult
    from mcp_cloud_agents.domain.sandbox import Probe
    from mcp_cloud_agents.domain.secret import SecretGrant
    from mcp_cloud_agents.domain.status import JobStatus
    from mcp_cloud_agents.ports.backend import Watch
    from mcp_cloud_agents.storage.job_folder import HostPlan

T = TypeVar("T")
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ARTIFACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_THREADS = 8
_SECRETS_WITHIN_S = 20.0


def _none(_: Sequence[str]) -> Mapping[str, str]:
    return {}


def _no_secrets(grants: Sequence[SecretGrant]) -> dict[str, str]:
    if not grants:
        return {}
    raise SecretUnusable(
        f"Nobody here can look up {grants[0].source} for {grants[0].name}.",
        hint="Start the job by the MCP server or the command line.",
    )


class LocalBackend:
    """`ports.backend.Backend` over a state folder.

    Args:
        jobs: the folder that holds the job folders.
        host: what workers need to know of this machine.
        probe: looks which sandbox works here (blocks; called in a thread).
        spare: takes jobs faster than a supervisor starts; None: each is started when it is needed.
        variables: values of the person's environment by name: keys that a job's models name.
        secrets: the values of a job's grants by name, looked up anew for each job; blocks, and
            raises SecretUnusable.
    """

    name = LOCAL

    def __init__(
        self,
        jobs: str,
        host: HostPlan,
        probe: Callable[[], Probe],
        spare: Spare | None = None,
        variables: Callable[[Sequence[str]], Mapping[str, str]] = _none,
        secrets: Callable[[Sequence[SecretGrant]], dict[str, str]] = _no_secrets,
    ) -> None:
        self._jobs = jobs
        self._host = host
        self._probe = probe
        self._spare = spare
        self._variables = variables
        self._secrets = secrets
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._looking_up = anyio.CapacityLimiter(4)
        self._spawning = anyio.CapacityLimiter(1)  # two at once slow every other call down

    async def probe(self) -> Probe:
        """See the port. A submit begins with this, and needs a worker soon."""
        if self._spare is not None:
            await self._in_thread(self._spare.wake)
        return await self._in_thread(self._probe)

    async def submit(self, spec: JobSpec) -> None:
        """See the port."""
        probe = await self.probe()
        if not probe.works or not probe.level.satisfies(spec.isolation):
            raise too_weak(spec.isolation, probe.problem, probe.remedy)
        if await self._in_thread(lambda: self._has_begun(spec.id)):
            return
        start = partial(self._start, spec, await self._values(spec))
        await anyio.to_thread.run_sync(start, limiter=self._spawning)

    def _has_begun(self, job_id: JobId) -> bool:
        return os.path.exists(JobFolder(os.path.join(self._jobs, job_id)).file("state.json"))

    async def _values(self, spec: JobSpec) -> Handed:
        """What the job's supervisor is handed; a place that does not answer is not waited for."""
        keys = dict(self._variables(key_variables(spec.fix)))
        if not spec.secrets:
            return Handed(keys=keys)
        with anyio.move_on_after(_SECRETS_WITHIN_S):
            secrets = await anyio.to_thread.run_sync(
                self._secrets, spec.secrets, limiter=self._looking_up, abandon_on_cancel=True
            )
            return Handed(keys=keys, secrets=secrets)
        names = ", ".join(f"{grant.name} ({grant.source})" for grant in spec.secrets)
        raise SecretUnusable(
            f"The values of {names} did not come within {_SECRETS_WITHIN_S:.0f} s.",
            hint="Look at the network and at your credentials for AWS; then submit again.",
        )

    def _start(self, spec: JobSpec, values: Handed) -> None:
        shared = self._host.owner is not None
        folder = JobFolder.create(self._jobs, spec, self._host, shared=shared)
        if self._has_begun(spec.id):
            return
        if self._spare is None or not self._spare.take(folder, values):
            spawn(folder, values)

    async def spec(self, job_id: JobId) -> JobSpec:
        """See the port."""
        return await self._in_thread(self._folder(job_id).spec)

    async def job_ids(self, *, limit: int) -> tuple[JobId, ...]:
        """See the port."""
        names = await self._in_thread(lambda: os.listdir(self._jobs))
        return tuple(JobId(name) for name in sorted(names, reverse=True) if _ID.fullmatch(name))[
            :limit
        ]

    async def status(self, job_id: JobId) -> JobStatus:
        """See the port."""
        return await self._in_thread(self._folder(job_id).status)

    async def result(self, job_id: JobId) -> JobResult | None:
        """See the port."""
        return await self._in_thread(self._folder(job_id).result)

    def watch(self, job_id: JobId) -> AbstractAsyncContextManager[Watch]:
        """See the port."""
        return follow(self._folder(job_id).path)

    async def log(self, job_id: JobId, *, offset: int, limit: int) -> Bytes:
        """See the port."""
        path = self._folder(job_id).file("log")
        piece = await self._in_thread(lambda: _read(path, offset, limit))
        return piece or Bytes(data=b"", offset=0, size=0)

    async def artifact(self, job_id: JobId, name: str, *, offset: int, limit: int) -> Bytes:
        """See the port."""
        path = os.path.join(self._folder(job_id).file("artifacts"), name)
        piece = None
        if _ARTIFACT.fullmatch(name):
            piece = await self._in_thread(lambda: _read(path, offset, limit))
        if piece is None:
            raise UnknownArtifact(
                f"Job {job_id} has no artifact {name[:120]!r}.",
                hint="get_job lists the artifacts of a job once it is done.",
            )
        return piece

    async def cancel(self, job_id: JobId) -> None:
        """See the port."""
        folder = self._folder(job_id)
        if not (await self._in_thread(folder.status)).state.done:
            await self._in_thread(folder.ask_to_cancel)

    async def cancel_many(self, job_ids: Sequence[JobId]) -> None:
        """See the port."""
        for job_id in job_ids:
            await self.cancel(job_id)

    def _folder(self, job_id: JobId) -> JobFolder:
        folder = JobFolder(os.path.join(self._jobs, job_id))
        if not _ID.fullmatch(job_id) or not os.path.isdir(folder.path):
            raise UnknownJob(
                f"No job has the id {job_id[:80]!r}.", hint="List the jobs with list_jobs."
            )
        return folder

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


def _read(path: str, offset: int, limit: int) -> Bytes | None:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe must not hold us
    try:
        fd = os.open(path, flags)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return None
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        size = status.st_size
        start = min(offset, size)
        return Bytes(data=os.pread(fd, limit, start), offset=start, size=size)
    finally:
        os.close(fd)
