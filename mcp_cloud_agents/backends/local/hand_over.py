"""Handing model keys to a job's supervisor: through a pipe, so never by argv, environment or disk.

What is in the pipe is gone once it was read, or once nobody has it open any more. The reading side
is `worker/fix/keys.py`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_FITS_BYTES = 4_096
"""An empty pipe always takes so much without waiting (pipe(7), PIPE_BUF)."""


@contextmanager
def handed_over(keys: Mapping[str, str]) -> Generator[tuple[int, ...]]:
    """A descriptor that gives the keys as JSON once, and then its end; none without keys.

    Raises:
        ModelUnusable: they are too long.
    """
    if not keys:
        yield ()
        return
    data = msgspec.json.encode(dict(keys))
    if len(data) > _FITS_BYTES:
        raise ModelUnusable(
            f"The keys in {', '.join(keys)} are longer than {_FITS_BYTES:,} bytes together.",
            hint="Put long keys into files of your own, and name them by file:/path.",
        )
    reading, writing = os.pipe()
    try:
        try:
            os.write(writing, data)
        finally:
            os.close(writing)
        yield (reading,)
    finally:
        os.close(reading)
