"""`get_artifact`: a file kept from a job, page by page."""

from __future__ import annotations

import base64
from typing import Annotated

from mcp.server import MCPServer
from mcp.types import CallToolResult
from pydantic import Field

from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.server.answers import MAX_CHARS, ArtifactAnswer
from mcp_cloud_agents.server.arguments import JobIdArgument
from mcp_cloud_agents.server.calls import result_of, tool_errors
from mcp_cloud_agents.server.effects import READS
from mcp_cloud_agents.server.front import Front

MAX_PAGE_BYTES = 6_000
_BASE64_BYTES = 4_800  # 6,400 characters
_DESCRIPTION = """\
Read an artifact of a finished job (cloud subagent): patch.diff, junit.xml and other kept files; \
get_job lists them. Pages of at most 6,000 bytes (4,800 for binary files): pass next_offset as \
offset to read on until it equals size. Bytes are exact: encoding says utf-8 or base64. To verify \
a patch compare the sha256 that get_job gives. Free of cost."""


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="get_artifact",
        title="Read an artifact",
        description=_DESCRIPTION,
        annotations=READS,
    )
    @tool_errors
    async def get_artifact(
        job_id: JobIdArgument,
        name: Annotated[str, Field(description="Name of the artifact, such as patch.diff.")],
        offset: Annotated[int, Field(description="Byte offset to read from; default 0.")] = 0,
        limit: Annotated[int, Field(description="Bytes a page, 1 to 6000; default 6000.")] = 6_000,
    ) -> Annotated[CallToolResult, ArtifactAnswer]:
        runner = await front.runner()
        size = max(1, min(limit, MAX_PAGE_BYTES))
        piece = await runner.artifact(JobId(job_id), name, offset=max(0, offset), limit=size)
        return result_of(_answer(job_id, name, piece))


def _answer(job_id: str, name: str, piece: Bytes) -> ArtifactAnswer:
    data = piece.data
    text = _text(data)
    while text is not None and len(text[1]) > 0:
        data, content = text
        answer = _page(job_id, name, piece, data, "utf-8", content)
        if len(answer.model_dump_json()) <= MAX_CHARS:
            return answer
        text = _text(data[: len(data) * 3 // 4])
    data = piece.data[:_BASE64_BYTES]
    return _page(job_id, name, piece, data, "base64", base64.b64encode(data).decode())


def _text(data: bytes) -> tuple[bytes, str] | None:
    """The longest prefix that is whole UTF-8 characters, None for binary data."""
    for cut in range(min(4, len(data))):
        kept = data[: len(data) - cut]
        try:
            return kept, kept.decode()
        except UnicodeDecodeError:
            continue
    return None


def _page(
    job_id: str, name: str, piece: Bytes, data: bytes, encoding: str, content: str
) -> ArtifactAnswer:
    after = piece.offset + len(data)
    return ArtifactAnswer(
        summary=f"Bytes {piece.offset} to {after} of {piece.size}.",
        next=f"Read on with offset={after}." if after < piece.size else "",
        job_id=job_id,
        name=name,
        offset=piece.offset,
        next_offset=after,
        size=piece.size,
        encoding=encoding,
        content=content,
    )
