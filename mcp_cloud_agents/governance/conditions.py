"""What a rule of a policy may look at in a job, and which condition is the first not to hold.

Patterns are those of fnmatch, on the whole text: `*` matches anything, `/` too. Texts are compared
in Unicode's form NFC, so that what looks and means the same is the same; letters of other alphabets
that only look alike are not.
"""

from __future__ import annotations

import fnmatch
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

from msgspec import Meta

from mcp_cloud_agents.domain.budget import Usd
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.domain.money import micros_of, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.domain.decision import JobFacts

T = TypeVar("T")
_ANY_OF = Meta(min_length=1, max_length=64)
_MAX_SHOWN = 120

Pattern = Annotated[str, Meta(min_length=1, max_length=512)]
Patterns = Pattern | Annotated[tuple[Pattern, ...], _ANY_OF]
Hours = Annotated[str, Meta(min_length=11, max_length=11)]
"""`HH:MM-HH:MM`, the second not included; over midnight where it is the smaller one."""


class Day(StrEnum):
    """Of the week, by the person's clock at that moment."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The table `when` of a rule: what is not said holds, a list means any of it."""

    agent: Patterns | None = None
    kind: Kind | Annotated[tuple[Kind, ...], _ANY_OF] | None = None
    backend: Patterns | None = None
    engine: Engine | Annotated[tuple[Engine, ...], _ANY_OF] | None = None
    """Of a fix; other jobs have none."""
    cost_usd_above: Usd | None = None
    """The worst case, as it would be reserved."""
    timeout_minutes_above: Annotated[float, Meta(ge=0, le=1_440)] | None = None
    memory_mib_above: Annotated[int, Meta(ge=0, le=16_777_216)] | None = None
    vcpus_above: Annotated[float, Meta(ge=0, le=1_024)] | None = None
    attempts_above: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    network: bool | None = None
    """Whether the set-up reaches the network."""
    secrets: bool | Patterns | None = None
    """Whether it gets any; or patterns, one of which fits one of their names."""
    only_secrets: Patterns | None = None
    """Every secret it gets fits; one without secrets fits."""
    workspace: Patterns | None = None
    paths: Patterns | None = None
    """One of the paths it was asked for fits."""
    only_paths: Patterns | None = None
    """Every path fits; a job on the whole tree has none, and does not fit."""
    days: Day | Annotated[tuple[Day, ...], _ANY_OF] | None = None
    hours: Hours | Annotated[tuple[Hours, ...], _ANY_OF] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition held against a job."""

    name: str
    holds: bool
    has: str
    """What the job has, for people."""


def first_unmet(when: Conditions, facts: JobFacts) -> Check | None:
    """The first condition that does not hold, in the order of `Conditions`; None: all hold."""
    return next((check for check in _checks(when, facts) if not check.holds), None)


def several(value: T | tuple[T, ...] | None) -> tuple[T, ...]:
    """One, or any of several, as several."""
    if value is None:
        return ()
    return cast("tuple[T, ...]", value) if isinstance(value, tuple) else (value,)


def _checks(when: Conditions, facts: JobFacts) -> Iterator[Check]:
    """Every condition that is made, as it is asked for."""
    yield from _identity(when, facts)
    yield from _size(when, facts)
    yield from _reach(when, facts)
    day, _, clock = facts.local_time.partition(" ")
    if when.days is not None:
        yield Check(name="days", holds=day in several(when.days), has=day)
    if when.hours is not None:
        inside = any(_within(clock, span) for span in several(when.hours))
        yield Check(name="hours", holds=inside, has=clock)


def _identity(when: Conditions, facts: JobFacts) -> Iterator[Check]:
    if when.agent is not None:
        yield _fitting("agent", facts.agent, when.agent)
    if when.kind is not None:
        yield Check(name="kind", holds=facts.kind in several(when.kind), has=facts.kind)
    if when.backend is not None:
        yield _fitting("backend", facts.backend, when.backend)
    if when.engine is not None:
        holds = facts.engine in several(when.engine)
        yield Check(name="engine", holds=holds, has=facts.engine or "none")


def _size(when: Conditions, facts: JobFacts) -> Iterator[Check]:
    if when.cost_usd_above is not None:
        holds = facts.worst_micros > micros_of(when.cost_usd_above)
        yield Check(name="cost_usd_above", holds=holds, has=usd(facts.worst_micros))
    numbers = (
        ("timeout_minutes_above", when.timeout_minutes_above, facts.timeout_s / 60),
        ("memory_mib_above", when.memory_mib_above, facts.memory_mib),
        ("vcpus_above", when.vcpus_above, facts.vcpus),
        ("attempts_above", when.attempts_above, facts.attempts),
    )
    for name, bound, number in numbers:
        if bound is not None:
            yield Check(name=name, holds=number > bound, has=f"{number:g}")


def _reach(when: Conditions, facts: JobFacts) -> Iterator[Check]:
    if when.network is not None:
        holds = facts.network is when.network
        yield Check(name="network", holds=holds, has="true" if facts.network else "false")
    if isinstance(when.secrets, bool):
        yield Check(
            name="secrets", holds=bool(facts.secrets) is when.secrets, has=_list(facts.secrets)
        )
    elif when.secrets is not None:
        yield _any("secrets", facts.secrets, when.secrets)
    if when.only_secrets is not None:
        holds = all(fits(one, when.only_secrets) for one in facts.secrets)
        yield Check(name="only_secrets", holds=holds, has=_list(facts.secrets))
    if when.workspace is not None:
        yield _fitting("workspace", facts.workspace, when.workspace)
    if when.paths is not None:
        yield _any("paths", facts.paths, when.paths)
    if when.only_paths is not None:
        every = all(fits(one, when.only_paths) for one in facts.paths)
        yield Check(name="only_paths", holds=bool(facts.paths) and every, has=_list(facts.paths))


def _fitting(name: str, text: str, patterns: Patterns) -> Check:
    return Check(name=name, holds=fits(text, patterns), has=text)


def _any(name: str, texts: tuple[str, ...], patterns: Patterns) -> Check:
    return Check(name=name, holds=any(fits(one, patterns) for one in texts), has=_list(texts))


def fits(text: str, patterns: Patterns) -> bool:
    """Whether one of the patterns fits the whole text."""
    plain = unicodedata.normalize("NFC", text)
    return any(
        fnmatch.fnmatchcase(plain, unicodedata.normalize("NFC", one)) for one in several(patterns)
    )


def _list(texts: tuple[str, ...]) -> str:
    joined = ", ".join(texts) or "none"
    return joined if len(joined) <= _MAX_SHOWN else f"{joined[:_MAX_SHOWN]}…"


def _within(clock: str, span: str) -> bool:
    """Texts of one length compare as the times do."""
    start, _, end = span.partition("-")
    return start <= clock < end if start < end else clock >= start or clock < end
