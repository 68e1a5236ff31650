"""Serving over stdio: capabilities, signals and an end within 0.3 s.

Plain `server.run()` dies at SIGTERM without leaving its lifespan, hangs at SIGINT until stdin
closes, and stays alive when stdout is gone. Claude Code kills about 0.5 s after its first signal.
Nothing essential happens here at the end: jobs are processes of their own.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server import NotificationOptions
from mcp.server.stdio import stdio_server
from mcp.types import EmptyResult, SetLevelRequestParams, SubscribeRequestParams
from mcp.types import UnsubscribeRequestParams as UnsubscribeParams

from mcp_cloud_agents.server.unparsed import Answering

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from mcp_cloud_agents.server.app import AgentServer

_log = logging.getLogger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def _empty(ctx: ServerRequestContext[Any, Any], params: Any) -> EmptyResult:
    """Answer a request whose effect is elsewhere (`updates` sees it as middleware)."""
    del ctx, params
    return EmptyResult()


def _leave(code: int) -> None:
    """End now: interpreter teardown takes 350-800 ms, and a thread may be blocked on stdin."""
    sys.stderr.flush()
    os._exit(code)


async def _on_signal() -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for number in signals:
            _leave(128 + number)


async def serve(server: AgentServer) -> None:
    """Serve until stdin ends, stdout is gone or a signal comes; never returns."""
    low = server._lowlevel_server  # private: the SDK's only door to these
    for name, params in {
        "resources/subscribe": SubscribeRequestParams,
        "resources/unsubscribe": UnsubscribeParams,
        "logging/setLevel": SetLevelRequestParams,
    }.items():
        low.add_request_handler(name, params, _empty)
    async with anyio.create_task_group() as group, stdio_server() as (read, write):
        group.start_soon(_on_signal)
        options = low.create_initialization_options(
            NotificationOptions(tools_changed=True, resources_changed=True)
        )
        try:
            await low.run(Answering(read, write), write, options)
        except BaseException:  # noqa: BLE001  the end is told, whatever it was; then the process goes
            _log.exception("serve_failed")
            _leave(1)
        _leave(0)
