"""Reading policy files: what is refused and where, and that the documentation's examples hold."""

from __future__ import annotations

import hashlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

import mcp_cloud_agents
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.governance.conditions import Conditions
from mcp_cloud_agents.governance.policy import Effect, Policy, Rule
from mcp_cloud_agents.governance.policy_tests import SampleJob, outcomes
from mcp_cloud_agents.governance.policy_text import parse_policy

DOCS = Path(mcp_cloud_agents.__file__).parent.parent / "docs/policy.md"
TEXT = DOCS.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^### (\d+)\. [^\n]+\n\n```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
RULE = "[[rules]]\nname = 'a'\ndecision = 'deny'\n"


def test_the_documentation_has_ten_examples() -> None:
    assert [number for number, _ in EXAMPLES] == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("text", [text for _, text in EXAMPLES])
def test_each_example_of_the_documentation_passes_its_tests(text: str) -> None:
    policy, tests = parse_policy(text.encode(), file="example")
    assert len(tests) >= 2
    assert [one for one in outcomes(policy, tests) if not one.passed] == []


def test_each_condition_and_each_fact_is_documented() -> None:
    conditions = TEXT.partition("### Conditions\n")[2].partition("\n### ")[0]
    told = re.findall(r"^\| `(\w+)` \|", conditions, re.MULTILINE)
    assert told == [one.name for one in fields(Conditions)]
    row = next(line for line in TEXT.splitlines() if line.startswith("| `job` |"))
    assert set(re.findall(r"`(\w+)`", row)) - {"job"} == {one.name for one in fields(SampleJob)}


def test_a_policy_is_read_with_the_digest_of_its_bytes() -> None:
    data = f"default = 'ask'\n{RULE}when = {{ agent = ['x', 'y*'] }}\n".encode()
    policy, tests = parse_policy(data, file="f")
    assert tests == ()
    assert policy == Policy(
        rules=(Rule(name="a", decision=Effect.DENY, when=Conditions(agent=("x", "y*"))),),
        default=Effect.ASK,
        digest=hashlib.sha256(data).hexdigest(),
        file="f",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("defult = 'deny'", "f, line 1, column 1: unknown key 'defult'"),
        ("default = 'maybe'", "f, line 1, column 11: wrong value for 'default'"),
        (
            "[[rules]]\nname = 'a'",
            "f, line 1, column 1: wrong value for 'rules[0]': Object missing",
        ),
        (RULE + "when = { agents = 'x' }", "f, line 4, column 10: unknown key 'rules[0].when.age"),
        (RULE + "when = { cost_usd_above = -1 }", "f, line 4, column 27:"),
        (RULE + "when = { cost_usd_above = 1e12 }", "f, line 4, column 27:"),
        (RULE + "when = { cost_usd_above = inf }", "f, line 4, column 27: not valid TOML: inf"),
        (RULE + "when = { memory_mib_above = 1.5 }", "f, line 4, column 29:"),
        (RULE + "when = { memory_mib_above = true }", "f, line 4, column 29:"),
        (RULE + "when = { network = 'yes' }", "f, line 4, column 20:"),
        (RULE + "when = { agent = [] }", "f, line 4, column 18:"),
        (RULE + "when = { agent = ['x', 1] }", "f, line 4, column 24:"),
        (RULE + "when = { days = 'monday' }", "f, line 4, column 17:"),
        (RULE + "when = { hours = '22:00-25:00' }", "f, line 4, column 18: '22:00-25:00' is no"),
        (RULE + "when = { hours = '06:00-06:00' }", "f, line 4, column 18: '06:00-06:00' is no"),
        (RULE + "when = { workspace = '~/src/*' }", "column 22: '~/src/*' fits no workspace"),
        (RULE + "when = { paths = ['a', '/src'] }", "column 24: '/src' fits no path"),
        (RULE + "when = { only_paths = 'a/../b' }", "column 23: 'a/../b' fits no path"),
        (RULE + RULE, "f, line 5, column 8: the name 'a' is taken"),
        ("[[rules]]\nname = 'default'\ndecision = 'ask'", "the name 'default' is taken"),
        ("[[tests]]\nname = 't'\nexpect = 'ask'\nrule = 'b'", "f, line 4, column 8: there is no"),
        ("[[tests]]\nname = 't'\nexpect = 'ask'\njob = {time = 'noon'}", "f, line 4, column 15:"),
        ("x = ", "f, line 1, column 5: not valid TOML"),
    ],
)
def test_a_mistake_is_told_with_line_and_column(text: str, told: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse_policy(text.encode(), file="f")
    assert told in caught.value.message


def test_a_test_that_fails_tells_what_was_expected_and_what_came() -> None:
    text = RULE + "[[tests]]\nname = 't'\nexpect = 'deny'\nrule = 'default'\n"
    (outcome,) = outcomes(*parse_policy(text.encode(), file="f"))
    assert (outcome.passed, outcome.expected, outcome.got) == (
        False,
        "deny by default",
        "deny by a",
    )
