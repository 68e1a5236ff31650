"""A house whose policy asks about commands, and clients whose person answers in some way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from mcp_cloud_agents.bootstrap.books import ledger_for
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.runner import JobRunner
from mcp_cloud_agents.server.app import build_server
from mcp_cloud_agents.server.front import Front
from mcp_cloud_agents.settings import load
from tests.e2e.wire import Repository

POLICY = """\
[[rules]]
name = "look first"
decision = "ask"
reason = "a person looks at commands"
[rules.when]
agent = ["run_in_sandbox", "fix_in_sandbox"]
"""
MODEL = """\
[[fix.models]]
provider = "anthropic"
model = "a-model"
base_url = "http://127.0.0.1:9"
key = "env:A_KEY"
input_usd_per_mtok = 1
output_usd_per_mtok = 1
"""
Person = Callable[[ElicitRequestParams], Awaitable[ElicitResult]]


def asks(repository: Repository, policy: str = POLICY) -> None:
    """Give the person of this repository a policy that asks."""
    folder = Path(repository.env["HOME"]) / ".config" / "mcp-cloud-agents"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.toml").write_text(policy)
    (folder / "config.toml").write_text(MODEL)


def held_micros(repository: Repository) -> int:
    """What the ledger of this machine holds back now."""
    ledger = ledger_for(load(repository.env, cwd=str(repository.path)))
    return sum(one.order.amount_micros for one in ledger.open())


def runner_of(repository: Repository) -> JobRunner:
    """What another process on this machine would use."""
    return runner_for(load(repository.env, cwd=str(repository.path)))


@dataclass
class Someone:
    """A client's person who always gives one answer; remembers what was asked."""

    action: str
    content: Any = None
    asked: list[str] = field(default_factory=list[str])

    async def __call__(self, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        answer: Any = {"action": self.action, "content": self.content}
        return ElicitResult.model_construct(**answer)


def yes() -> Someone:
    return Someone("accept", {"approve": True, "reason": "looks fine"})


def client_of(
    repository: Repository, mode: Any, person: Person | None, *, ask_s: float = 45.0
) -> Client:
    """A client of a fresh server; without a person it declares no elicitation."""
    where = str(repository.path)
    settings = load(repository.env, cwd=where)
    server = build_server(Front(where, partial(runner_for, settings), ask_s=ask_s))
    if person is None:
        return Client(server, mode=mode, read_timeout_seconds=60)

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        return await person(params)

    return Client(server, mode=mode, read_timeout_seconds=60, elicitation_callback=answer)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a tool."""
    found = (await client.call_tool(tool, arguments)).structured_content
    assert found is not None
    return found
