"""The table that a team counts its money in, and who may write there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ledgers import TEAM, check, dynamo, limit, order
from tests.terraform.account import an_account
from tests.terraform.offline import Offline, Resources, Terraform, planned, variables
from tests.terraform.policies import ACCOUNT, allow, policy_texts, statements

TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/mcp-cloud-agents-team"


@pytest.fixture(scope="module")
def table(module: Terraform) -> dict[str, Any]:
    return planned(module.plan("-var=team_budget=true")).one("aws_dynamodb_table")


def test_the_table_costs_nothing_while_nobody_asks(table: dict[str, Any]) -> None:
    assert (table["name"], table["billing_mode"]) == ("mcp-cloud-agents-team", "PAY_PER_REQUEST")
    assert (table["hash_key"], table["range_key"]) == ("pk", None)
    assert table["attribute"] == [{"name": "pk", "type": "S"}]
    assert not table["global_secondary_index"]


def test_what_was_spent_is_not_lost_by_a_mistake(module: Terraform, table: dict[str, Any]) -> None:
    assert [one["enabled"] for one in table["point_in_time_recovery"]] == [True]
    assert table["deletion_protection_enabled"]
    given = variables({"team_budget": True, "force_destroy": True})
    gone = planned(module.plan(*given)).one("aws_dynamodb_table")
    assert not gone["deletion_protection_enabled"]


def test_only_reservations_that_ended_are_forgotten(table: dict[str, Any]) -> None:
    (ttl,) = table["ttl"]
    assert (ttl["attribute_name"], ttl["enabled"]) == ("remove_at", True)


def test_who_submits_counts_in_this_table_alone_and_jobs_do_not(
    made_with_everything: Resources, made_default: Resources
) -> None:
    texts = policy_texts(made_with_everything)
    counts = ["BatchGetItem", "PutItem", "UpdateItem", "Scan"]
    assert statements(texts["aws_iam_policy.submitter"])["CountWithTheTeam"] == allow(
        [f"dynamodb:{one}" for one in counts], [TABLE]
    )
    about_tables = {
        address
        for address, text in texts.items()
        if "dynamodb:" in text and "aws_vpc_endpoint" not in address
    }
    assert about_tables == {"aws_iam_policy.submitter"}
    assert "dynamodb:" not in policy_texts(made_default)["aws_iam_policy.submitter"]


@pytest.mark.timeout(120)
def test_a_team_counts_in_the_table_that_was_applied(
    offline: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with an_account("--bootstrap", "--team-budget") as emulated:
        own = emulated.outputs["team_budget_table"]["value"]
        emulated.reset()
        for name, value in emulated.environment.items():
            monkeypatch.setenv(name, value)
        with offline.opened(AWS_ENDPOINT_URL=emulated.endpoint) as terraform:
            given = variables({"team_budget": True, "force_destroy": True})
            terraform.apply(*given)
            name = terraform.outputs()["team_budget_table"]
            ledger = dynamo(emulated.endpoint, name)
            ledger.reserve([order("j1", 30, limit(TEAM))])
            room = check(ledger, TEAM)
            terraform.destroy(*given)
        left = emulated.client("dynamodb").list_tables()["TableNames"]
    assert (own, list(room.values()), left) == (name, [(70, 0, 30)], [])
