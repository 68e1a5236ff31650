"""What a container is told to do, read from its environment."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.worker.aws.order import Order


def test_the_address_of_a_specification_names_bucket_and_job() -> None:
    env = {"JOB_SPEC": "s3://my.bucket-1/jobs/jAb_9-z/spec.json", "AWS_BATCH_JOB_ATTEMPT": "2"}
    assert Order.read(env) == Order(bucket="my.bucket-1", job_id="jAb_9-z", attempt=2)


def test_the_id_in_batch_is_taken_over() -> None:
    env = {"JOB_SPEC": "s3://bucket/jobs/j1/spec.json", "AWS_BATCH_JOB_ID": "b-1"}
    assert Order.read(env) == Order(bucket="bucket", job_id="j1", attempt=1, batch_id="b-1")


def test_without_a_number_it_is_the_first_attempt() -> None:
    assert Order.read({"JOB_SPEC": "s3://bucket/jobs/j1/spec.json"}).attempt == 1


@pytest.mark.parametrize(
    ("spec", "attempt"),
    [
        ("", "1"),
        ("https://bucket/jobs/j1/spec.json", "1"),
        ("s3://bucket/jobs/j1/spec.json\n", "1"),
        ("s3://bucket/jobs/../spec.json", "1"),
        ("s3://bucket/jobs/a/b/spec.json", "1"),
        ("s3://bucket/jobs/j1/result.json", "1"),
        ("s3:///jobs/j1/spec.json", "1"),
        ("s3://bucket/jobs/j1/spec.json", "0"),
        ("s3://bucket/jobs/j1/spec.json", "-1"),
        ("s3://bucket/jobs/j1/spec.json", "1; x"),
    ],
)
def test_anything_else_is_refused_with_a_hint(spec: str, attempt: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Order.read({"JOB_SPEC": spec, "AWS_BATCH_JOB_ATTEMPT": attempt})
    assert "AWS Batch" in refused.value.hint
