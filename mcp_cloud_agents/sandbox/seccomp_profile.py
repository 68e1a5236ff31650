"""The seccomp filter for this machine; `scripts/build_seccomp.py` makes the files."""

from __future__ import annotations

import os
import platform
from importlib.resources import files

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Network

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def seccomp_filter(network: Network, *, namespaces: bool = True) -> bytes:
    """BPF code for a command with this network.

    Args:
        network: what the command may reach.
        namespaces: whether it has a network namespace of its own where it may reach nothing;
            without one, the filter alone keeps it off the network, and off its own loopback.

    Raises:
        IsolationUnavailable: there is no filter for this machine's architecture.
    """
    machine = platform.machine().lower()
    if machine not in _ARCHITECTURES:
        raise IsolationUnavailable(
            f"There is no seccomp filter for the architecture {machine}.",
            hint="Jobs run on x86_64 and aarch64.",
        )
    offline = "run" if namespaces else "offline"
    profile = "setup" if network is Network.HOST else offline
    name = os.path.join("seccomp", f"{profile}.{_ARCHITECTURES[machine]}.bpf")
    return files("mcp_cloud_agents.sandbox").joinpath(name).read_bytes()
