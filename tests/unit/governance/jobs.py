"""Jobs that policies are asked about in tests, by hand and at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mcp_cloud_agents.domain.decision import JobFacts
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.governance.conditions import Conditions, Day
from mcp_cloud_agents.governance.policy import Effect, Policy, Rule

NAMES = st.sampled_from(["run_tests_cloud", "run_in_sandbox", "local", "aws_batch", "KEY", "é"])
PATHS = st.sampled_from(["/src/a", "/src/b/c", "a", "docs/x", "tests/unit/t.py", "e\u0301"])
PATTERNS = st.sampled_from(["*", "run_*", "local", "/src/*", "docs/*", "?", "[a-z]", "é", "KEY"])
SEVERAL = PATTERNS | st.lists(PATTERNS, min_size=1, max_size=3).map(tuple)
CLOCKS = st.builds(
    "{:02}:{:02}".format, st.integers(min_value=0, max_value=23), st.sampled_from([0, 1, 30, 59])
)
FACTS = st.builds(
    JobFacts,
    agent=NAMES,
    kind=st.sampled_from(Kind),
    backend=NAMES,
    worst_micros=st.integers(min_value=0, max_value=20_000_000),
    timeout_s=st.integers(min_value=1, max_value=86_400),
    memory_mib=st.integers(min_value=64, max_value=65_536),
    vcpus=st.sampled_from([0, 0.25, 2, 16]),
    network=st.booleans(),
    secrets=st.lists(NAMES, max_size=2).map(tuple),
    workspace=PATHS,
    paths=st.lists(PATHS, max_size=2).map(tuple),
    engine=st.none() | st.sampled_from(Engine),
    attempts=st.integers(min_value=1, max_value=5),
    local_time=st.builds("{} {}".format, st.sampled_from(Day), CLOCKS),
)
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "agent": SEVERAL,
    "kind": st.sampled_from(Kind),
    "backend": SEVERAL,
    "engine": st.sampled_from(Engine),
    "cost_usd_above": st.sampled_from([0, 1.5, 10]),
    "timeout_minutes_above": st.sampled_from([1, 60]),
    "memory_mib_above": st.sampled_from([1_024, 8_192]),
    "vcpus_above": st.just(1),
    "attempts_above": st.just(2),
    "network": st.booleans(),
    "secrets": st.booleans() | SEVERAL,
    "only_secrets": SEVERAL,
    "workspace": SEVERAL,
    "paths": SEVERAL,
    "only_paths": SEVERAL,
    "days": st.sampled_from(Day),
    "hours": st.builds("{}-{}".format, CLOCKS, CLOCKS),
}


@st.composite
def conditions(draw: st.DrawFn) -> Conditions:
    """At most two of them: with more a rule never fits."""
    names = draw(st.lists(st.sampled_from(sorted(BY_NAME)), max_size=2, unique=True))
    return Conditions(**{name: draw(BY_NAME[name]) for name in names})


RULES = st.builds(
    Rule,
    name=st.text("abc", min_size=1, max_size=6),
    decision=st.sampled_from(Effect),
    reason=st.sampled_from(["", "because"]),
    when=conditions(),
)
POLICIES = st.builds(
    Policy, rules=st.lists(RULES, max_size=5).map(tuple), default=st.sampled_from(Effect)
)


def a_job(
    *,
    backend: str = "local",
    cost_micros: int = 0,
    agent: str = "run_tests_cloud",
    workspace: str = "/home/me/project",
    paths: tuple[str, ...] = (),
    local_time: str = "mon 12:00",
) -> JobFacts:
    """A small job."""
    return JobFacts(
        agent=agent,
        kind=Kind.TESTS,
        backend=backend,
        worst_micros=cost_micros,
        timeout_s=1_800,
        memory_mib=4_096,
        vcpus=0,
        network=False,
        secrets=(),
        workspace=workspace,
        paths=paths,
        engine=None,
        attempts=1,
        local_time=local_time,
    )
