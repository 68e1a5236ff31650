"""Who acts at a terminal, as the audit names it."""

from __future__ import annotations

import getpass

from mcp_cloud_agents.domain.actor import Actor


def at_a_terminal() -> Actor:
    """The person, by the account of this machine."""
    try:
        person = getpass.getuser()
    except (KeyError, OSError):  # a container's uid without an account
        person = ""
    return Actor(client="terminal", os_user=person)
