"""The bucket of the audit: off by default; on, nobody who submits takes back what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.terraform.offline import Offline, Resources, Terraform, applied, planned, variables
from tests.terraform.policies import ACCOUNT, allow, policy_texts, statements

NAME = f"mcp-cloud-agents-audit-{ACCOUNT}-us-east-1"
ARN = f"arn:aws:s3:::{NAME}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/mcp-cloud-agents"


@pytest.fixture(scope="module")
def made(offline: Offline) -> Iterator[Terraform]:
    with offline.opened() as terraform:
        terraform.apply(*variables({"audit": {}}))
        yield terraform


@pytest.fixture(scope="module")
def resources(made: Terraform) -> Resources:
    return applied(made)


def test_it_is_not_there_by_default(economy: Resources) -> None:
    assert set(economy.of("aws_s3_bucket")) == {"this"}


def test_its_name_is_an_output(made: Terraform) -> None:
    assert made.outputs()["audit_bucket"] == NAME


@pytest.mark.parametrize(
    ("given", "mode", "days"),
    [
        ({}, "GOVERNANCE", 365),
        ({"mode": "compliance", "days": 2_555}, "COMPLIANCE", 2_555),
    ],
)
def test_each_object_is_locked_for_the_days_that_were_chosen(
    module: Terraform, given: dict[str, Any], mode: str, days: int
) -> None:
    plan = planned(module.plan(*variables({"audit": given})))
    lock = plan.one("aws_s3_bucket_object_lock_configuration")
    retention = lock["rule"][0]["default_retention"][0]
    assert (retention["mode"], retention["days"]) == (mode, days)
    bucket = plan.of("aws_s3_bucket")["audit[0]"]
    assert (bucket["object_lock_enabled"], bucket["force_destroy"]) == (True, False)


def test_destroy_never_empties_it(module: Terraform) -> None:
    plan = planned(module.plan(*variables({"audit": {}, "force_destroy": True})))
    forced = {name: one["force_destroy"] for name, one in plan.of("aws_s3_bucket").items()}
    assert forced == {"this": True, "audit[0]": False}


def test_it_is_private_encrypted_and_keeps_versions(resources: Resources) -> None:
    block = resources.of("aws_s3_bucket_public_access_block")["audit[0]"]
    assert all(block[one] for one in ("block_public_acls", "block_public_policy"))
    assert all(block[one] for one in ("ignore_public_acls", "restrict_public_buckets"))
    versioning = resources.of("aws_s3_bucket_versioning")["audit[0]"]
    assert versioning["versioning_configuration"][0]["status"] == "Enabled"
    assert "audit[0]" in resources.of("aws_s3_bucket_server_side_encryption_configuration")
    (rule,) = resources.of("aws_s3_bucket_lifecycle_configuration")["audit[0]"]["rule"]
    assert (rule["id"], rule["expiration"]) == ("leftovers", [])


def test_who_submits_adds_and_reads_and_nothing_else(resources: Resources) -> None:
    policy = statements(policy_texts(resources)["aws_iam_policy.submitter"])
    mine = {sid: one for sid, one in policy.items() if ARN in json.dumps(one)}
    assert mine == {
        "AddToTheAudit": allow(["s3:GetObject", "s3:PutObject"], [f"{ARN}/audit/*"]),
        "SeeTheAudit": allow(["s3:ListBucket"], [ARN]),
    }


def test_no_other_policy_allows_anything_there(resources: Resources) -> None:
    named = {address for address, text in policy_texts(resources).items() if ARN in text}
    assert named == {"aws_iam_policy.submitter", "aws_s3_bucket_policy.audit[0]"}


def test_it_refuses_jobs_plain_http_and_a_second_write(resources: Resources) -> None:
    policy = statements(policy_texts(resources)["aws_s3_bucket_policy.audit[0]"])
    everything = {"Effect": "Deny", "Action": ["s3:*"], "Resource": [ARN, f"{ARN}/*"]}
    jobs = policy.pop("NoJobs")
    assert sorted(jobs.pop("Principal")["AWS"]) == [
        f"{ROLE}-{name}-us-east-1" for name in ("execution", "job")
    ]
    assert jobs == everything
    assert policy == {
        "TlsOnly": everything
        | {"Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        "WriteOnce": {
            "Effect": "Deny",
            "Action": ["s3:PutObject"],
            "Resource": [f"{ARN}/*"],
            "Principal": "*",
            "Condition": {
                "Null": {"s3:if-none-match": "true"},
                "Bool": {"s3:ObjectCreationOperation": "true"},
            },
        },
    }
