"""Who gets a secret: the subagent is named, the worktree is, and a person trusts what is run."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from mcp_cloud_agents.domain.errors import SecretUnusable
from mcp_cloud_agents.domain.secret import Phase, SecretGrant, SecretTable
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.governance.secret_grants import (
    SecretRules,
    environment_variables,
    grants_for,
    of_phase,
    with_secrets,
)
from tests.unit.conftest import SPEC

OPEN = SecretTable(source="env:TOKEN", agents=("run_tests_*",))
BOUND = SecretTable(
    source="aws-sm:team/db#password",
    agents=("*",),
    phases=(Phase.SETUP, Phase.RUN),
    workspaces=("/home/me/src/*",),
)
TABLES = {"TOKEN": OPEN, "DB": BOUND}
KEY = "a" * 64


@pytest.mark.parametrize(
    ("agent", "workspace", "trusted", "names"),
    [
        ("run_tests_cloud", "/home/me/src/app", True, ["DB", "TOKEN"]),
        ("run_tests_cloud", "/home/me/src/app", False, ["DB"]),
        ("run_tests_cloud", "/tmp/clone", True, ["TOKEN"]),
        ("run_tests_cloud", "/tmp/clone", False, []),
        ("fix_in_sandbox", "/tmp/clone", True, []),
        ("fix_in_sandbox", "/home/me/src", True, []),
    ],
)
def test_a_secret_goes_to_named_subagents_on_named_or_trusted_trees(
    agent: str, workspace: str, trusted: bool, names: list[str]
) -> None:
    grants = grants_for(TABLES, agent, workspace, trusted=trusted)
    assert [grant.name for grant in grants] == names


def test_a_grant_carries_name_reference_and_phases_alone() -> None:
    [grant] = grants_for({"DB": BOUND}, "any", "/home/me/src/app", trusted=False)
    assert grant == SecretGrant(
        name="DB", source="aws-sm:team/db#password", phases=(Phase.SETUP, Phase.RUN)
    )
    assert of_phase([grant], Phase.SETUP) == (grant,)
    assert of_phase([replace(grant, phases=(Phase.RUN,))], Phase.SETUP) == ()


def test_trust_is_asked_for_only_where_it_decides() -> None:
    asked = list[str]()

    def trusted(_: object) -> bool:
        asked.append("asked")
        return True

    snapshot = replace(
        SPEC.snapshot, origin=replace(SPEC.snapshot.origin, workspace="/home/me/src/app")
    )
    assert len(SecretRules(tables=lambda: {"DB": BOUND}, trusted=trusted)("any", snapshot)) == 1
    assert asked == []
    assert (
        len(SecretRules(tables=lambda: TABLES, trusted=trusted)("run_tests_cloud", snapshot)) == 2
    )
    assert asked == ["asked"]


def test_a_file_of_this_machine_is_refused_for_jobs_elsewhere() -> None:
    table = SecretTable(source="file:~/token", agents=("*",), workspaces=("*",))
    rules = SecretRules(tables=lambda: {"T": table}, trusted=lambda _: False, elsewhere=True)
    with pytest.raises(SecretUnusable, match="file:~/token, a file of this machine"):
        rules("any", SPEC.snapshot)


def test_an_environment_made_with_secrets_is_for_jobs_with_the_same_alone() -> None:
    plan = SetupPlan(commands=("make deps",), key=KEY)
    setup = SecretGrant(name="A", source="env:A", phases=(Phase.SETUP,))
    run = SecretGrant(name="A", source="env:A", phases=(Phase.RUN,))
    assert with_secrets(plan, ()) is plan
    assert with_secrets(plan, (run,)) is plan
    keys = {
        with_secrets(plan, (grant,)).key
        for grant in (setup, replace(setup, name="B"), replace(setup, source="env:B"))
    }
    assert len(keys | {KEY}) == 4
    assert with_secrets(SetupPlan(), (setup,)) == SetupPlan()


def test_only_sources_in_the_environment_name_variables() -> None:
    grants = [
        SecretGrant(name=str(number), source=source, phases=(Phase.RUN,))
        for number, source in enumerate(("env:A", "aws-ssm:/b", "env:A", "file:/c", "env:D"))
    ]
    assert environment_variables(grants) == ("A", "D")


@pytest.mark.parametrize("source", ["plain-value", "env:", "env:A B", "aws-sm:", "file:relative"])
def test_what_is_no_reference_is_refused_by_the_table(source: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"source": source, "agents": ["*"]}, SecretTable)
