"""What to say of a run that wanted localhost where the isolation has none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.domain.sandbox import IsolationRecord

_REFUSED = re.compile(r"(?i)address family not supported|\bEAFNOSUPPORT\b")
"""The filter's answer to socket(2), as C libraries, Python, node, Go, Rust and Java tell it."""
_NOTE = (
    "Some of this comes from the place, not from the code: a socket was refused. Isolation "
    "{level} ({driver}) has no internet sockets in the run phase, not even on localhost, so tests "
    "that open a local server fail there. Run them with backend='local', or on a queue of EC2 "
    "hosts that allow user namespaces: both have localhost."
)


def refused_localhost(isolation: IsolationRecord, said: Iterable[str]) -> tuple[str, ...]:
    """A note for the result; empty when there is localhost, or nobody missed it.

    Args:
        isolation: what the run had.
        said: what the run and its failing tests printed.
    """
    if isolation.loopback or not any(_REFUSED.search(text) for text in said):
        return ()
    return (_NOTE.format(level=isolation.level, driver=isolation.driver),)
