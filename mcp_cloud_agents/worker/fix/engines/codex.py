"""Codex as an engine: `codex exec`, without its own sandbox, which ours makes needless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.domain.fix import Provider
from mcp_cloud_agents.worker.fix.gateway.untyped import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.worker.fix.engine import Workbench

_TOKEN = "JOB_TOKEN"  # noqa: S105  a variable's name
_GATEWAY = (
    'model_providers.gw={name="gw",base_url="http://127.0.0.1:{gateway-port}/v1",'
    f'env_key="{_TOKEN}",wire_api="responses",request_max_retries=0,stream_max_retries=0}}'
)


class Codex:
    """See `agent_program.Agent`."""

    name = "codex"
    install = "install it with: npm install -g @openai/codex"
    provider = Provider.OPENAI

    def argv(self, bench: Workbench, model: str, text: str) -> tuple[str, ...]:
        """See `Agent`."""
        del bench  # it knows no limits of its own
        settings = (
            f'model="{model}"',
            'model_provider="gw"',
            _GATEWAY,
            'web_search="disabled"',
            "features.multi_agent=false",
        )
        return (
            *(self.name, "exec", "--json", "-s", "danger-full-access", "--ephemeral"),
            *("--ignore-user-config", "--skip-git-repo-check"),
            *(word for one in settings for word in ("-c", one)),
            text,
        )

    def env(self, bench: Workbench, model: str, token: str) -> dict[str, str]:
        """See `Agent`. Its home must not lie below the folder for temporary files."""
        del bench, model
        return {_TOKEN: token}

    def last_words(self, event: Mapping[str, Any]) -> str:
        """See `Agent`."""
        item = event.get("item")
        if event.get("type") != "item.completed" or not is_object(item):
            return ""
        return str(item.get("text") or "") if item.get("type") == "agent_message" else ""
