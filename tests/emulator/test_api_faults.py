"""Bad days of the API, and the call log."""

from __future__ import annotations

import urllib.error
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.emulator.cloud import Cloud, refusal

ONCE = Config(retries={"total_max_attempts": 1})


def rules(cloud: Cloud, *given: dict[str, Any]) -> None:
    cloud.control("POST", "faults", {"api": list(given)})


@pytest.mark.parametrize(
    ("service", "call", "given", "code"),
    [
        ("batch", "describe_jobs", {"jobs": ["x"]}, ("TooManyRequestsException", 429)),
        ("s3", "list_buckets", {}, ("SlowDown", 503)),
        ("logs", "describe_log_groups", {}, ("ThrottlingException", 400)),
        ("sts", "get_caller_identity", {}, ("Throttling", 400)),
        ("dynamodb", "list_tables", {}, ("ThrottlingException", 400)),
    ],
)
def test_every_service_throttles_in_its_own_words(
    cloud: Cloud, service: str, call: str, given: dict[str, Any], code: tuple[str, int]
) -> None:
    rules(cloud, {"kind": "throttle", "service": service})
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client(service, config=ONCE), call)(**given)
    assert refusal(refused) == code


def test_a_lost_answer_did_the_work(cloud: Cloud) -> None:
    rules(cloud, {"kind": "lost_answer", "service": "batch", "action": "SubmitJob", "times": 1})
    definition = cloud.define("d", "true")
    client = cloud.client("batch", config=ONCE)
    with pytest.raises(ClientError) as refused:
        client.submit_job(jobName="mca-1", jobQueue="q", jobDefinition=definition)
    assert refusal(refused) == ("InternalError", 500)
    filters = [{"name": "JOB_NAME", "values": ["mca-1"]}]
    (found,) = client.list_jobs(jobQueue="q", filters=filters)["jobSummaryList"]
    assert cloud.ended(found["jobId"])["status"] == "SUCCEEDED"


def test_a_dropped_connection_did_the_work_too(cloud: Cloud) -> None:
    rules(cloud, {"kind": "dropped", "service": "s3", "action": "CreateBucket"})
    with pytest.raises(ConnectionClosedError):
        cloud.client("s3", config=ONCE).create_bucket(Bucket="made")
    cloud.client("s3").head_bucket(Bucket="made")
    assert cloud.emulator.calls.seen("s3", "CreateBucket")[0].status == 0


def test_every_nth_call_is_met(cloud: Cloud) -> None:
    rules(cloud, {"kind": "error", "action": "DescribeJobs", "every": 3})
    client = cloud.client("batch", config=ONCE)
    met: list[int] = []
    for number in range(1, 8):
        try:
            client.describe_jobs(jobs=["x"])
        except ClientError:
            met.append(number)
    assert met == [3, 6]


def test_a_rate_meets_the_same_calls_for_the_same_seed(cloud: Cloud) -> None:
    def statuses(seed: int) -> list[int]:
        rules(cloud, {"kind": "error", "action": "DescribeJobs", "rate": 0.5, "seed": seed})
        cloud.emulator.calls.clear()
        client = cloud.client("batch", config=ONCE)
        for _ in range(20):
            try:
                client.describe_jobs(jobs=["x"])
            except ClientError:
                continue
        return [call.status for call in cloud.emulator.calls.seen("batch", "DescribeJobs")]

    first = statuses(1)
    assert {200, 500} == set(first)
    assert statuses(1) == first
    assert statuses(2) != first


def test_a_token_bucket_lets_its_burst_through(cloud: Cloud) -> None:
    rules(cloud, {"kind": "throttle", "tokens_per_s": 0.001, "burst": 2, "service": "batch"})
    client = cloud.client("batch", config=ONCE)
    client.describe_jobs(jobs=["x"])
    client.describe_jobs(jobs=["x"])
    with pytest.raises(ClientError) as refused:
        client.describe_jobs(jobs=["x"])
    assert refusal(refused) == ("TooManyRequestsException", 429)
    client.list_jobs(jobQueue="q")  # a bucket for each action


def test_an_upload_that_is_refused_is_answered_and_not_cut_off(cloud: Cloud) -> None:
    rules(cloud, {"kind": "error", "service": "s3", "action": "PutObject", "code": "Busy"})
    with pytest.raises(ClientError) as refused:
        cloud.client("s3", config=ONCE).put_object(Bucket="x", Key="k", Body=b"x" * 5_000_000)
    assert refusal(refused) == ("Busy", 500)


@pytest.mark.parametrize(
    "given",
    [
        {"api": [{"kind": "rain"}]},
        {"api": [{"kind": "error", "colour": "red"}]},
        {"jobs": [{"rate": 1}]},
        {"weather": []},
    ],
)
def test_rules_that_make_no_sense_change_nothing(cloud: Cloud, given: dict[str, Any]) -> None:
    rules(cloud, {"kind": "error", "action": "DescribeJobs"})
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        cloud.control("POST", "faults", given)
    refused.value.close()
    assert len(cloud.emulator.control.api_faults.rules) == 1


def test_calls_are_logged_by_their_names(cloud: Cloud) -> None:
    s3, sqs, table = cloud.client("s3"), cloud.client("sqs"), cloud.client("dynamodb")
    cloud.control("DELETE", "calls")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a/b", Body=b"x")
    s3.copy_object(Bucket="bucket", Key="c", CopySource="bucket/a/b")
    s3.get_object(Bucket="bucket", Key="a/b")["Body"].close()
    s3.head_object(Bucket="bucket", Key="a/b")
    s3.list_objects_v2(Bucket="bucket")
    upload = s3.create_multipart_upload(Bucket="bucket", Key="big")["UploadId"]
    s3.upload_part(Bucket="bucket", Key="big", PartNumber=1, UploadId=upload, Body=b"x")
    s3.abort_multipart_upload(Bucket="bucket", Key="big", UploadId=upload)
    sqs.create_queue(QueueName="q")
    table.list_tables()
    cloud.client("sts").get_caller_identity()
    cloud.batch.list_jobs(jobQueue="q")
    counts = cloud.control("GET", "calls")["counts"]
    assert counts == {
        **dict.fromkeys(("batch:ListJobs", "dynamodb:ListTables", "sqs:CreateQueue"), 1),
        **dict.fromkeys(("s3:CreateBucket", "s3:PutObject", "s3:CopyObject", "s3:GetObject"), 1),
        **dict.fromkeys(("s3:HeadObject", "s3:ListObjectsV2", "s3:CreateMultipartUpload"), 1),
        **dict.fromkeys(("s3:UploadPart", "s3:AbortMultipartUpload"), 1),
        "sts:GetCallerIdentity": 1,
    }
    (call,) = cloud.control("GET", "calls?service=s3&action=PutObject")["calls"]
    assert (call["status"], call["fault"]) == (200, None)


@pytest.mark.parametrize(
    "header",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "none"}, {"Host": "evil.example:80"}],
)
def test_a_web_page_starts_no_jobs(cloud: Cloud, header: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        cloud.control("GET", "state", **header)
    refused.value.close()
