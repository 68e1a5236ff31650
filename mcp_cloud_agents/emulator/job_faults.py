"""Bad days of single jobs: what goes wrong with which attempt.

Written as `kind key=value …`, several joined by ` + `, in the tag `emulator:fault` or the
variable `EMULATOR_FAULT` of a job, or in a rule that is posted to the control API:

    cannot_pull · resource_init · stuck · oom · reclaim · slow_start · log_delay · no_logs
    after=SECONDS  when, since RUNNING         attempts=1,2  which attempts; without it all
    by=SECONDS     how much slower or later    reason=TEXT   instead of the usual one, _ for space
    on=ec2         reclaim: the host is gone at once; without it, as Fargate Spot with a notice
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.job import Job

TAG, VARIABLE = "emulator:fault", "EMULATOR_FAULT"
_ENDS = ("cannot_pull", "resource_init", "oom", "reclaim")
KINDS = frozenset({*_ENDS, "stuck", "slow_start", "log_delay", "no_logs"})
_KEYS = frozenset({"after", "by", "attempts", "reason", "on"})


@dataclass(frozen=True, slots=True)
class JobFault:
    """One thing that goes wrong.

    Attributes:
        after_s: when, since RUNNING.
        by_s: how much slower or later.
        attempts: numbers; none given means all.
    """

    kind: str
    after_s: float = 0.0
    by_s: float = 1.0
    attempts: frozenset[int] = frozenset()
    reason: str | None = None
    host: bool = False

    def meets(self, attempt: int) -> bool:
        """Whether the attempt of this number has it."""
        return not self.attempts or attempt in self.attempts


def parse(text: str) -> tuple[JobFault, ...]:
    """Read the written form.

    Raises:
        Refused: it is not of this form.
    """
    return tuple(_one(part.split()) for part in text.split(" + ") if part.strip())


def _one(words: Sequence[str]) -> JobFault:
    kind, pairs = words[0], _pairs(words[1:])
    if kind not in KINDS or not pairs.keys() <= _KEYS:
        raise Refused(
            f"fault {' '.join(words)!r}: kinds are {', '.join(sorted(KINDS))};"
            f" keys are {', '.join(sorted(_KEYS))}"
        )
    try:
        return JobFault(
            kind=kind,
            after_s=float(pairs.get("after", 0)),
            by_s=float(pairs.get("by", 1)),
            attempts=frozenset(int(n) for n in pairs.get("attempts", "").split(",") if n),
            reason=pairs["reason"].replace("_", " ") if "reason" in pairs else None,
            host=pairs.get("on") == "ec2",
        )
    except ValueError as exc:
        raise Refused(f"fault {' '.join(words)!r}: {exc}") from exc


def _pairs(words: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


@dataclass(frozen=True, slots=True)
class JobRule:
    """A fault for all jobs that match, or for a share of their attempts.

    Attributes:
        job_name: a pattern.
        tags, environment: all of them, values are patterns.
        rate: 0 to 1; which attempts, follows from seed, job name, array index and attempt alone.
    """

    faults: tuple[JobFault, ...]
    job_name: str = "*"
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    rate: float = 1.0
    seed: int = 0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> JobRule:
        """From JSON: `fault` in the written form, and the fields of the class.

        Raises:
            Refused: a field is unknown, or the fault is not of its form.
        """
        fields = dict(given)
        faults = parse(str(fields.pop("fault", "")))
        if not faults:
            raise Refused("a job rule needs a fault")
        try:
            return cls(faults, **fields)
        except TypeError as exc:
            raise Refused(f"job rule: {exc}") from exc

    def meets(self, job: Job, attempt: int) -> bool:
        """Whether this attempt of this job has it."""
        request = job.request
        return (
            fnmatch.fnmatchcase(job.name, self.job_name)
            and _all_match(self.tags, request.tags)
            and _all_match(self.environment, request.environment)
            and chance(self.seed, job.name, job.index, attempt) < self.rate
        )


def chance(seed: int, *what: object) -> float:
    """A number in [0, 1) that follows from the seed and what it is about, and nothing else."""
    text = repr((seed, *what)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big") / (1 << 48)


def _all_match(patterns: Mapping[str, str], values: Mapping[str, str]) -> bool:
    return all(
        name in values and fnmatch.fnmatchcase(values[name], pattern)
        for name, pattern in patterns.items()
    )


class JobFaults:
    """All rules in force, and what the jobs themselves ask for."""

    def __init__(self) -> None:
        self.rules: tuple[JobRule, ...] = ()

    def of(self, job: Job, attempt: int) -> dict[str, JobFault]:
        """The faults of one attempt, by kind."""
        own = (job.request.tags.get(TAG), job.request.environment.get(VARIABLE))
        found = [one for text in own if text for one in parse(text)]
        found += [one for rule in self.rules if rule.meets(job, attempt) for one in rule.faults]
        return {one.kind: one for one in reversed(found) if one.meets(attempt)}
