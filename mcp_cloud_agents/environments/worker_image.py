"""What the worker's container image gives to environments: the system's Python, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.setup import Toolchain
from mcp_cloud_agents.environments.host import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.environments.host import Finder, Want


def in_image(image: str, python: str) -> Finder:
    """Jobs run in a container.

    Args:
        image: name and tag or digest; environments are built anew when it changes.
        python: version of its /usr/bin/python3, such as `3.11`.
    """
    system = Toolchain(name="python", version=python, binds=(), path=("/usr/bin",))

    def finder(wants: Sequence[Want], *, avoid: str) -> Host:
        del avoid  # no program of this machine is run
        wanted = any(want.name == "python" for want in wants)
        agents = (_in_image(want.name) for want in wants if want.engine)
        return Host(
            image=f"container {image}", toolchains=(*((system,) if wanted else ()), *agents)
        )

    return finder


def _in_image(engine: str) -> Toolchain:
    """The program of an engine: an image that was made for it has it on its PATH."""
    return Toolchain(name=engine, version="", binds=(), path=("/usr/local/bin",))
