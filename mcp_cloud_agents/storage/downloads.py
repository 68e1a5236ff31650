"""A file that is fetched: it appears whole under its name, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Generator

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def appearing(path: str) -> Generator[int]:
    """Descriptor of a new file that takes the name `path` when all went well.

    Raises:
        NoSpace: the disk is full.
        OSError: the folder of `path` cannot be written.
    """
    temporary = f"{path}.{secrets.token_hex(4)}.part"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as exc:
        if exc.errno in FULL:
            raise no_space(path) from exc
        raise
    finally:
        with suppress(FileNotFoundError):  # the rename took it
            os.unlink(temporary)


def no_space(path: str) -> NoSpace:
    """The disk that holds `path` is full."""
    return NoSpace(
        f"No space left on the disk that holds {path}.", hint="Free some space, then call again."
    )
