"""Where tasks are run: one state folder and one model server, each task a real job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.server.app import build_server
from mcp_cloud_agents.server.front import Front
from mcp_cloud_agents.settings import load
from tests.fix_tasks.task import Task, tasks
from tests.model_server.server import ModelServer

KEY = "sk-ant-task-0123456789abcdef"
WITHIN_S = 240
TASKS = tasks()

Answer = dict[str, Any]


@dataclass
class House:
    """One state folder and one model server for all tasks; each task runs once."""

    scratch: Path
    models: ModelServer
    _ran: dict[str, Answer] = field(default_factory=dict[str, Answer])

    def ran(self, name: str) -> Answer:
        """The answer to the task, when its job has ended."""
        if name not in self._ran:
            self._ran[name] = anyio.run(self._run, name, TASKS[name])
        return self._ran[name]

    async def _run(self, name: str, task: Task) -> Answer:
        place, home = self.scratch / name, self.scratch / f"{name}.home"
        task.make_repository(place)
        for script, turns in task.scripts.items():
            self.models.add(f"{name}.{script}", turns)
        config = home / ".config/mcp-cloud-agents/config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(toml_of(task.policy(f"{self.models.url}/{name}.")))
        env = {
            "HOME": str(home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "MCP_CLOUD_AGENTS_STATE_DIR": str(self.scratch / "state"),
        }
        server = build_server(Front(str(place), partial(runner_for, load(env, cwd=str(place)))))
        with anyio.fail_after(WITHIN_S):
            async with Client(server, read_timeout_seconds=60) as client:
                return await to_its_end(client, task.arguments())


async def to_its_end(client: Client, arguments: Mapping[str, Any]) -> Answer:
    """Submit, wait, and give the last answer."""
    result = await client.call_tool("fix_in_sandbox", {"backend": "local", **arguments})
    answer = dict(result.structured_content or {})
    while answer.get("ok") and not answer.get("done"):
        waited = {"job_id": answer["job_id"], "timeout_s": 50}
        answer = dict((await client.call_tool("wait_job", waited)).structured_content or {})
    return answer


def toml_of(table: Mapping[str, Any]) -> str:
    """The table `[fix]` with its models as a person writes it."""
    lines = ["[fix]", *(f"{k} = {json.dumps(v)}" for k, v in table.items() if k != "models")]
    for model in table["models"]:
        lines += ["[[fix.models]]", *(f"{k} = {json.dumps(v)}" for k, v in model.items())]
    return "\n".join([*lines, ""])
