"""A small Batch in the emulator, used through plain boto3."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from mcp_cloud_agents.emulator.clients import aws_client
from mcp_cloud_agents.emulator.emulator import Emulator

Json = dict[str, Any]
DEADLINE_S = 30
GROUP = "/tests/jobs"
SIZE = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]
ROLE = "arn:aws:iam::123456789012:role/execution"


@dataclass(frozen=True)
class Cloud:
    emulator: Emulator

    def client(self, service: str, **more: Any) -> Any:
        return aws_client(service, self.emulator.endpoint, "us-east-1", **more)

    @property
    def batch(self) -> Any:
        return _client("batch", self.emulator.endpoint)

    @property
    def logs(self) -> Any:
        return _client("logs", self.emulator.endpoint)

    def prepare(self, vcpus: int = 8) -> None:
        """One environment, one queue `q`, one log group."""
        self.logs.create_log_group(logGroupName=GROUP)
        self.environment("ce1", vcpus)
        self.queue("q", "ce1")

    def environment(self, name: str, vcpus: int, kind: str = "FARGATE") -> None:
        self.batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources={
                "type": kind,
                "maxvCpus": vcpus,
                "subnets": ["subnet-1"],
                "securityGroupIds": ["sg-1"],
            },
        )

    def queue(self, name: str, environment: str, **more: Any) -> str:
        order = [{"order": 1, "computeEnvironment": environment}]
        made = self.batch.create_job_queue(
            jobQueueName=name, computeEnvironmentOrder=order, **{"priority": 1, **more}
        )
        return made["jobQueueArn"]

    def define(self, name: str, script: str | None = None, **more: Any) -> str:
        """A definition that runs a shell script; `container` adds container properties."""
        container = {
            "image": "any",
            "executionRoleArn": ROLE,
            "resourceRequirements": SIZE,
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": GROUP}},
            **({} if script is None else {"command": ["sh", "-c", script]}),
            **more.pop("container", {}),
        }
        self.batch.register_job_definition(
            jobDefinitionName=name,
            type="container",
            platformCapabilities=["FARGATE"],
            containerProperties=container,
            **more,
        )
        return name

    def submit(self, definition: str, name: str = "job", queue: str = "q", **more: Any) -> str:
        made = self.batch.submit_job(jobName=name, jobQueue=queue, jobDefinition=definition, **more)
        return made["jobId"]

    def run(self, script: str, **more: Any) -> str:
        """Define and submit at once."""
        known = len(self.batch.describe_job_definitions()["jobDefinitions"])
        container = more.pop("container", {})
        return self.submit(self.define(f"d{known}", script, container=container), **more)

    def job(self, job_id: str) -> Json:
        return self.batch.describe_jobs(jobs=[job_id])["jobs"][0]

    def until(self, job_id: str, *statuses: str) -> Json:
        """The job's description once it has one of the states. Woken by each step."""
        self.wait(lambda: self.emulator.state.jobs[job_id].status.value in statuses)
        return self.job(job_id)

    def ended(self, job_id: str) -> Json:
        return self.until(job_id, "SUCCEEDED", "FAILED")

    def wait(self, true: Callable[[], bool]) -> None:
        state = self.emulator.state
        with state.lock:
            assert state.lock.wait_for(true, timeout=DEADLINE_S), "did not come in time"

    def log(self, job: Json, attempt: int = -1) -> list[str]:
        stream = job["attempts"][attempt]["container"]["logStreamName"]
        told = self.logs.get_log_events(
            logGroupName=GROUP, logStreamName=stream, startFromHead=True
        )
        return [event["message"] for event in told["events"]]

    def control(self, method: str, path: str, given: object = None, **headers: str) -> Json:
        request = urllib.request.Request(  # noqa: S310  the emulator's own address
            f"{self.emulator.endpoint}/emulator/{path}",
            data=None if given is None else json.dumps(given).encode(),
            headers=headers,
            method=method,
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310  same
            return json.load(answer)


@cache
def _client(service: str, endpoint: str) -> Any:
    return aws_client(service, endpoint, "us-east-1")


def refusal(raised: pytest.ExceptionInfo[Any]) -> tuple[str, int]:
    """Error code and HTTP status of a ClientError."""
    response: Json = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def tagged(fault: str) -> Mapping[str, Any]:
    """Arguments of a submit that has a fault."""
    return {"tags": {"emulator:fault": fault}}
