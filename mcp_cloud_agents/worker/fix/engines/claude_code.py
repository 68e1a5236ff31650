"""Claude Code as an engine: `claude -p`, in its barest form.

`--bare` leaves out hooks, plugins and settings of the tree, which is untrusted. Its own limits on
turns and money are not used: the gateway's hold, and then the report says which one it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.domain.fix import Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.worker.fix.engine import Workbench

_TOOLS = "Bash,Edit,Read,Write,Glob,Grep"


class ClaudeCode:
    """See `agent_program.Agent`."""

    name = "claude"
    install = "install it with: npm install -g @anthropic-ai/claude-code"
    provider = Provider.ANTHROPIC

    def argv(self, bench: Workbench, model: str, text: str) -> tuple[str, ...]:
        """See `Agent`."""
        del bench
        return (
            *(self.name, "-p", text, "--bare", "--model", model),
            *("--output-format", "stream-json", "--verbose"),
            *("--allowedTools", _TOOLS),
        )

    def env(self, bench: Workbench, model: str, token: str) -> dict[str, str]:
        """See `Agent`."""
        timeout_ms = str(bench.budget.command_s * 1_000)
        return {
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:{gateway-port}",
            "ANTHROPIC_API_KEY": token,
            "ANTHROPIC_SMALL_FAST_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(bench.budget.output_tokens),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "BASH_DEFAULT_TIMEOUT_MS": timeout_ms,
            "BASH_MAX_TIMEOUT_MS": timeout_ms,
        }

    def last_words(self, event: Mapping[str, Any]) -> str:
        """See `Agent`."""
        return str(event.get("result") or "") if event.get("type") == "result" else ""
