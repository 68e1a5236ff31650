"""A gateway before a scripted model server, and a client that speaks plain HTTP to it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcp_cloud_agents.domain.fix import Budget, ModelRoute, Provider
from mcp_cloud_agents.worker.fix.gateway.forwarding import Forwarding
from mcp_cloud_agents.worker.fix.gateway.guarded_upstream import GuardedUpstream
from mcp_cloud_agents.worker.fix.gateway.server import Gateway
from mcp_cloud_agents.worker.fix.gateway.upstream import Upstream
from mcp_cloud_agents.worker.fix.meter import Meter
from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers

KEY = "sk-canary-7c2e9f04"
SONNET, GPT = "claude-sonnet-4-5", "gpt-5"
ROUTES = {
    "/v1/messages": (Provider.ANTHROPIC, SONNET),
    "/v1/responses": (Provider.OPENAI, GPT),
    "/v1/chat/completions": (Provider.OPENAI_CHAT, GPT),
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    """Whether the body came to its end."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("gateway", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """An open gateway."""

    gateway: Gateway
    meter: Meter

    @property
    def forwarding(self) -> Forwarding:
        return self.gateway.forwarding

    def post(
        self, path: str, body: Mapping[str, Any] | bytes, *, method: str = "POST", **headers: str
    ) -> Reply:
        """Ask with the job's token, unless headers say otherwise (`x_api_key` is x-api-key)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"x-api-key": self.gateway.token}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(OverSocket(self.gateway.path)) as connection:
            connection.request(method, path, data, {k: v for k, v in given.items() if v})
            answer = connection.getresponse()
            try:
                said, whole = answer.read(), True
            except http.client.IncompleteRead as exc:
                said, whole = exc.partial, False
            return Reply(
                status=answer.status, headers=dict(answer.getheaders()), body=said, whole=whole
            )


def route_to(url: str, path: str = "/v1/messages", **changes: Any) -> ModelRoute:
    """The route of a wire format to a script's base URL."""
    provider, model = ROUTES[path]
    base = url if provider is Provider.ANTHROPIC else f"{url}/v1"
    usual = ModelRoute(provider=provider, model=model, base_url=base, key="env:KEY")
    return replace(usual, **changes)


@contextmanager
def gateway_to(
    *routes: ModelRoute,
    folder: Path,
    budget: Budget | None = None,
    output: int = 8_192,
    breakers: ModelBreakers | None = None,
) -> Generator[Desk]:
    """An open gateway; it is closed with the block."""
    meter = Meter(budget or Budget(), str(folder / "spent.json"))
    upstream = GuardedUpstream(Upstream({"env:KEY": KEY}), breakers or ModelBreakers())
    forwarding = Forwarding(routes=routes, upstream=upstream, meter=meter, most_output=output)
    with Gateway(forwarding, str(folder / "gateway.sock")) as gateway:
        yield Desk(gateway=gateway, meter=meter)


def a_request(path: str, **fields: Any) -> dict[str, Any]:
    """A small request in the format of a path."""
    turns = [{"role": "user", "content": "hello"}]
    name = "input" if path == "/v1/responses" else "messages"
    return {"model": ROUTES[path][1], name: turns, **fields}
