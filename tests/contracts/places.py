"""Places where jobs run, for the contract of `ports/backend.py`, seen through fresh backends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import anyio

from mcp_cloud_agents.backends.aws_batch.backend import AwsBatchBackend
from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.pack import Packer
from mcp_cloud_agents.delegation.place import Place as RunPlace
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.circuit import BreakerPolicy
from mcp_cloud_agents.domain.job import JobId, JobSpec, Kind
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Backend
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.resilience.breaker import Breaker, BreakerBackend
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.job_folder import JobFolder
from tests.account import Account

BEGUN = "begun\n"
SLOW = "echo begun; sleep 600"
HOSTILE = ("", ".", "..", "../jobs", "a/b", "a\0b", "j" * 300, "\u202e", "spec.json", "/etc/passwd")


class Place(Protocol):
    """What the contract's tests need of one."""

    def backend(self) -> Backend:
        """As another process would have it."""
        ...

    def spec(self, command: str) -> JobSpec:
        """A job that was submitted nowhere yet."""
        ...

    def claim(self, spec: JobSpec) -> None:
        """What a submit leaves that was killed before it started anything."""
        ...

    def starts(self, spec: JobSpec) -> int:
        """How often it was started."""
        ...

    def damage(self, job_id: JobId) -> None:
        """State and result are not what they were."""
        ...


def packed(packer: Packer, cwd: str, command: str) -> JobSpec:
    wish = Wish(kind=Kind.COMMAND, command=command)
    request = Request(agent="run_in_sandbox", workspace=cwd, wish=wish, key=None)
    return packer.pack(request, packer.locate(cwd))


@dataclass(frozen=True, slots=True)
class Local:
    """This machine."""

    env: dict[str, str]
    cwd: str
    jobs: str

    def _place(self) -> RunPlace:
        return runner_for(load(self.env, cwd=self.cwd))._places.first

    def backend(self) -> Backend:
        return self.local()

    def local(self) -> LocalBackend:
        backend = self._place().backend  # the composition root makes none without a runner
        assert isinstance(backend, LocalBackend)
        return backend

    def spec(self, command: str) -> JobSpec:
        return packed(self._place().packer, self.cwd, command)

    def claim(self, spec: JobSpec) -> None:
        self.folder(spec)

    def folder(self, spec: JobSpec) -> JobFolder:
        host = self.local()._host
        return JobFolder.create(self.jobs, spec, host, shared=host.owner is not None)

    def starts(self, spec: JobSpec) -> int:
        """A second start would need a folder of its own."""
        assert os.listdir(self.jobs) == [spec.id]
        return 1

    def damage(self, job_id: JobId) -> None:
        for name in ("state.json", "result.json"):
            Path(self.jobs, job_id, name).write_bytes(b'{"status": 1')


@dataclass(frozen=True, slots=True)
class Guarded(Local):
    """This machine behind a breaker."""

    def backend(self) -> Backend:
        return BreakerBackend(self.local(), Breaker(BreakerPolicy(), time.time))


@dataclass(frozen=True, slots=True)
class Cloud:
    """An emulated account whose Batch runs the real worker, as processes or as containers."""

    env: dict[str, str]
    cwd: str
    account: Account

    def _place(self) -> RunPlace:
        settings = replace(load(self.env, cwd=self.cwd), aws=self.account.aws)
        return next(iter(runner_for(settings)._places.candidates("aws_batch")))

    def backend(self) -> Backend:
        return self._place().backend

    def spec(self, command: str) -> JobSpec:
        return packed(self._place().packer, self.cwd, command)

    def claim(self, spec: JobSpec) -> None:
        guarded = self.backend()
        assert isinstance(guarded, BreakerBackend)
        backend = guarded._backend
        assert isinstance(backend, AwsBatchBackend)
        backend._submission._prepare(backend._objects.of(spec.id), spec)

    def starts(self, spec: JobSpec) -> int:
        queue = self.account.aws.queues[self.account.aws.queue]
        name = [{"name": "JOB_NAME", "values": [f"mca-{spec.id}"]}]
        batch = self.account.client("batch")
        return len(batch.list_jobs(jobQueue=queue, filters=name)["jobSummaryList"])

    def damage(self, job_id: JobId) -> None:
        s3, bucket = self.account.client("s3"), self.account.aws.bucket
        for name in ("state.json", "result.json"):
            s3.put_object(Bucket=bucket, Key=f"jobs/{job_id}/{name}", Body=b'{"status": 1')


async def until(backend: Backend, job_id: JobId, told: Callable[[JobStatus], bool]) -> JobStatus:
    """The first status seen that `told` likes; enter first, look second."""
    with anyio.fail_after(60):
        async with backend.watch(job_id) as watch:
            while not told(status := await backend.status(job_id)):
                await watch.changed(timeout_s=1)
    return status


def ended(status: JobStatus) -> bool:
    return status.state.done


async def begun(backend: Backend, job_id: JobId) -> None:
    with anyio.fail_after(60):
        async with backend.watch(job_id) as watch:
            while BEGUN.encode() not in await log(backend, job_id):
                await watch.changed(timeout_s=1)


async def log(backend: Backend, job_id: JobId) -> bytes:
    return (await backend.log(job_id, offset=0, limit=1 << 20)).data
