"""What a conversation may hold: text, tools of the client, pictures that are in the request itself.

A provider fetches what a URL or a stored id names, so each of them is a way out of a sandbox that
has no network, and input that nobody counted. What is not listed here is refused.
"""

from __future__ import annotations

from typing import Any

from mcp_cloud_agents.domain.fix import Provider
from mcp_cloud_agents.worker.fix.gateway.refusal import Refusal
from mcp_cloud_agents.worker.fix.gateway.untyped import is_list, is_object

_BLOCKS: dict[Provider, frozenset[str]] = {
    Provider.ANTHROPIC: frozenset(
        {
            *("text", "image", "tool_use", "tool_result"),
            *("thinking", "redacted_thinking", "tool_reference"),
        }
    ),
    Provider.OPENAI: frozenset(
        {
            *("message", "reasoning", "function_call", "function_call_output"),
            *("custom_tool_call", "custom_tool_call_output"),
            *("local_shell_call", "local_shell_call_output"),
            *("apply_patch_call", "apply_patch_call_output"),
            *("input_text", "output_text", "summary_text", "reasoning_text", "refusal"),
            "input_image",
        }
    ),
    Provider.OPENAI_CHAT: frozenset({"text", "image_url", "refusal", "function", "custom"}),
}
_TOOLS: dict[Provider, frozenset[str]] = {
    Provider.ANTHROPIC: frozenset({"custom"}),
    Provider.OPENAI: frozenset({"function", "custom", "local_shell", "apply_patch"}),
    Provider.OPENAI_CHAT: frozenset({"function", "custom"}),
}
"""Tools that the client runs. Others are the provider's, such as `web_search`."""
_NESTED = ("content", "output", "summary")
"""Where blocks hold blocks; arguments of tools are plain data."""
_DEPTH = 8


def pictures(provider: Provider, turns: list[Any]) -> tuple[int, int]:
    """Hold the conversation against the list.

    Returns:
        How many pictures are in it, and their bytes in base64.

    Raises:
        Refusal: it holds something else.
    """
    found = [_looked_at(provider, turn, 0) for turn in turns]
    return sum(count for count, _ in found), sum(size for _, size in found)


def own_tools(provider: Provider, tools: object) -> list[Any]:
    """Those tools that the client runs itself."""
    if not is_list(tools):
        raise Refusal(400, "tools is no list.")
    kept = _TOOLS[provider]
    return [
        tool for tool in tools if is_object(tool) and _is_one_of(tool.get("type", "custom"), kept)
    ]


def _is_one_of(kind: object, kinds: frozenset[str]) -> bool:
    return isinstance(kind, str) and kind in kinds


def _looked_at(provider: Provider, block: object, depth: int) -> tuple[int, int]:
    if isinstance(block, str):
        return 0, 0
    if not is_object(block) or depth > _DEPTH:
        raise Refusal(400, "The conversation is not in the provider's format.")
    kind = block.get("type")
    if kind is not None and not _is_one_of(kind, _BLOCKS[provider]):
        raise Refusal(400, f"The gateway does not forward {str(kind)[:60]!r} in a conversation.")
    if kind in ("image", "input_image", "image_url"):
        return 1, _inline_picture(block)
    count = size = 0
    for name in _NESTED:
        for part in value if is_list(value := block.get(name)) else ():
            more, bytes_ = _looked_at(provider, part, depth + 1)
            count, size = count + more, size + bytes_
    return count, size


def _inline_picture(block: dict[str, Any]) -> int:
    source, url = block.get("source"), block.get("image_url")
    if is_object(source) and source.get("type") == "base64":
        data = source.get("data")
    else:
        data = url.get("url") if is_object(url) else url
        if not isinstance(data, str) or not data.startswith("data:"):
            data = None
    if not isinstance(data, str) or block.get("file_id"):
        raise Refusal(400, "The gateway forwards only pictures that are in the request itself.")
    return len(data)
