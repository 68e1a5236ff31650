"""The keys and secrets of one job in its worker: each had when it is needed, in memory only.

    set-up commands  get grants of phase `setup` as variables
    run commands     get grants of phase `run`; so do the target and the suite of a fix
    engines, prompts get none; models' keys stay with the worker and its candidates' processes

All that is written or shown goes through the redactor, which knows every value had so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_cloud_agents.governance.redaction import NOTHING, Redactor
from mcp_cloud_agents.governance.secret_grants import of_phase
from mcp_cloud_agents.storage.secret_values import unusable
from mcp_cloud_agents.worker.fix.keys import resolve

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.domain.secret import Phase, SecretGrant

Read = Callable[[Sequence["SecretGrant"]], Mapping[str, str]]
"""Gives the values of grants by name; raises SecretUnusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What the commands of a phase get, and what must not get out of them."""

    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Variables."""
    redactor: Redactor = NOTHING
    known: tuple[str, ...] = field(default=(), repr=False)
    """The values that the redactor knows, to make another one in another process."""


BARE = Exposure()
"""No secrets at all."""


def was_handed(values: Mapping[str, str]) -> Read:
    """Reads what the server resolved and handed over.

    Args:
        values: by the grants' names.
    """

    def read(grants: Sequence[SecretGrant]) -> dict[str, str]:
        for grant in grants:
            if grant.name not in values:
                raise unusable(grant, "it was not handed over", "Submit the job again.")
        return {grant.name: values[grant.name] for grant in grants}

    return read


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Where a job's worker has its values from."""

    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Variables that hold keys of its models, see `fix.keys`."""
    read: Read = field(default_factory=lambda: was_handed({}))


class Vault:
    """Of one job.

    Attributes:
        redactor: knows every value had so far.
        keys: the models' keys by their references, once the vault is open.
    """

    def __init__(self, spec: JobSpec, given: Given) -> None:
        self._spec = spec
        self._given = given
        self._known: tuple[str, ...] = ()
        self.redactor = NOTHING
        self.keys: Mapping[str, str] = {}

    def open(self) -> None:
        """Have the models' keys.

        Raises:
            ModelUnusable: one is not there, or not fit to be one.
        """
        if self._spec.fix is not None:
            self.keys = resolve(self._spec.fix, self._given.variables)
            self._learn(self.keys.values())

    def expose(self, phase: Phase) -> Exposure:
        """The secrets of a phase, looked up now.

        Raises:
            SecretUnusable: one is missing, empty or denied.
        """
        grants = of_phase(self._spec.secrets, phase)
        values = dict(self._given.read(grants)) if grants else dict[str, str]()
        self._learn(values.values())
        return Exposure(
            env=tuple(sorted(values.items())), redactor=self.redactor, known=self._known
        )

    def _learn(self, values: Iterable[str]) -> None:
        if new := tuple(values):
            self._known = tuple(dict.fromkeys((*self._known, *new)))
            self.redactor = Redactor(self._known)
