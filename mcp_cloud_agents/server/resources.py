"""Jobs as resources: `job://{id}` and what belongs to it. Pages, never megabytes."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from mcp_cloud_agents.delegation.logs import page
from mcp_cloud_agents.domain.errors import AgentsError, UnknownArtifact, UnknownJob
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.server.views import job_answer

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from mcp_cloud_agents.server.front import Front

P = ParamSpec("P")
T = TypeVar("T")
PAGE_BYTES = 65_536
MAX_PATCH_BYTES = 4 << 20
MAX_FAILURES = 100
PATCH = "patch.diff"
_NUMBER = re.compile(r"-?[0-9]{1,100}")


def resource_errors(read: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Turn this program's errors into the protocol's."""

    @functools.wraps(read)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await read(*args, **kwargs)
        except (UnknownJob, UnknownArtifact) as exc:
            raise ResourceNotFoundError(f"{exc.message} {exc.hint}") from exc
        except AgentsError as exc:
            raise ResourceError(f"{exc.code}: {exc.message} {exc.hint}") from exc

    return answered


def add_resources(server: MCPServer[None], front: Front) -> None:
    """Register the resource templates."""

    @server.resource("job://{job_id}", title="Job", mime_type="application/json")
    @resource_errors
    async def job(job_id: str) -> str:
        """The result envelope of a job, as get_job gives it."""
        view = await (await front.runner()).look(JobId(job_id))
        return job_answer(view).model_dump_json(exclude_none=True)

    @server.resource(
        "job://{job_id}/log{?offset,limit}", title="Log of a job", mime_type="text/plain"
    )
    @resource_errors
    async def log(job_id: str, offset: str = "0", limit: str = str(PAGE_BYTES)) -> str:
        """Rendered log from a byte offset, at most 64 KiB; wait_job and read_log tell cursors."""
        start, size = _window(offset, limit)
        runner = await front.runner()
        return (await page(runner, JobId(job_id), offset=start, limit=size)).text

    @server.resource("job://{job_id}/tests", title="Verdict", mime_type="application/json")
    @resource_errors
    async def tests(job_id: str) -> str:
        """Every failing test of a finished test job; all cases are in the artifact junit.xml."""
        view = await (await front.runner()).look(JobId(job_id))
        if view.result is None or view.result.verdict is None:
            raise UnknownArtifact(
                f"Job {job_id} has no verdict ({view.status.state}).",
                hint="Test jobs have one once they succeeded; wait_job tells when.",
            )
        verdict = view.result.verdict
        shown = replace(verdict, failures=verdict.failures[:MAX_FAILURES])
        left_out = len(verdict.failures) - len(shown.failures)
        body: dict[str, object] = {**msgspec.to_builtins(shown), "failures_left_out": left_out}
        return json.dumps(body, ensure_ascii=False)

    @server.resource("job://{job_id}/patch", title="Patch", mime_type="text/x-diff")
    @resource_errors
    async def patch(job_id: str) -> str | bytes:
        """What the job changed, as a binary-safe git diff; check it against its sha256."""
        runner = await front.runner()
        piece = await runner.artifact(JobId(job_id), PATCH, offset=0, limit=MAX_PATCH_BYTES)
        if piece.next_offset < piece.size:
            raise ResourceError(
                f"The patch has {piece.size} bytes, over the {MAX_PATCH_BYTES} that are sent whole."
                f' Page it by get_artifact(job_id="{job_id}", name="{PATCH}").'
            )
        return _text_or_bytes(piece.data)

    @server.resource(
        "job://{job_id}/artifacts/{name}{?offset,limit}",
        title="Artifact",
        mime_type="application/octet-stream",
    )
    @resource_errors
    async def artifact(
        job_id: str, name: str, offset: str = "0", limit: str = str(PAGE_BYTES)
    ) -> str | bytes:
        """A page of an artifact, at most 64 KiB from a byte offset."""
        start, size = _window(offset, limit)
        runner = await front.runner()
        piece = await runner.artifact(JobId(job_id), name, offset=start, limit=size)
        return _text_or_bytes(piece.data)


def _window(offset: str, limit: str) -> tuple[int, int]:
    """Where to read from and how much, clamped; the SDK calls a wrong number our own mistake."""
    for name, value in (("offset", offset), ("limit", limit)):
        if not _NUMBER.fullmatch(value):
            raise ResourceNotFoundError(f"{name} is {value[:80]!r}; it must be a whole number.")
    return max(0, int(offset)), max(1, min(int(limit), PAGE_BYTES))


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
