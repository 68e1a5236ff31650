"""The default profile: nothing that costs while idle, nothing that can be reached from outside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.terraform.offline import Resources, Terraform, planned, variables

# Each type that a default deployment makes, and why it is free while no job runs.
FREE_WHILE_IDLE = {
    "aws_batch_compute_environment": 2,  # Fargate is billed by the task
    "aws_batch_job_definition": 2,
    "aws_batch_job_queue": 2,
    "aws_cloudwatch_event_rule": 1,  # events of AWS services are free
    "aws_cloudwatch_event_target": 1,
    "aws_cloudwatch_log_group": 1,  # billed by what is taken in and kept
    "aws_default_security_group": 1,
    "aws_ecr_lifecycle_policy": 1,
    "aws_ecr_repository": 1,  # billed by what is kept
    "aws_iam_policy": 1,
    "aws_iam_role": 2,
    "aws_iam_role_policy": 2,
    "aws_internet_gateway": 1,
    "aws_route": 1,
    "aws_route_table": 1,
    "aws_route_table_association": 2,
    "aws_s3_bucket": 1,  # billed by what is kept
    "aws_s3_bucket_lifecycle_configuration": 1,
    "aws_s3_bucket_ownership_controls": 1,
    "aws_s3_bucket_policy": 1,
    "aws_s3_bucket_public_access_block": 1,
    "aws_s3_bucket_server_side_encryption_configuration": 1,
    "aws_s3_bucket_versioning": 1,
    "aws_security_group": 1,
    "aws_sqs_queue": 1,  # billed by the request
    "aws_sqs_queue_policy": 1,
    "aws_subnet": 2,
    "aws_vpc": 1,
    "aws_vpc_endpoint": 2,  # gateway endpoints, see below
    "aws_vpc_security_group_egress_rule": 1,
}


def test_the_default_makes_only_what_is_free_while_idle(economy: Resources) -> None:
    assert economy.counts() == FREE_WHILE_IDLE
    kinds = {one["vpc_endpoint_type"] for one in economy.of("aws_vpc_endpoint").values()}
    assert kinds == {"Gateway"}


def test_nothing_runs_while_no_job_does(made_with_everything: Resources) -> None:
    resources = [
        one["compute_resources"][0]
        for one in made_with_everything.of("aws_batch_compute_environment").values()
    ]
    assert sorted((one["type"], one["min_vcpus"] or 0) for one in resources) == [
        ("EC2", 0),
        ("EC2", 0),
        ("FARGATE", 0),
        ("FARGATE_SPOT", 0),
    ]


def test_nothing_comes_in(economy: Resources) -> None:
    assert economy.of("aws_vpc_security_group_ingress_rule") == {}
    groups = economy.of("aws_security_group") | economy.of("aws_default_security_group")
    assert [one.get("ingress") for one in groups.values()] in ([None, None], [[], []])


def test_jobs_reach_https_only(economy: Resources) -> None:
    rule = economy.one("aws_vpc_security_group_egress_rule")
    assert {key: rule[key] for key in ("cidr_ipv4", "ip_protocol", "from_port", "to_port")} == {
        "cidr_ipv4": "0.0.0.0/0",
        "ip_protocol": "tcp",
        "from_port": 443,
        "to_port": 443,
    }


def test_only_tasks_get_a_public_address(economy: Resources, module: Terraform) -> None:
    def given(resources: Resources) -> set[bool]:
        return {one["map_public_ip_on_launch"] for one in resources.of("aws_subnet").values()}

    assert given(economy) == {False}
    # An EC2 instance only gets one from its subnet, and without it finds neither ECS nor its image.
    assert given(planned(module.plan("-var=ec2_queue=true"))) == {True}
    assert given(planned(module.plan("-var=ec2_queue=true", "-var=profile=private"))) == {False}


def test_a_list_of_names_works_in_economy_too(module: Terraform) -> None:
    plan = planned(module.plan(*variables({"dns_allowlist": ["packages.example.com"]})))
    allowed = plan.of("aws_route53_resolver_firewall_domain_list")["allowed[0]"]["domains"]
    region = "us-east-1.amazonaws.com"
    assert sorted(allowed) == sorted(
        [
            *(f"api.ecr.{region}", f"*.dkr.ecr.{region}", f"logs.{region}", f"dynamodb.{region}"),
            *(f"s3.{region}", f"*.s3.{region}", "s3.amazonaws.com", "*.s3.amazonaws.com"),
            "packages.example.com",
        ]
    )


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({"nat_gateway": True, "profile": "private", "dns_allowlist": ["a.io"]}, "aws_nat_gateway"),
        ({"monthly_budget_usd": 5, "budget_emails": ["a@example.org"]}, "aws_budgets_budget"),
        ({"gpu_queue": True}, "aws_launch_template"),
        ({"dns_allowlist": ["a.io"]}, "aws_route53_resolver_firewall_rule_group"),
        ({"audit": {}}, "aws_s3_bucket_object_lock_configuration"),
        ({"team_budget": True}, "aws_dynamodb_table"),
    ],
)
def test_what_is_off_by_default_can_be_turned_on(
    module: Terraform, economy: Resources, given: dict[str, Any], more: str
) -> None:
    assert more not in economy.counts()
    assert planned(module.plan(*variables(given))).counts()[more] == 1
