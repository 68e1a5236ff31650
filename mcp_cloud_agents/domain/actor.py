"""Who asked for something: written into every record of the audit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asked, as far as it is known; text of clients is untrusted and cut to 200 characters."""

    client: str = ""
    """Name of the MCP client, or `terminal`."""
    client_version: str = ""
    call_id: str = ""
    """The client's own id of the call."""
    session: str = ""
    """One run of the server, or one terminal session."""
    os_user: str = ""
    principal: str = ""
    """ARN of the AWS identity, where it is known."""
