"""Content that bubblewrap gets by descriptor: it needs no name on disk and no clean-up."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.sandbox import Network
from mcp_cloud_agents.sandbox.bubblewrap_args import Descriptors
from mcp_cloud_agents.sandbox.seccomp_profile import seccomp_filter

if TYPE_CHECKING:
    from collections.abc import Generator

_PASSWD = b"root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n"
_GROUP = b"root:x:0:\nagent:x:1000:\n"
_HOSTS = b"127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n"
_MAX_BYTES = 65_536


@contextlib.contextmanager
def descriptors(network: Network, status: int) -> Generator[Descriptors]:
    """Everything bubblewrap inherits but its arguments.

    Raises:
        IsolationUnavailable: there is no seccomp filter for this machine's architecture.
    """
    with contextlib.ExitStack() as stack:
        etc = {name: stack.enter_context(memfd(data)) for name, data in etc_files(network).items()}
        seccomp = stack.enter_context(memfd(seccomp_filter(network)))
        yield Descriptors(seccomp=seccomp, status=status, etc=etc)


def etc_files(network: Network) -> dict[str, bytes]:
    """Files of /etc that are made up; with the host's network, its name servers as well."""
    files = {"passwd": _PASSWD, "group": _GROUP, "hosts": _HOSTS, "resolv.conf": b""}
    if network is Network.HOST:
        files["hosts"] += f"127.0.1.1 {socket.gethostname()}\n".encode()
        # Often a link into /run, which does not exist inside; so its content is taken.
        with contextlib.suppress(OSError), open("/etc/resolv.conf", "rb") as file:
            files["resolv.conf"] = file.read(_MAX_BYTES)
    return files


@contextlib.contextmanager
def memfd(data: bytes) -> Generator[int]:
    """A descriptor that holds `data`, readable from its start, inheritable."""
    fd = os.memfd_create("sandbox", 0)
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
