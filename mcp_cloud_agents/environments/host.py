"""What the machine gives to environments: its base system and the toolchains jobs can reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.setup import Toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence


_ENGINES = (Engine.CLAUDE_CODE, Engine.CODEX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A toolchain that a tree needs."""

    name: str
    """`python`, `node`, `go` or `rust`, or an engine's name."""
    version: str = ""
    """Version specifiers as in PEP 440 (`>=3.11,<4`); empty: any."""

    @property
    def engine(self) -> Engine | None:
        """The engine whose program it is; None for a language."""
        return Engine(self.name) if self.name in _ENGINES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine, as far as environments depend on it."""

    image: str
    """Names the base system (distribution, architecture, C library, /usr's Python)."""
    toolchains: tuple[Toolchain, ...] = ()
    notes: tuple[str, ...] = ()
    """Why a toolchain that is installed is left out."""

    def toolchain(self, name: str) -> Toolchain | None:
        """The toolchain of this name."""
        return next((one for one in self.toolchains if one.name == name), None)


class Finder(Protocol):
    """Tells what the machine that a job runs on gives."""

    def __call__(self, wants: Sequence[Want], *, avoid: str) -> Host:
        """The machine, with those of the wanted toolchains that are there.

        Args:
            wants: what the tree needs.
            avoid: folder whose programs are never run: the worktree, whose content is untrusted.
        """
        ...
