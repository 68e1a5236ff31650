"""The places where jobs may run, and which of them a request means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.delegation.pack import Packer
from mcp_cloud_agents.domain.errors import BackendUnavailable, InvalidArgument, too_weak
from mcp_cloud_agents.domain.sandbox import IsolationLevel
from mcp_cloud_agents.ports.backend import Backend
from mcp_cloud_agents.ports.pricing import Pricing

if TYPE_CHECKING:
    from collections.abc import Sequence

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Place:
    """A backend, and how jobs are made for it."""

    backend: Backend
    packer: Packer
    isolation: IsolationLevel
    """The weakest that the person accepts there."""
    pricing: Pricing
    """What jobs cost there."""

    shared: bool = False
    """Whether other machines submit jobs there as well."""

    @property
    def name(self) -> str:
        """The backend's name, as in requests and results."""
        return self.backend.name

    async def check(self) -> None:
        """Look whether jobs can start there. Raises BackendUnavailable, IsolationUnavailable."""
        probe = await self.backend.probe()
        if self.shared and not probe.works:
            said = probe.problem.rstrip(".")
            raise BackendUnavailable(
                f"{self.name} cannot start jobs now: {said}.", hint=probe.remedy
            )
        if not probe.works or not probe.level.satisfies(self.isolation):
            raise too_weak(self.isolation, probe.problem, probe.remedy)


class Places:
    """All places, the preferred one first; at least one."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = tuple(places)

    @property
    def first(self) -> Place:
        """The preferred one."""
        return self._places[0]

    @property
    def all(self) -> tuple[Place, ...]:
        """Every one."""
        return self._places

    @property
    def shared(self) -> tuple[Place, ...]:
        """Those that other machines use as well."""
        return tuple(place for place in self._places if place.shared)

    def candidates(self, wanted: str) -> tuple[Place, ...]:
        """Where a job may be started, in the order to try.

        Args:
            wanted: `auto`, or the name of a backend.

        Raises:
            InvalidArgument: there is no such place here.
        """
        found = tuple(each for each in self._places if wanted in (AUTO, each.name))
        if not found:
            names = ", ".join((AUTO, *(each.name for each in self._places)))
            raise InvalidArgument(
                f"backend is {wanted[:80]!r}; here it may be: {names}.",
                hint="Leave it out, or set up AWS with `mcp-cloud-agents configure aws`.",
            )
        return found

    def of(self, backend: str) -> Place:
        """The place of a job that exists.

        Raises:
            BackendUnavailable: it is not set up here any more.
        """
        for place in self._places:
            if place.name == backend:
                return place
        raise BackendUnavailable(
            f"The job runs on {backend}, which is not set up here.",
            hint="Set it up again (`mcp-cloud-agents configure aws`), then call again.",
        )
