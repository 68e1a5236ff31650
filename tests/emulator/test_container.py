"""What a job's process sees, and what it may reach."""

from __future__ import annotations

import json
import sys

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloud import GROUP, Cloud, refusal


def test_the_environment_is_that_of_a_task_and_nothing_of_this_process(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_PERSON", "x")
    container = {"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    job_id = cloud.run(
        "env",
        container=container,
        containerOverrides={"environment": [{"name": "B", "value": "3"}]},
    )
    seen = dict(line.split("=", 1) for line in cloud.log(cloud.ended(job_id)))
    assert (seen["A"], seen["B"]) == ("1", "3")
    assert seen["AWS_BATCH_JOB_ID"] == job_id
    assert (seen["AWS_BATCH_JQ_NAME"], seen["AWS_BATCH_CE_NAME"]) == ("q", "ce1")
    assert (seen["AWS_BATCH_JOB_ATTEMPT"], seen["AWS_REGION"]) == ("1", "us-east-1")
    assert seen["AWS_ENDPOINT_URL"] == cloud.emulator.endpoint
    assert "SECRET_OF_THE_PERSON" not in seen
    assert "AWS_ACCESS_KEY_ID" not in seen


def test_each_job_has_a_home_and_a_working_folder_of_its_own(cloud: Cloud) -> None:
    script = 'pwd; echo "$HOME"; ls -A . "$HOME" | grep -v : ; touch here "$HOME/there"'
    first, second = (cloud.log(cloud.ended(cloud.run(script))) for _ in range(2))
    assert len(first) == len(second) == 2
    assert not {*first} & {*second}


def test_parameters_fill_the_command(cloud: Cloud) -> None:
    cloud.define(
        "d",
        container={"command": ["echo", "Ref::a", "x=Ref::b", "Ref::unknown"]},
        parameters={"a": "1", "b": "2"},
    )
    job = cloud.ended(cloud.submit("d", parameters={"b": "3"}))
    assert cloud.log(job) == ["1 x=3 Ref::unknown"]


def test_an_image_is_its_entry_point_unless_a_command_is_given(cloud: Cloud) -> None:
    cloud.define("d")
    assert cloud.log(cloud.ended(cloud.submit("d"))) == ["the entry point"]
    own = cloud.submit("d", containerOverrides={"command": ["echo", "mine"]})
    assert cloud.log(cloud.ended(own)) == ["mine"]


def test_an_unknown_image_cannot_be_pulled(cloud: Cloud) -> None:
    job = cloud.ended(cloud.run("true", container={"image": "nobody/knows:1"}))
    assert job["statusReason"].startswith("CannotPullContainerError")
    assert "nobody/knows:1" in job["statusReason"]


def test_a_command_that_is_not_there_cannot_start(cloud: Cloud) -> None:
    cloud.define("d", container={"command": ["/no/such/program"]})
    job = cloud.ended(cloud.submit("d"))
    assert job["container"]["reason"].startswith("CannotStartContainerError")
    assert "exitCode" not in job["container"]


def test_secrets_come_from_both_stores(cloud: Cloud) -> None:
    secret = cloud.client("secretsmanager").create_secret(
        Name="key", SecretString=json.dumps({"token": "sesame", "other": "x"})
    )
    cloud.client("ssm").put_parameter(Name="/a/b", Value="parameter", Type="SecureString")
    wanted = [
        {"name": "TOKEN", "valueFrom": f"{secret['ARN']}:token::"},
        {"name": "WHOLE", "valueFrom": secret["ARN"]},
        {"name": "PARAMETER", "valueFrom": "/a/b"},
    ]
    job = cloud.ended(
        cloud.run('echo "$TOKEN $PARAMETER"; echo "$WHOLE"', container={"secrets": wanted})
    )
    assert cloud.log(job) == ["sesame parameter", '{"token": "sesame", "other": "x"}']


def test_a_missing_secret_keeps_the_container_from_existing(cloud: Cloud) -> None:
    wanted = [{"name": "TOKEN", "valueFrom": "arn:aws:secretsmanager:us-east-1:1:secret:none"}]
    job = cloud.ended(cloud.run("true", container={"secrets": wanted}))
    assert job["statusReason"].startswith("ResourceInitializationError: unable to pull secrets")
    assert "exitCode" not in job["container"]
    assert "startedAt" not in job["attempts"][0]


def test_a_missing_log_group_keeps_the_container_from_existing(cloud: Cloud) -> None:
    cloud.logs.delete_log_group(logGroupName=GROUP)
    job = cloud.ended(cloud.run("true"))
    assert job["statusReason"].startswith("ResourceInitializationError: failed to validate logger")


_AS_THE_ROLE = """
import boto3, os, sys
s3 = boto3.client("s3")
print(boto3.client("sts").get_caller_identity()["Arn"].split("/")[1])
print(s3.put_object(Bucket="bucket", Key="jobs/1", Body=b"x")["ResponseMetadata"]["HTTPStatusCode"])
try:
    s3.put_object(Bucket="bucket", Key="packs/1", Body=b"x")
except Exception as exc:
    print(exc.response["Error"]["Code"])
"""


def a_role(cloud: Cloud) -> str:
    cloud.client("s3").create_bucket(Bucket="bucket")
    iam = cloud.client("iam")
    arn = iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    where = "arn:aws:s3:::bucket/jobs/*"
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": where}
    iam.put_role_policy(
        RoleName="worker",
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    return arn


def test_a_job_has_its_role_and_no_more(cloud: Cloud) -> None:
    cloud.define(
        "d",
        container={
            "jobRoleArn": a_role(cloud),
            "command": [sys.executable, "-I", "-c", _AS_THE_ROLE],
        },
    )
    cloud.emulator.control.answer("POST", "/emulator/permissions", "", b'{"enforced": true}', "")
    job_id = cloud.emulator.batch.answer(
        "POST", "/v1/submitjob", "", b'{"jobName": "j", "jobQueue": "q", "jobDefinition": "d"}'
    )["jobId"]
    cloud.wait(lambda: cloud.emulator.state.jobs[job_id].status.value in {"SUCCEEDED", "FAILED"})
    cloud.emulator.control.answer("POST", "/emulator/permissions", "", b'{"enforced": false}', "")
    assert cloud.log(cloud.job(job_id)) == ["worker", "200", "AccessDenied"]


def test_policies_hold_for_batch_as_well(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="dev")
    key = iam.create_access_key(UserName="dev")["AccessKey"]
    allowed = [
        {"Effect": "Allow", "Action": "batch:DescribeJobs", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "batch:SubmitJob",
            "Resource": ["arn:aws:batch:*:*:job-queue/q", "arn:aws:batch:*:*:job-definition/d:*"],
        },
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName="dev", PolicyName="p", PolicyDocument=policy)
    cloud.define("d", "true")
    cloud.define("other", "true")
    mine = cloud.client("batch", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    cloud.control("POST", "permissions", {"enforced": True})
    try:
        job_id = mine.submit_job(jobName="j", jobQueue="q", jobDefinition="d")["jobId"]
        assert mine.describe_jobs(jobs=[job_id])["jobs"]
        for denied in (
            lambda: mine.submit_job(jobName="j", jobQueue="q", jobDefinition="other"),
            lambda: mine.terminate_job(jobId=job_id, reason="x"),
            lambda: mine.terminate_jobs(jobs=[job_id], reason="x"),
            lambda: cloud.batch.describe_jobs(jobs=[job_id]),
        ):
            with pytest.raises(ClientError) as refused:
                denied()
            assert refusal(refused)[1] == 403
    finally:
        cloud.control("POST", "permissions", {"enforced": False})


def test_credentials_need_the_token_of_the_task(cloud: Cloud) -> None:
    job_id = cloud.run(
        'echo "$AWS_CONTAINER_CREDENTIALS_FULL_URI"; exec sleep 60',
        container={"jobRoleArn": a_role(cloud)},
    )
    task = cloud.until(job_id, "RUNNING")["container"]["taskArn"].rpartition("/")[2]
    with pytest.raises(OSError, match="403"):
        cloud.control("GET", f"credentials/{task}", Authorization="wrong")
    metadata = cloud.control("GET", f"v4/{task}/task")
    assert metadata["TaskARN"].endswith(task)
    assert metadata["LaunchType"] == "FARGATE"
