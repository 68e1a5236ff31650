"""Where folders may be mounted: never through a link that a job's tree or set-up holds.

While bubblewrap mounts, the host's root is still there, at /oldroot, and missing mount points are
made. A link to /oldroot/home/… at `node_modules` would make folders and files on the host.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import IsolationUnavailable

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.sandbox import Confinement


def check_mount_points(confinement: Confinement) -> None:
    """Look at every mount point as the mounts before it show it.

    Raises:
        IsolationUnavailable: one is not a plain absolute path, or leads through a link.
    """
    shown: list[tuple[str, str | None]] = []
    mounts = [(bind.inside, bind.host) for bind in confinement.binds]
    for inside, host in (*mounts, *((path, None) for path in confinement.tmpfs)):
        names = inside.split("/")[1:]
        if not inside.startswith("/") or any(name in ("", ".", "..") for name in names):
            raise _refused(inside, "is no plain absolute path")
        below = next(
            (one for one in reversed(shown) if inside == one[0] or inside.startswith(one[0] + "/")),
            None,
        )
        if below is not None and below[1] is not None:
            _walk(below[1], inside, inside.removeprefix(below[0]).split("/")[1:])
        shown.append((inside, host))


def _walk(host: str, inside: str, names: list[str]) -> None:
    """Follow `names` below a host folder as far as they exist; none of them may be a link."""
    fd = os.open(host, os.O_PATH | os.O_CLOEXEC)
    try:
        for name in names:
            try:
                step = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            except OSError:
                return  # missing, or below a file: bubblewrap makes it, or says what is wrong
            os.close(fd)
            fd = step
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                raise _refused(inside, "is a link, or leads through one")
    finally:
        os.close(fd)


def _refused(inside: str, why: str) -> IsolationUnavailable:
    return IsolationUnavailable(
        f"The mount point {inside} {why}.",
        hint="Let a real folder be there, or nothing: take the link out of the tree.",
    )
