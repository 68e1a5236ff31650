"""MCP Inspector's command line, an independent client, over our server in both protocol eras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.wire import Repository

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("npx") is None, reason="npx (node) is not installed"),
]
INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
# What npx needs from the person's environment: its own configuration and certificates.
PASSED_ON = ("PATH", "LANG", "NODE_EXTRA_CA_CERTS", "NPM_CONFIG_USERCONFIG")
Inspect = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def inspector_env(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A home of its own: the Inspector keeps files there, and npx its packages."""
    home = tmp_path_factory.mktemp("inspector")
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}  # noqa: TID251  a test
    env |= {"HOME": str(home), "NO_UPDATE_NOTIFIER": "1"}
    npmrc = Path.home() / ".npmrc"
    if npmrc.exists():
        shutil.copy(npmrc, home / ".npmrc")
    got = subprocess.run(
        ["npx", "-y", INSPECTOR, "--version"], env=env, check=False, capture_output=True, text=True
    )
    if got.returncode:
        pytest.skip(f"npx cannot run {INSPECTOR}: {got.stderr.strip()[-300:]}")
    return env


@pytest.fixture(params=["legacy", "modern"])
def inspect(
    request: pytest.FixtureRequest, repository: Repository, inspector_env: Mapping[str, str]
) -> Inspect:
    """One run of the Inspector: one server, one request, its result."""
    own = [word for name, value in repository.env.items() for word in ("-e", f"{name}={value}")]
    options = ["--quiet", "--format", "json", "--protocol-era", request.param, *own]
    server = [sys.executable, "-m", "mcp_cloud_agents", "serve"]

    def run(*method: str, code: int = 0) -> dict[str, Any]:
        done = subprocess.run(
            ["npx", "-y", INSPECTOR, "--cli", *server, *options, "--method", *method],
            cwd=repository.path,
            env=inspector_env,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, (done.returncode, done.stdout[-2_000:], done.stderr)
        envelope: dict[str, Any] = json.loads(done.stdout or '{"result": {}}')
        assert "schemaFindings" not in envelope
        return envelope["result"]

    return run


def test_the_tools_pass_the_strict_check_for_portable_schemas(inspect: Inspect) -> None:
    tools = inspect("tools/list", "--strict")["tools"]
    assert tools[0]["name"] == "run_tests_cloud"
    assert all(tool["inputSchema"]["additionalProperties"] is False for tool in tools)
    assert all("outputSchema" in tool for tool in tools)


def test_a_job_runs_and_its_log_reads_as_a_resource(inspect: Inspect) -> None:
    asked = json.dumps({"command": "echo said; exit 3", "wait_s": 50})
    called = inspect("tools/call", "--tool-name", "run_in_sandbox", "--tool-args-json", asked)[
        "structuredContent"
    ]
    assert (called["state"], called["exit_code"]) == ("succeeded", 3)
    templates = inspect("resources/templates/list")["resourceTemplates"]
    assert "job://{job_id}/log{?offset,limit}" in [one["uriTemplate"] for one in templates]
    read = inspect("resources/read", "--uri", f"job://{called['job_id']}/log")
    assert read["contents"][0]["text"].endswith("said\n")


def test_an_error_of_ours_is_an_error_of_the_tool(inspect: Inspect) -> None:
    asked = json.dumps({"comand": "true"})
    inspect("tools/call", "--tool-name", "run_in_sandbox", "--tool-args-json", asked, code=5)
    inspect("resources/read", "--uri", "job://jnone/log", code=1)
