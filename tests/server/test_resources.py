"""Jobs as resources, in both protocol eras."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import BlobResourceContents, TextResourceContents

from tests.server.conftest import COMMAND, House, Mode

pytestmark = pytest.mark.anyio
START = len(f"$ {COMMAND}\n")
OUTPUT = "one\ntwo red\nthree\n"
LOG = f"$ {COMMAND}\n{OUTPUT}"
TEMPLATES = {
    "job://{job_id}": "application/json",
    "job://{job_id}/log{?offset,limit}": "text/plain",
    "job://{job_id}/tests": "application/json",
    "job://{job_id}/patch": "text/x-diff",
    "job://{job_id}/artifacts/{name}{?offset,limit}": "application/octet-stream",
}


async def read(client: Client, uri: str) -> str | bytes:
    (content,) = (await client.read_resource(uri)).contents
    assert content.uri == uri
    if isinstance(content, BlobResourceContents):
        return base64.b64decode(content.blob)
    assert isinstance(content, TextResourceContents)
    return content.text


async def test_every_template_is_listed_with_title_type_and_words(house: House, mode: Mode) -> None:
    async with house.client(mode) as client:
        templates = (await client.list_resource_templates()).resource_templates
    assert {one.uri_template: one.mime_type for one in templates} == TEMPLATES
    for one in templates:
        assert one.title, one.uri_template
        assert one.description, one.uri_template


async def test_a_job_reads_as_get_job_tells_it(
    house: House, mode: Mode, ran: dict[str, Any]
) -> None:
    async with house.client(mode) as client:
        told = await client.call_tool("get_job", {"job_id": ran["job_id"]})
        assert json.loads(await read(client, f"job://{ran['job_id']}")) == told.structured_content


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", LOG),
        ("?offset=0", LOG),
        (f"?offset={START}", OUTPUT),
        (f"?offset={START + 4}&limit=20", "two red\n"),
        (f"?offset={START}&limit=4", "one\n"),
        ("?offset=-7&limit=1", "$"),
        ("?limit=-3", "$"),
        ("?limit=99999999999", LOG),
        ("?offset=99999999999999999999999999", ""),
    ],
)
async def test_the_log_reads_by_offset_and_limit(
    house: House, mode: Mode, ran: dict[str, Any], query: str, text: str
) -> None:
    async with house.client(mode) as client:
        assert await read(client, f"job://{ran['job_id']}/log{query}") == text


async def test_the_verdict_reads_with_every_failure(
    house: House, mode: Mode, tested: dict[str, Any]
) -> None:
    async with house.client(mode) as client:
        verdict = json.loads(await read(client, f"job://{tested['job_id']}/tests"))
    assert (verdict["outcome"], verdict["failures_left_out"]) == ("failed", 0)
    (failure,) = verdict["failures"]
    assert (failure["test"]["file"], failure["test"]["line"]) == ("test_it.py", 9)


async def test_the_patch_reads_as_the_bytes_its_sha256_names(
    house: House, mode: Mode, ran: dict[str, Any]
) -> None:
    async with house.client(mode) as client:
        patch = await read(client, ran["patch"]["uri"])
        same = await read(client, f"job://{ran['job_id']}/artifacts/patch.diff")
    data = patch.encode() if isinstance(patch, str) else patch
    assert hashlib.sha256(data).hexdigest() == ran["patch"]["sha256"]
    assert patch == same


async def test_an_artifact_reads_by_pages(house: House, mode: Mode, tested: dict[str, Any]) -> None:
    uri = f"job://{tested['job_id']}/artifacts/junit.xml"
    async with house.client(mode) as client:
        whole = await read(client, uri)
        assert isinstance(whole, str)
        assert "test_bad" in whole
        assert await read(client, f"{uri}?offset=10&limit=20") == whole[10:30]
        assert await read(client, f"{uri}?offset=99999999") == ""


@pytest.mark.parametrize(
    "uri",
    [
        "job://jnone",
        "job://jnone/log",
        "job://jnone/tests",
        "job://jnone/patch",
        "job://jnone/artifacts/junit.xml",
        "job://{ran}/tests",
        "job://{ran}/artifacts/no-such",
        "job://{ran}/artifacts/..%2Fspec.json",
        "job://{ran}/artifacts/%2E%2E%2Fspec.json",
        "job://{ran}/nothing",
        "job://..%2F{ran}/log",
        "job://{tested}/patch",
        "other://x",
    ],
)
async def test_what_does_not_exist_is_an_invalid_parameter_with_its_uri(
    house: House, mode: Mode, ran: dict[str, Any], tested: dict[str, Any], uri: str
) -> None:
    uri = uri.format(ran=ran["job_id"], tested=tested["job_id"])
    async with house.client(mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
    assert (caught.value.code, caught.value.data) == (-32602, {"uri": uri})
    assert caught.value.message


@pytest.mark.parametrize("query", ["?offset=x", "?limit=1.5", "?offset="])
async def test_a_wrong_number_in_a_uri_is_told_as_such(
    house: House, mode: Mode, ran: dict[str, Any], query: str
) -> None:
    async with house.client(mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(f"job://{ran['job_id']}/log{query}")
    assert caught.value.code == -32602
    assert "whole number" in caught.value.message


async def test_a_listener_hears_of_log_state_and_end(house: House) -> None:
    heard: set[str] = set()
    async with house.client("auto") as client:
        asked = {"command": "sleep 0.3; echo line", "fresh": True}
        job = (await client.call_tool("run_in_sandbox", asked)).structured_content
        assert job is not None
        uris = {f"job://{job['job_id']}{part}" for part in ("", "/log", "/tests", "/patch")}
        with anyio.fail_after(30):
            async with client.listen(resource_subscriptions=sorted(uris)) as events:
                async for event in events:
                    heard.add(getattr(event, "uri", ""))
                    if heard == uris:
                        break
    assert heard == uris
