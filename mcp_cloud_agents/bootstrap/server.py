"""Composition root of the server: its front over a runner that is built on first use."""

from __future__ import annotations

import contextlib
import os
from functools import partial

from mcp_cloud_agents.bootstrap.runner import build_runner


def serve_stdio() -> None:
    """Serve MCP over stdin and stdout until the client ends."""
    import anyio

    from mcp_cloud_agents.governance.known_secrets import KnownSecrets
    from mcp_cloud_agents.server.app import build_server
    from mcp_cloud_agents.server.front import Front
    from mcp_cloud_agents.server.stdio import serve
    from mcp_cloud_agents.telemetry.logs import log_to_stderr, redact_logs

    log_to_stderr()
    known = KnownSecrets()
    redact_logs(known.known)
    here = ""
    with contextlib.suppress(FileNotFoundError):  # gone: each call is told so by the settings
        here = os.getcwd()
    server = build_server(Front(here, partial(build_runner, known), redact=known.known))
    anyio.run(serve, server)
