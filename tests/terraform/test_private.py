"""The private profile: no way to the internet, and with NAT only to the names that are allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.terraform.conftest import INFERENCE_PROFILE, MODEL, PARAMETER, SECRET
from tests.terraform.offline import Resources, Terraform, planned, variables


def endpoints(resources: Resources) -> dict[str, str]:
    """Service to kind of each endpoint."""
    return {
        one["service_name"].removeprefix("com.amazonaws.us-east-1."): one["vpc_endpoint_type"]
        for one in resources.of("aws_vpc_endpoint").values()
    }


def test_there_is_no_route_to_the_internet(private: Resources) -> None:
    counts = private.counts()
    absent = ("aws_route", "aws_internet_gateway", "aws_nat_gateway", "aws_eip")
    assert [kind for kind in absent if kind in counts] == []
    assert "cidr_ipv4" not in {
        key
        for rule in private.of("aws_vpc_security_group_egress_rule").values()
        for key, value in rule.items()
        if value
    }
    definitions = private.of("aws_batch_job_definition")
    assert set(definitions) == {'this["x86_64"]', 'this["arm64"]'}


def test_it_has_the_endpoints_that_fargate_needs_and_no_more(private: Resources) -> None:
    assert endpoints(private) == {
        "s3": "Gateway",
        "dynamodb": "Gateway",
        "ecr.api": "Interface",
        "ecr.dkr": "Interface",
        "logs": "Interface",
    }


def test_jobs_reach_endpoints_and_the_bucket_only(made_private: Resources) -> None:
    rules = made_private.of("aws_vpc_security_group_egress_rule")
    assert set(rules) == {"endpoints[0]", "s3[0]"}
    assert rules["s3[0]"]["prefix_list_id"]
    assert rules["endpoints[0]"]["referenced_security_group_id"]
    assert {(rule["from_port"], rule["to_port"]) for rule in rules.values()} == {(443, 443)}


def test_endpoints_hear_jobs_only(made_private: Resources) -> None:
    rule = made_private.one("aws_vpc_security_group_ingress_rule")
    groups = made_private.of("aws_security_group")
    assert rule["security_group_id"] == groups["endpoints[0]"]["id"]
    assert rule["referenced_security_group_id"] == groups["jobs"]["id"]
    assert (rule["cidr_ipv4"], rule["from_port"], rule["to_port"]) == (None, 443, 443)


def test_names_outside_are_refused_so_that_no_query_carries_data_out(private: Resources) -> None:
    lists = private.of("aws_route53_resolver_firewall_domain_list")
    assert all(".amazonaws.com" in name for name in lists["allowed[0]"]["domains"])
    assert lists["all[0]"]["domains"] == ["*"]
    rules = private.of("aws_route53_resolver_firewall_rule")
    assert {name: (rule["action"], rule["priority"]) for name, rule in rules.items()} == {
        "allowed[0]": ("ALLOW", 100),
        "rest[0]": ("BLOCK", 200),
    }
    config = private.one("aws_route53_resolver_firewall_config")
    assert config["firewall_fail_open"] == "DISABLED"


def test_nat_adds_one_gateway_and_the_names_asked_for(
    private: Resources, private_with_nat: Resources
) -> None:
    before, after = private.counts(), private_with_nat.counts()
    assert {kind: after[kind] - before.get(kind, 0) for kind in after} == dict.fromkeys(
        after, 0
    ) | {
        "aws_eip": 1,
        "aws_nat_gateway": 1,
        "aws_internet_gateway": 1,
        "aws_route": 2,
        "aws_route_table": 1,
        "aws_route_table_association": 1,
        "aws_subnet": 1,
        "aws_vpc_security_group_egress_rule": 1,
    }
    lists = private_with_nat.of("aws_route53_resolver_firewall_domain_list")
    assert "packages.example.com" in lists["allowed[0]"]["domains"]


def test_a_star_allows_every_name(module: Terraform) -> None:
    given = {"profile": "private", "nat_gateway": True, "dns_allowlist": ["*"]}
    counts = planned(module.plan(*variables(given))).counts()
    assert [kind for kind in counts if "firewall" in kind] == []


def test_subnets_of_jobs_and_gateway_do_not_overlap(private_with_nat: Resources) -> None:
    subnets = private_with_nat.of("aws_subnet")
    assert {name: one["cidr_block"] for name, one in subnets.items()} == {
        'jobs["us-east-1a"]': "10.40.0.0/19",
        'jobs["us-east-1b"]': "10.40.32.0/19",
        "nat[0]": "10.40.252.0/22",
    }


def test_more_services_are_reached_by_endpoints_of_their_own(module: Terraform) -> None:
    given = {"profile": "private", "interface_endpoints": ["sts"]}
    plan = planned(module.plan(*variables(given)))
    assert endpoints(plan)["sts"] == "Interface"
    names = plan.of("aws_route53_resolver_firewall_domain_list")["allowed[0]"]["domains"]
    assert "sts.us-east-1.amazonaws.com" in names


def test_with_secrets_their_endpoint_hands_out_these_and_nothing_else(module: Terraform) -> None:
    given = {
        "profile": "private",
        "interface_endpoints": ["secretsmanager"],
        "secrets": {"MODEL_KEY": SECRET},
    }
    endpoint = planned(module.plan(*variables(given))).of("aws_vpc_endpoint")[
        'interface["secretsmanager"]'
    ]
    [one] = json.loads(endpoint["policy"])["Statement"]
    assert (one["Action"], one["Resource"]) == ("secretsmanager:GetSecretValue", SECRET)


def test_an_endpoint_hands_out_the_keys_and_the_secrets_of_jobs(module: Terraform) -> None:
    other = SECRET.replace("keys", "tokens")
    given = {
        "profile": "private",
        "interface_endpoints": ["secretsmanager"],
        "secrets": {"MODEL_KEY": SECRET},
        "readable_secrets": [other],
    }
    endpoint = planned(module.plan(*variables(given))).of("aws_vpc_endpoint")[
        'interface["secretsmanager"]'
    ]
    statements = json.loads(endpoint["policy"])["Statement"]
    assert [one["Resource"] for one in statements] == [SECRET, other]


def test_with_secrets_the_names_of_their_services_are_resolved(module: Terraform) -> None:
    given = {"dns_allowlist": ["packages.example.com"], "secrets": {"MODEL_KEY": PARAMETER}}
    lists = planned(module.plan(*variables(given))).of("aws_route53_resolver_firewall_domain_list")
    assert "ssm.us-east-1.amazonaws.com" in lists["allowed[0]"]["domains"]


@pytest.mark.parametrize("asked_for", [[], ["bedrock-runtime"]])
def test_with_models_of_bedrock_one_endpoint_serves_these_and_nothing_else(
    module: Terraform, private: Resources, asked_for: list[str]
) -> None:
    given = {
        "profile": "private",
        "bedrock_models": [MODEL, INFERENCE_PROFILE],
        "interface_endpoints": asked_for,
    }
    plan = planned(module.plan(*variables(given)))
    assert endpoints(plan) == endpoints(private) | {"bedrock-runtime": "Interface"}
    endpoint = plan.of("aws_vpc_endpoint")['interface["bedrock-runtime"]']
    assert json.loads(endpoint["policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["bedrock:InvokeModelWithResponseStream", "bedrock:InvokeModel"],
            "Resource": [INFERENCE_PROFILE, MODEL],
            "Condition": {"StringEquals": {"aws:PrincipalAccount": "123456789012"}},
        }
    ]


@pytest.mark.parametrize(
    "given", [{"profile": "private"}, {"dns_allowlist": ["packages.example.com"]}]
)
def test_the_name_of_bedrock_is_resolved_only_with_models(
    module: Terraform, given: dict[str, Any]
) -> None:
    def names(**more: Any) -> set[str]:
        plan = planned(module.plan(*variables({**given, **more})))
        return set(plan.of("aws_route53_resolver_firewall_domain_list")["allowed[0]"]["domains"])

    assert names(bedrock_models=[MODEL]) - names() == {"bedrock-runtime.us-east-1.amazonaws.com"}


def test_economy_asks_bedrock_over_the_internet_and_makes_no_endpoint(
    module: Terraform, economy: Resources
) -> None:
    plan = planned(module.plan(*variables({"bedrock_models": [MODEL]})))
    before, after = economy.counts(), plan.counts()
    assert after == before | {"aws_iam_role_policy": before["aws_iam_role_policy"] + 1}
