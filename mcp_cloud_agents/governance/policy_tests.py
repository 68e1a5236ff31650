"""The tests that a policy file carries: jobs, and what shall be decided about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from mcp_cloud_agents.domain.budget import Usd
from mcp_cloud_agents.domain.decision import JobFacts
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.domain.money import micros_of
from mcp_cloud_agents.governance.policy import Effect, Policy, decide, effect_of

if TYPE_CHECKING:
    from collections.abc import Iterable

Text = Annotated[str, Meta(max_length=4_096)]
LocalTime = Annotated[
    str, Meta(pattern=r"^(mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):[0-5][0-9]$")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleJob:
    """A job to ask a policy about; what is not said is that of a small one on this machine."""

    agent: Text = "run_tests_cloud"
    kind: Kind = Kind.TESTS
    backend: Text = "local"
    engine: Engine | None = None
    cost_usd: Usd = 0
    timeout_minutes: Annotated[float, Meta(gt=0, le=1_440)] = 30
    memory_mib: Annotated[int, Meta(ge=1, le=16_777_216)] = 4_096
    vcpus: Annotated[float, Meta(ge=0, le=1_024)] = 0
    attempts: Annotated[int, Meta(ge=1, le=1_000)] = 1
    network: bool = False
    secrets: tuple[Text, ...] = ()
    workspace: Text = "/home/me/project"
    paths: tuple[Text, ...] = ()
    time: LocalTime = "mon 12:00"

    def facts(self) -> JobFacts:
        """As rules see it."""
        return JobFacts(
            agent=self.agent,
            kind=self.kind,
            backend=self.backend,
            worst_micros=micros_of(self.cost_usd),
            timeout_s=round(self.timeout_minutes * 60),
            memory_mib=self.memory_mib,
            vcpus=self.vcpus,
            network=self.network,
            secrets=self.secrets,
            workspace=self.workspace,
            paths=self.paths,
            engine=self.engine,
            attempts=self.attempts,
            local_time=self.time,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTest:
    """One `[[tests]]`."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    expect: Effect
    rule: str | None = None
    """The rule that shall decide; None: any."""
    job: SampleJob = field(default_factory=SampleJob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a test went."""

    name: str
    passed: bool
    expected: str
    got: str


def outcomes(policy: Policy, tests: Iterable[PolicyTest]) -> tuple[Outcome, ...]:
    """Each test held against the policy."""
    return tuple(_outcome(policy, test) for test in tests)


def _outcome(policy: Policy, test: PolicyTest) -> Outcome:
    got = decide(policy, test.job.facts())
    right_rule = test.rule is None or test.rule == got.rule
    return Outcome(
        name=test.name,
        passed=effect_of(got) is test.expect and right_rule,
        expected=_told(test.expect, test.rule),
        got=_told(effect_of(got), got.rule),
    )


def _told(effect: Effect, rule: str | None) -> str:
    return str(effect) if rule is None else f"{effect} by {rule}"
