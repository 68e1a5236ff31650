"""`estimate_only`: what a job may cost, told before anything starts, in both protocol eras."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from mcp import Client

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.server.app import build_server
from mcp_cloud_agents.server.front import Front
from mcp_cloud_agents.settings import AwsQueue, AwsSettings, Settings, load
from tests.server.conftest import House, Mode

pytestmark = pytest.mark.anyio
ACCOUNT = AwsSettings(
    region="us-east-1",
    bucket="nobodys-bucket",
    endpoint_url="http://127.0.0.1:9",
    queues={AwsQueue.FARGATE: "q"},
    job_definitions={"x86_64": "d"},
)


def jobs(settings: Settings) -> list[Path]:
    return sorted(Path(settings.state_dir, "jobs").glob("*"))


async def test_a_price_is_told_and_nothing_is_started(house: House, mode: Mode) -> None:
    where = str(house.repository.path)
    settings = replace(load(house.repository.env, cwd=where), aws=ACCOUNT)
    server = build_server(Front(where, partial(runner_for, settings)))
    before = jobs(settings)
    async with Client(server, mode=mode, read_timeout_seconds=60) as client:
        asked = {"command": "make", "backend": "aws_batch", "estimate_only": True}
        answer = (await client.call_tool("run_in_sandbox", asked)).structured_content
    assert answer is not None
    assert (answer["ok"], answer.get("job_id")) == (True, None)
    assert 0 < float(answer["cost"]["estimate_usd"]) <= float(answer["cost"]["worst_usd"])
    assert answer["cost"]["reserved_usd"] == "0"
    assert "at most (machine " in answer["summary"]
    assert "Nothing was started." in answer["summary"]
    assert jobs(settings) == before
