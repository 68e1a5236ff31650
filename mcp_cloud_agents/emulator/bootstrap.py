"""A ready set, as the Terraform module makes it, and its outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mcp_cloud_agents.emulator.clients import aws_client
from mcp_cloud_agents.emulator.options import ACCOUNT_ID

Json = dict[str, Any]
NAME = "mcp-cloud-agents"
IMAGE = f"{NAME}-worker:emulated"
_RETRY: Json = {
    "attempts": 2,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onStatusReason": "Your Spot Task*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ],
}
_TRUST: Json = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where, and how names and ARNs are made there."""

    endpoint: str
    region: str

    @property
    def bucket(self) -> str:
        return f"{NAME}-{ACCOUNT_ID}-{self.region}"

    def client(self, service: str) -> Any:
        return aws_client(service, self.endpoint, self.region)

    def arn(self, resource: str) -> str:
        return f"arn:aws:batch:{self.region}:{ACCOUNT_ID}:{resource}"


def bootstrap(endpoint: str, region: str, max_vcpus: int = 64, timeout_s: int = 3600) -> Json:
    """Make everything in an emulator that has none of it.

    Returns:
        What `terraform output -json` prints: each output as `{"value": …}`.
    """
    place = _Place(endpoint, region)
    place.client("s3").create_bucket(Bucket=place.bucket, **_where(region))
    group = f"/{NAME}/jobs"
    place.client("logs").create_log_group(logGroupName=group)
    roles = _roles(place)
    queues = _queues(place, max_vcpus)
    outputs: Json = {
        "region": region,
        "account_id": ACCOUNT_ID,
        "profile": "economy",
        "bucket": place.bucket,
        "queues": queues,
        "job_definitions": _definitions(place, roles, group, timeout_s),
        "log_group": group,
        "events_queue_url": _events(place, list(queues.values())),
        "image": IMAGE,
        "ephemeral_storage_gib": 20,
        "job_role_arn": roles["job"],
        "execution_role_arn": roles["execution"],
        "submitter_policy_arn": _submitter(place, list(queues.values())),
    }
    return {name: {"value": value} for name, value in outputs.items()}


def make_team_table(endpoint: str, region: str, name: str = f"{NAME}-team") -> Json:
    """Make the table that the module makes with `team_budget = true`.

    Returns:
        The output that names it, as `terraform output -json` prints it.
    """
    _Place(endpoint, region).client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return {"team_budget_table": {"value": name}}


def _where(region: str) -> Json:
    constraint = {"LocationConstraint": region}
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": constraint}


def _policy(*statements: tuple[list[str], list[str]], **conditions: Json) -> str:
    """Actions and resources of each statement; conditions by an action of theirs."""
    allowed: list[Json] = [
        {"Effect": "Allow", "Action": actions, "Resource": resources}
        for actions, resources in statements
    ]
    for one in allowed:
        for action in one["Action"]:
            if condition := conditions.get(action.partition(":")[2]):
                one["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": allowed})


def _roles(place: _Place) -> dict[str, str]:
    iam, bucket = place.client("iam"), f"arn:aws:s3:::{place.bucket}"
    objects = [f"{bucket}/{prefix}/*" for prefix in ("jobs", "packs", "environments")]
    policies = {
        "job": _policy(
            (["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], objects),
            (["s3:ListBucket"], [bucket]),
        ),
        "execution": _policy((["logs:CreateLogStream", "logs:PutLogEvents"], ["*"])),
    }
    arns: dict[str, str] = {}
    for kind, policy in policies.items():
        name = f"{NAME}-{kind}-{place.region}"
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))
        iam.put_role_policy(RoleName=name, PolicyName=kind, PolicyDocument=policy)
        arns[kind] = made["Role"]["Arn"]
    return arns


def _queues(place: _Place, max_vcpus: int) -> dict[str, str]:
    batch, ec2 = place.client("batch"), place.client("ec2")
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]]
    groups = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    arns: dict[str, str] = {}
    for key, kind in (("fargate", "FARGATE"), ("fargate_spot", "FARGATE_SPOT")):
        name = f"{NAME}-{key}"
        batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources={
                "type": kind,
                "maxvCpus": max_vcpus,
                "subnets": subnets,
                "securityGroupIds": [groups[0]["GroupId"]],
            },
        )
        made = batch.create_job_queue(
            jobQueueName=name,
            priority=10,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name}],
        )
        arns[key] = made["jobQueueArn"]
    return arns


def _definitions(
    place: _Place, roles: dict[str, str], group: str, timeout_s: int
) -> dict[str, str]:
    log = {
        "awslogs-group": group,
        "awslogs-region": place.region,
        "awslogs-stream-prefix": "job",
    }
    names: dict[str, str] = {}
    for key, architecture in (("x86_64", "X86_64"), ("arm64", "ARM64")):
        made = place.client("batch").register_job_definition(
            jobDefinitionName=f"{NAME}-{key}",
            type="container",
            platformCapabilities=["FARGATE"],
            propagateTags=True,
            timeout={"attemptDurationSeconds": timeout_s},
            retryStrategy=_RETRY,
            containerProperties={
                "image": IMAGE,
                "jobRoleArn": roles["job"],
                "executionRoleArn": roles["execution"],
                "readonlyRootFilesystem": True,
                "environment": [{"name": "MCP_CLOUD_AGENTS_BACKEND", "value": "aws_batch"}],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"},
                    {"type": "MEMORY", "value": "2048"},
                ],
                "runtimePlatform": {
                    "operatingSystemFamily": "LINUX",
                    "cpuArchitecture": architecture,
                },
                "networkConfiguration": {"assignPublicIp": "ENABLED"},
                "logConfiguration": {"logDriver": "awslogs", "options": log},
            },
        )
        names[key] = made["jobDefinitionName"]
    return names


def _events(place: _Place, queues: list[str]) -> str:
    sqs, events = place.client("sqs"), place.client("events")
    url = str(sqs.create_queue(QueueName=f"{NAME}-events")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {
        "source": ["aws.batch"],
        "detail-type": ["Batch Job State Change"],
        "detail": {"jobQueue": queues},
    }
    rule = f"{NAME}-jobs"
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "events-queue", "Arn": arn["QueueArn"]}])
    return url


def _submitter(place: _Place, queues: list[str]) -> str:
    jobs, definitions = place.arn("job/*"), place.arn(f"job-definition/{NAME}-*")
    bucket = f"arn:aws:s3:::{place.bucket}"
    messages = [f"{verb}Message" for verb in ("Receive", "Delete")]
    messages += ["ChangeMessageVisibility", "GetQueueAttributes"]
    looks = ["ComputeEnvironments", "JobDefinitions", "JobQueues", "Jobs"]
    policy = _policy(
        (["batch:SubmitJob"], [*queues, definitions, jobs]),
        (["batch:TagResource"], [jobs]),
        (["batch:TerminateJob"], [jobs]),
        (["batch:GetJobQueueSnapshot"], queues),
        (["batch:ListJobs", *(f"batch:Describe{one}" for one in looks)], ["*"]),
        (["logs:GetLogEvents", "logs:DescribeLogGroups"], ["*"]),
        (
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            [f"{bucket}/jobs/*", f"{bucket}/packs/*"],
        ),
        (["s3:ListBucket"], [bucket]),
        (["ecr:DescribeImages", "servicequotas:GetServiceQuota"], ["*"]),
        ([f"sqs:{one}" for one in messages], ["*"]),
        TerminateJob={"Null": {"aws:ResourceTag/mcp-cloud-agents:job": "false"}},
    )
    made = place.client("iam").create_policy(
        PolicyName=f"{NAME}-submitter-{place.region}", PolicyDocument=policy
    )
    return str(made["Policy"]["Arn"])
