"""The configuration of a repository as one thing that a person can trust: every byte of it.

It is taken from a snapshot, as jobs see it: files that git ignores are not in it, and line endings
are those that git stores.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BadConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.domain.job import Snapshot
    from mcp_cloud_agents.ports.snapshots import Snapshots

FOLDER = ".cloud-agents/"
MAX_FILE_BYTES = 65_536
MAX_FILES = 20
MAX_TOTAL_BYTES = 131_072
"""More is not looked at, only scrolled past."""
_HINT = "Keep the few small files there that the documentation names, and nothing else."


def configuration_of(snapshots: Snapshots, snapshot: Snapshot) -> dict[str, bytes]:
    """All files of `.cloud-agents` in a snapshot, by their path from the top.

    Blocks (git processes).

    Raises:
        BadConfig: one is a link, is too large to be looked at, or they are too many.
    """
    names = sorted(name for name in snapshots.names(snapshot) if name.startswith(FOLDER))
    if len(names) > MAX_FILES:
        raise BadConfig(f"{FOLDER} has {len(names)} files; at most {MAX_FILES}.", hint=_HINT)
    found = snapshots.read(snapshot, names, limit_bytes=MAX_FILE_BYTES)
    if missing := [name for name in names if name not in found]:
        raise BadConfig(
            f"{missing[0]}: it is no regular file, or has more than {MAX_FILE_BYTES} bytes.",
            hint=_HINT,
        )
    if (size := sum(map(len, found.values()))) > MAX_TOTAL_BYTES:
        raise BadConfig(f"{FOLDER} has {size} bytes; at most {MAX_TOTAL_BYTES}.", hint=_HINT)
    return {name: found[name] for name in names}


def config_digest(files: Mapping[str, bytes]) -> str:
    """sha256 over names and contents in the order of the names, each with its length; hex."""
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        for part in (name.encode(errors="surrogateescape"), content):
            whole.update(len(part).to_bytes(8))
            whole.update(part)
    return whole.hexdigest()
