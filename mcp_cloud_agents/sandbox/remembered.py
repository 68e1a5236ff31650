"""A sandbox whose probe is remembered until something changes that could change its answer.

Only a success is, and nothing rests on it: a command starts with the full profile or not at all,
and a limit that the probe promised is set or the start is refused.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from mcp_cloud_agents.sandbox.bubblewrap_args import SYSTEM_PATH
from mcp_cloud_agents.storage.files import read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp_cloud_agents.domain.sandbox import Confinement, IsolationLevel, Probe
    from mcp_cloud_agents.ports.sandbox import Confined, Sandbox

_PROGRAMS = ("bwrap", "prlimit", "setpriv", "sh")
_KERNEL = (
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/user/max_pid_namespaces",
    "/proc/sys/user/max_mnt_namespaces",
    "/proc/sys/user/max_net_namespaces",
    "/proc/self/attr/current",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
)


class Remembered:
    """`ports.sandbox.Sandbox` around another.

    Args:
        sandbox: what is asked, and what starts commands.
        evidence: what the answer depends on; equal values, equal answers.
    """

    def __init__(self, sandbox: Sandbox, evidence: Callable[[], object] | None = None) -> None:
        self._sandbox = sandbox
        self._evidence = evidence or of_this_machine
        self._seen: object = None
        self._found: Probe | None = None

    @property
    def level(self) -> IsolationLevel:
        """See the port."""
        return self._sandbox.level

    @property
    def parallel(self) -> bool:
        """See the port."""
        return self._sandbox.parallel

    def probe(self) -> Probe:
        """See the port; well under 1 ms while nothing changed."""
        seen = self._evidence()
        if self._found is None or not self._found.works or seen != self._seen:
            self._found, self._seen = self._sandbox.probe(), seen
        return self._found

    def start(self, argv: Sequence[str], confinement: Confinement, *, output: int) -> Confined:
        """See the port."""
        return self._sandbox.start(argv, confinement, output=output)


def of_this_machine() -> tuple[object, ...]:
    """Boot and kernel, its rules for namespaces, mounts and groups, our user, the programs."""
    kernel, user = os.uname(), (os.geteuid(), os.getegid())
    return (kernel.release, kernel.version, user, *map(_content, _KERNEL), *map(_file, _PROGRAMS))


def _content(path: str) -> bytes | None:
    try:
        return read_whole(path)
    except OSError:
        return None


def _file(program: str) -> tuple[object, ...]:
    path = shutil.which(program, path=SYSTEM_PATH)
    if path is None:
        return ()
    found = os.stat(path)
    return (path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
