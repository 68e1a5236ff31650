"""Handing keys and secrets to a job's supervisor: through a pipe, so never by argv or disk.

What is in the pipe is gone once it was read, or once nobody has it open any more. The reading side
is `worker/fix/keys.py`.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import ModelUnusable, SecretUnusable

if TYPE_CHECKING:
    from collections.abc import Generator

    from mcp_cloud_agents.domain.handed import Handed

_MOST_BYTES = 1 << 20
"""What a user's pipe may have at most (fs.pipe-max-size, pipe(7))."""
_USUAL_BYTES = 4_096
"""So much an empty pipe always takes."""
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


@contextmanager
def handed_over(handed: Handed) -> Generator[tuple[int, ...]]:
    """A descriptor that gives the values as JSON once, and then its end; none without values.

    Raises:
        ModelUnusable, SecretUnusable: they are too long.
    """
    if not handed:
        yield ()
        return
    reading, writing = os.pipe()
    try:
        try:
            if not _taken(writing, msgspec.json.encode(handed)):
                raise _too_long(handed)
        finally:
            os.close(writing)
        yield (reading,)
    finally:
        os.close(reading)


def _taken(pipe: int, data: bytes) -> bool:
    """Whether the empty pipe has all of it; nobody reads it yet, so nothing may wait."""
    if len(data) > _MOST_BYTES:
        return False
    os.set_blocking(pipe, False)
    if _F_SETPIPE_SZ is not None and len(data) > _USUAL_BYTES:
        with suppress(OSError):  # over the user's share of pipes: what there is may do
            fcntl.fcntl(pipe, _F_SETPIPE_SZ, len(data))
    with suppress(BlockingIOError):
        return os.write(pipe, data) == len(data)
    return False


def _too_long(handed: Handed) -> ModelUnusable | SecretUnusable:
    names = ", ".join((*handed.keys, *handed.secrets))
    if handed.secrets:
        return SecretUnusable(
            f"The values of {names} are too long to be handed over together.",
            hint="Give this subagent fewer or shorter secrets.",
        )
    return ModelUnusable(
        f"The keys in {names} are too long to be handed over together.",
        hint="Put long keys into files of your own, and name them by file:/path.",
    )
