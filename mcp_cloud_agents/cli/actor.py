"""Who acts at a terminal, as the audit names it."""

from __future__ import annotations

from dataclasses import replace

from mcp_cloud_agents.bootstrap.books import os_user, session_of
from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.governance.approval import TERMINAL

PERSON = Actor(client=TERMINAL)
"""For the runner, which adds the account."""


def at_a_terminal() -> Actor:
    """The person, by the account of this machine; for entries that are written without a runner."""
    return replace(PERSON, os_user=os_user(), session=session_of(keep_spare=False))
