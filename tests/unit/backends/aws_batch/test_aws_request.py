"""The arguments of SubmitJob, whole, and held against botocore's own model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mcp_cloud_agents.backends.aws_batch.request import attempt_s, job_name, submit_job
from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.job import JobId, JobSpec
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.settings import Architecture, AwsQueue, AwsSettings
from tests.unit.backends.aws_batch.aws_settings import AWS, some_aws

SpecFactory = Callable[..., JobSpec]
NOW = 1_700_000_000.0


def errors_of_the_model(request: dict[str, Any]) -> str:
    """What botocore itself would refuse to send."""
    session = pytest.importorskip("botocore.session", reason="boto3 is not installed")
    validate = pytest.importorskip("botocore.validate", reason="boto3 is not installed")
    model = session.get_session().get_service_model("batch")
    shape = model.operation_model("SubmitJob").input_shape
    return str(validate.ParamValidator().validate(request, shape).generate_report())


def test_the_request_of_a_job_is_this(a_spec: SpecFactory) -> None:
    spec = a_spec(limits=Limits(timeout_s=600, setup_timeout_s=300, memory_mib=4096))
    request = submit_job(spec, some_aws(tags={"team": "search"}), NOW)
    assert request == {
        "jobName": "mca-j0000000001",
        "jobQueue": "agents-fargate",
        "jobDefinition": "agents-x86",
        "containerOverrides": {
            "environment": [
                {
                    "name": "JOB_SPEC",
                    "value": "s3://agents-bucket/jobs/j0000000001/spec.json",
                }
            ],
            "resourceRequirements": [
                {"type": "VCPU", "value": "2"},
                {"type": "MEMORY", "value": "5120"},
            ],
        },
        "timeout": {"attemptDurationSeconds": 1320},
        "retryStrategy": {
            "attempts": 3,
            "evaluateOnExit": [
                {"onStatusReason": "Host EC2*", "action": "RETRY"},
                {"onStatusReason": "Your Spot Task*", "action": "RETRY"},
                {"onExitCode": "75", "action": "RETRY"},
                {"onReason": "*", "action": "EXIT"},
            ],
        },
        "tags": {
            "team": "search",
            "mcp-cloud-agents:job": "j0000000001",
            "mcp-cloud-agents:agent": "run_tests_cloud",
        },
        "propagateTags": True,
    }


@pytest.mark.parametrize(
    "aws",
    [
        AWS,
        some_aws(queue=AwsQueue.FARGATE_SPOT, architecture=Architecture.ARM64, vcpus=0.25),
        some_aws(queue=AwsQueue.GPU, attempts=10, tags={"team": "search"}),
    ],
)
def test_botocore_finds_nothing_wrong_with_a_request(aws: AwsSettings, a_spec: SpecFactory) -> None:
    assert errors_of_the_model(submit_job(a_spec(), aws, NOW)) == ""
    assert "Unknown parameter" in errors_of_the_model({**submit_job(a_spec(), aws, NOW), "x": 1})


def test_queue_and_architecture_choose_the_definition(a_spec: SpecFactory) -> None:
    def of(aws: AwsSettings) -> tuple[str, str]:
        request = submit_job(a_spec(), aws, NOW)
        return request["jobQueue"], request["jobDefinition"]

    spot_arm = some_aws(queue=AwsQueue.FARGATE_SPOT, architecture=Architecture.ARM64)
    assert of(spot_arm) == ("agents-spot", "agents-arm")
    assert of(some_aws(queue=AwsQueue.GPU)) == ("agents-gpu", "agents-gpu")


def test_a_job_on_the_gpu_queue_asks_for_one_gpu(a_spec: SpecFactory) -> None:
    wanted = submit_job(a_spec(), some_aws(queue=AwsQueue.GPU), NOW)["containerOverrides"]
    assert wanted["resourceRequirements"] == [
        {"type": "VCPU", "value": "2"},
        {"type": "MEMORY", "value": "4608"},
        {"type": "GPU", "value": "1"},
    ]


def test_set_up_counts_only_when_there_is_any(a_spec: SpecFactory) -> None:
    limits = Limits(timeout_s=600, setup_timeout_s=300)
    plain = a_spec(limits=limits)
    assert attempt_s(plain) == 1320
    assert attempt_s(replace(plain, setup=SetupPlan(commands=("true",)))) == 1620


@pytest.mark.parametrize(("left_s", "limit_s"), [(9_000, 1_320), (700, 700), (-5, 60)])
def test_an_attempt_gets_no_more_than_is_left_of_its_deadline(
    a_spec: SpecFactory, left_s: int, limit_s: int
) -> None:
    spec = a_spec(limits=Limits(timeout_s=600), deadline_at=NOW + left_s)
    assert submit_job(spec, AWS, NOW)["timeout"] == {"attemptDurationSeconds": limit_s}


def test_a_request_that_batch_would_refuse_as_too_long_is_not_sent(a_spec: SpecFactory) -> None:
    many = {f"tag-{number:03}": "x" * 128 for number in range(300)}
    with pytest.raises(InvalidArgument, match="it takes 30720"):
        submit_job(a_spec(), some_aws(tags=many), NOW)


def test_a_job_that_no_machine_can_hold_is_refused(a_spec: SpecFactory) -> None:
    with pytest.raises(InvalidArgument, match="the largest on Fargate"):
        submit_job(a_spec(limits=Limits(memory_mib=300_000)), AWS, NOW)


def test_the_name_of_a_job_fits_batch_whatever_the_id() -> None:
    assert job_name(JobId("j" * 200)) == "mca-" + "j" * 124
