"""What `doctor` finds in an account, and the remedy for what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from mcp_cloud_agents.backends.aws_batch.checks import Check, Checks
from mcp_cloud_agents.backends.aws_batch.clients import Clients
from mcp_cloud_agents.bootstrap.books import Principal
from mcp_cloud_agents.cli import doctor
from mcp_cloud_agents.cli.app import app
from mcp_cloud_agents.settings import AwsQueue, load
from tests.unit.backends.aws_batch.conftest import Cloud

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def found(cloud: Cloud, **changes: Any) -> dict[str, Check]:
    aws = replace(cloud.aws, **changes)
    return {check.name: check for check in await Checks(Clients(aws), aws).every()}


async def test_an_account_with_all_of_it_is_told_as_such(cloud: Cloud) -> None:
    checks = await found(cloud)
    assert {name: check.said for name, check in checks.items() if not check.ok} == {}
    assert list(checks) == [
        *("identity", "queue", "definition", "bucket", "writing"),
        *("log group", "listing", "events", "image", "quota"),
    ]
    assert "up to 64 vCPUs" in checks["queue"].said
    assert (await found(cloud))["writing"].ok, "the second time it is there already"


async def test_whoever_aws_takes_us_for_is_what_the_audit_is_told(cloud: Cloud) -> None:
    who = Principal(cloud.aws)
    assert who() == f"account {cloud.aws.account_id}"
    await Checks(Clients(cloud.aws), cloud.aws, met=who.meet).needed()
    assert who().startswith(f"arn:aws:sts::{cloud.aws.account_id}:")


@pytest.mark.parametrize(
    ("changes", "name", "said", "remedy"),
    [
        ({"account_id": "999999999999"}, "identity", "999999999999", "credentials_profile"),
        ({"queues": {AwsQueue.FARGATE: "gone"}}, "queue", "gone does not exist", "terraform"),
        ({"job_definitions": {"x86_64": "gone"}}, "definition", "gone does not", "configure aws"),
        ({"bucket": "somebody-elses"}, "bucket", "somebody-elses", "configure aws"),
        ({"log_group": "/gone"}, "log group", "/gone does not exist", "configure aws"),
        (
            {"events_queue_url": "http://127.0.0.1:9/123456789012/gone"},
            "events",
            "gone",
            "",
        ),
        (
            {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/worker:1"},
            "image",
            "was not pushed",
            "docs/aws.md",
        ),
    ],
)
async def test_what_is_missing_is_named_with_its_remedy(
    cloud: Cloud, changes: dict[str, Any], name: str, said: str, remedy: str
) -> None:
    check = (await found(cloud, **changes))[name]
    assert not check.ok
    assert said in check.said
    assert remedy in check.remedy


async def test_keys_of_models_have_to_be_in_the_container(cloud: Cloud) -> None:
    batch, name = cloud.client("batch"), cloud.aws.job_definitions["x86_64"]
    [plain] = batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    checks = Checks(Clients(cloud.aws), cloud.aws, ["MODEL_KEY"])
    missing = (await checks.every())[-1]
    arn = "arn:aws:ssm:us-east-1:123456789012:parameter/key"
    secrets = [{"name": "MODEL_KEY", "valueFrom": arn}]
    made = batch.register_job_definition(
        jobDefinitionName=name,
        type="container",
        platformCapabilities=plain["platformCapabilities"],
        containerProperties={**plain["containerProperties"], "secrets": secrets},
    )
    try:
        there = (await checks.every())[-1]
    finally:
        batch.deregister_job_definition(jobDefinition=made["jobDefinitionArn"])
    assert (missing.name, missing.ok) == ("model keys", False)
    assert "Containers do not get MODEL_KEY" in missing.said
    assert "`secrets` of the Terraform module" in missing.remedy
    assert (there.ok, there.said) == (True, "containers get MODEL_KEY")


async def test_disabled_environments_are_named(cloud: Cloud) -> None:
    batch = cloud.client("batch")
    name = "mcp-cloud-agents-fargate"
    batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
    try:
        check = (await found(cloud))["queue"]
    finally:
        batch.update_compute_environment(computeEnvironment=name, state="ENABLED")
    assert not check.ok
    assert f"{name} is DISABLED" in check.said
    assert "update-compute-environment" in check.remedy


async def test_a_missing_permission_is_named_with_action_and_resource(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="nobody")
    keys = iam.create_access_key(UserName="nobody")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    from mcp_cloud_agents.emulator import moto_seam

    moto_seam.enforce_permissions(enforced=True)
    try:
        check = (await found(cloud))["queue"]
    finally:
        moto_seam.enforce_permissions(enforced=False)
    assert not check.ok
    assert "user/nobody may not batch:DescribeJobQueues on" in check.said
    assert "Allow batch:DescribeJobQueues" in check.remedy


def test_the_doctor_tells_that_aws_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    settings = load({"HOME": "/nowhere"}, uid=1000)
    assert [finding.said for finding in doctor._aws(settings)] == [
        "not configured: jobs run on this machine (docs/aws.md)"
    ]


def test_the_doctor_tells_each_check_of_the_account(cloud: Cloud) -> None:
    settings = replace(load({"HOME": "/nowhere"}, uid=1000), aws=cloud.aws)
    findings = doctor._aws(settings)
    assert all(finding.ok for finding in findings)
    assert {finding.name for finding in findings} == {"aws"}
    assert findings[0].said.startswith("identity: arn:aws:")
    assert CliRunner().invoke(app, ["doctor", "--help"]).exit_code == 0
