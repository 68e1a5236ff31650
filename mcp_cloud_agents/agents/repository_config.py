"""`.cloud-agents/config.toml` of a repository: untrusted, so it may choose commands and tighten.

It is read from the snapshot, never from the disk. What it names runs inside the sandbox only, and
it cannot raise a limit, open the network or name a secret: there are no keys for that.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.toml import place, read_toml

if TYPE_CHECKING:
    from collections.abc import Collection

    from mcp_cloud_agents.domain.sandbox import Limits

FILE = ".cloud-agents/config.toml"

Command = Annotated[str, Meta(min_length=1, max_length=4_096, pattern=r"\S")]
PathPattern = Annotated[str, Meta(min_length=1, max_length=512)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSetup:
    """The repository's own way to make its environment; it replaces what would be detected."""

    commands: Annotated[tuple[Command, ...], Meta(max_length=20)] = ()
    """Empty: no environment is made at all."""
    inputs: Annotated[tuple[PathPattern, ...], Meta(max_length=100)] = ()
    """Paths in the tree (or patterns with `*`) on whose content the environment depends."""

    def input_names(self, names: frozenset[str]) -> tuple[str, ...]:
        """Those of `names` that are inputs, sorted."""
        return tuple(
            sorted(
                name
                for name in names
                if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.inputs)
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTests:
    """How the repository's tests run."""

    command: Command | None = None
    runner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredLimits:
    """Limits of the repository; each counts only where it is tighter than the person's."""

    timeout_minutes: Annotated[float, Meta(gt=0, le=1_440)] | None = None
    memory_mib: Annotated[int, Meta(ge=64)] | None = None
    processes: Annotated[int, Meta(ge=8)] | None = None
    disk_mib: Annotated[int, Meta(ge=64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryConfig:
    """All that a repository may say."""

    setup: DeclaredSetup | None = None
    tests: DeclaredTests = field(default_factory=DeclaredTests)
    limits: DeclaredLimits = field(default_factory=DeclaredLimits)

    def tighten(self, limits: Limits) -> Limits:
        """`limits` with what the repository wants less of; never more of anything."""
        own = self.limits
        timeout_s = limits.timeout_s
        if own.timeout_minutes is not None:
            timeout_s = min(timeout_s, max(1, round(own.timeout_minutes * 60)))
        return replace(
            limits,
            timeout_s=timeout_s,
            memory_mib=_smaller(limits.memory_mib, own.memory_mib),
            processes=_smaller(limits.processes, own.processes),
            disk_mib=_smaller(limits.disk_mib, own.disk_mib),
        )


def parse_repository_config(data: bytes, *, runners: Collection[str]) -> RepositoryConfig:
    """Read the file's content.

    Args:
        data: content of `.cloud-agents/config.toml` in the snapshot.
        runners: names of the test runners whose reports can be read.

    Raises:
        BadConfig: the message names file, line and key, the hint what is allowed.
    """
    config = read_toml(data, RepositoryConfig, file=FILE)
    runner = config.tests.runner
    if runner is not None and runner not in runners:
        raise BadConfig(
            f"{place(data, ('tests', 'runner'), file=FILE)}: unknown test runner {runner!r}.",
            hint=f"Allowed for 'tests.runner': {', '.join(sorted(runners))}.",
        )
    for index, pattern in enumerate(config.setup.inputs if config.setup else ()):
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise BadConfig(
                f"{place(data, ('setup', 'inputs', index), file=FILE)}: {pattern!r} is no path "
                "inside the repository.",
                hint="Allowed for 'setup.inputs': paths relative to the top of the tree, "
                "without '..'; '*' matches anything.",
            )
    return config


def _smaller(limit: int, own: int | None) -> int:
    return limit if own is None else min(limit, own)
