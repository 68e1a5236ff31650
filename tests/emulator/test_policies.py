"""Policies as IAM reads them: conditions, names with wildcards, and what AWS asks a policy for."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mcp_cloud_agents.emulator.policies import Keys, applies, conditions_met
from tests.emulator.cloud import Cloud, Json

KEYS: Keys = {
    "a:one": ("Red",),
    "a:many": ("x", "y"),
    "a:n": ("5",),
    "a:at": ("2026-01-02",),
    "a:ip": ("10.1.2.3",),
    "a:yes": ("true",),
}
BUCKET = "arn:aws:s3:::bucket"


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "met"),
    [
        ("StringEquals", "a:One", "Red", True),
        ("StringEquals", "a:one", ["blue", "Red"], True),
        ("StringEquals", "a:one", "red", False),
        ("StringEquals", "a:absent", "Red", False),
        ("StringEqualsIfExists", "a:absent", "Red", True),
        ("StringEqualsIfExists", "a:one", "blue", False),
        ("StringEqualsIgnoreCase", "a:one", "rED", True),
        ("StringNotEquals", "a:one", ["Red", "blue"], False),
        ("StringNotEquals", "a:absent", "Red", True),
        ("StringNotEqualsIgnoreCase", "a:one", "RED", False),
        ("StringLike", "a:one", "R?d", True),
        ("StringNotLike", "a:one", "R*", False),
        ("ArnLike", "a:one", "B*", False),
        ("Bool", "a:yes", "true", True),
        ("Bool", "a:yes", True, True),
        ("Bool", "a:yes", "false", False),
        ("Null", "a:absent", "true", True),
        ("Null", "a:absent", "false", False),
        ("Null", "a:one", True, False),
        ("Null", "a:one", "false", True),
        ("NumericLessThan", "a:n", "10", True),
        ("NumericGreaterThanEquals", "a:n", 6, False),
        ("NumericNotEquals", "a:n", "5.0", False),
        ("DateLessThan", "a:at", "2026-01-03T00:00:00Z", True),
        ("IpAddress", "a:ip", ["192.168.0.0/16", "10.0.0.0/8"], True),
        ("NotIpAddress", "a:ip", "10.1.2.3", False),
        ("ForAllValues:StringEquals", "a:many", ["x", "y", "z"], True),
        ("ForAllValues:StringEquals", "a:many", ["x"], False),
        ("ForAllValues:StringEquals", "a:absent", ["x"], True),
        ("ForAnyValue:StringEquals", "a:many", ["x"], True),
        ("ForAnyValue:StringEquals", "a:absent", ["x"], False),
        ("NoSuchOperator", "a:one", "Red", False),
    ],
)
def test_a_condition_is_met_as_iam_says(operator: str, key: str, wanted: object, met: bool) -> None:
    assert conditions_met({operator: {key: wanted}}, KEYS) is met


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, True),
        ({"Action": "S3:get*"}, True),
        ({"Action": "s3:Put*"}, False),
        ({"Resource": f"{BUCKET}/jobs/?"}, True),
        ({"Resource": f"{BUCKET}/JOBS/*"}, False),
        ({"Resource": "arn:aws:s3:::."}, False),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": ["*"]}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::1:user/a"}}, False),
        ({"Condition": {"Bool": {"a:yes": "false"}}}, False),
        ({"Condition": {"Bool": {"a:yes": "true"}, "Null": {"a:n": "true"}}}, False),
    ],
)
def test_a_statement_is_for_its_actions_resources_and_principals(
    changes: Json,
    said: bool,
) -> None:
    statement: Json = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["*"], **changes}
    assert applies(statement, "s3:GetObject", f"{BUCKET}/jobs/a", KEYS) is said


def test_a_statement_can_name_what_it_is_not_for() -> None:
    statement = {"Effect": "Deny", "NotAction": "s3:Get*", "NotResource": f"{BUCKET}/jobs/*"}
    asked = [("s3:PutObject", "x"), ("s3:GetObject", "x"), ("s3:PutObject", "jobs/a")]
    assert [applies(statement, one, f"{BUCKET}/{key}", {}) for one, key in asked] == [
        True,
        False,
        False,
    ]


def deny(action: str, **conditions: Json) -> str:
    """A bucket policy that forbids everybody something."""
    statement = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": action, "Resource": "*"}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [statement | {"Condition": conditions}]}
    )


def test_a_bucket_for_tls_only_can_be_used_over_loopback(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="tls")
    s3.put_bucket_policy(Bucket="tls", Policy=deny("s3:*", Bool={"aws:SecureTransport": "false"}))
    s3.put_object(Bucket="tls", Key="k", Body=b"x")
    with s3.get_object(Bucket="tls", Key="k")["Body"] as body:
        assert body.read() == b"x"


def test_a_bucket_can_refuse_puts_without_a_condition(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="once")
    conditions = {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }
    s3.put_bucket_policy(Bucket="once", Policy=deny("s3:PutObject", **conditions))
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket="once", Key="k", Body=b"x")
    s3.put_object(Bucket="once", Key="k", Body=b"x", IfNoneMatch="*")
    parts = s3.create_multipart_upload(Bucket="once", Key="large")
    upload = {"Bucket": "once", "Key": "large", "UploadId": parts["UploadId"]}
    tag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    whole = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}}
    with pytest.raises(ClientError, match="403"):
        s3.complete_multipart_upload(**upload, **whole)
    s3.complete_multipart_upload(**upload, **whole, IfNoneMatch="*")


@contextmanager
def somebody_who_may(cloud: Cloud, *statements: Json) -> Generator[dict[str, Any]]:
    """Keys of a user with this policy alone, while policies hold."""
    iam = cloud.client("iam")
    iam.create_user(UserName="somebody")
    key = iam.create_access_key(UserName="somebody")["AccessKey"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]}
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=json.dumps(policy))
    cloud.control("POST", "permissions", {"enforced": True})
    try:
        yield {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    finally:
        cloud.control("POST", "permissions", {"enforced": False})


def test_ending_jobs_can_depend_on_their_tags(cloud: Cloud) -> None:
    cloud.define("d", "exec sleep 60")
    mine, foreign = cloud.submit("d", tags={"mine:job": "1"}), cloud.submit("d")
    condition = {"Null": {"aws:ResourceTag/mine:job": "false"}}
    may = {"Action": "batch:TerminateJob", "Resource": "*", "Condition": condition}
    with somebody_who_may(cloud, may) as keys:
        batch = cloud.client("batch", **keys)
        batch.terminate_jobs(jobs=[mine], reason="x")
        with pytest.raises(ClientError, match="AccessDenied"):
            batch.terminate_jobs(jobs=[mine, foreign], reason="x")
    assert (cloud.ended(mine)["status"], cloud.job(foreign)["isTerminated"]) == ("FAILED", False)


def test_a_policy_can_name_streams_and_repositories(cloud: Cloud) -> None:
    logs, ecr = cloud.client("logs"), cloud.client("ecr")
    for group in ("/mine", "/other"):
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        ecr.create_repository(repositoryName=group[1:])
    read = {"Action": "logs:GetLogEvents", "Resource": "arn:*:log-group:/mine:log-stream:*"}
    look = {"Action": "ecr:DescribeImages", "Resource": "arn:aws:ecr:*:repository/mine"}
    with somebody_who_may(cloud, read, look) as keys:
        logs, ecr = cloud.client("logs", **keys), cloud.client("ecr", **keys)
        logs.get_log_events(logGroupName="/mine", logStreamName="s")
        ecr.describe_images(repositoryName="mine")
        with pytest.raises(ClientError, match="AccessDenied"):
            logs.get_log_events(logGroupName="/other", logStreamName="s")
        with pytest.raises(ClientError, match="AccessDenied"):
            ecr.describe_images(repositoryName="other")


def test_looking_at_a_bucket_needs_the_permission_to_list_it(cloud: Cloud) -> None:
    cloud.client("s3").create_bucket(Bucket="bucket")
    cloud.client("s3").create_bucket(Bucket="other")
    with somebody_who_may(cloud, {"Action": "s3:ListBucket", "Resource": BUCKET}) as keys:
        s3 = cloud.client("s3", **keys)
        s3.head_bucket(Bucket="bucket")
        with pytest.raises(ClientError, match="403"):
            s3.head_bucket(Bucket="other")


def test_many_messages_are_deleted_with_the_permission_for_one(cloud: Cloud) -> None:
    url = cloud.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    entries = [{"Id": "1", "ReceiptHandle": "none"}]
    with somebody_who_may(cloud, {"Action": "sqs:DeleteMessage", "Resource": "*"}) as keys:
        sqs = cloud.client("sqs", **keys)
        told = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        with pytest.raises(ClientError, match="AccessDenied"):
            sqs.receive_message(QueueUrl=url)
    assert [one["Id"] for one in told["Failed"]] == ["1"]
