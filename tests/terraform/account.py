"""An emulated AWS account as a process of its own, what is in it, and who may do what there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mcp_cloud_agents.emulator.clients import aws_client

Json = dict[str, Any]
Keys = Mapping[str, str]
"""AccessKeyId, SecretAccessKey and, of a role, SessionToken."""
WITHIN_S = 30
SHORT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Account:
    """Attributes.

    region: where everything is.
    environment: what an administrator's SDK needs.
    outputs: of the emulator's own set, where it was asked for one.
    """

    endpoint: str
    region: str
    environment: Mapping[str, str]
    outputs: Json

    def client(self, service: str, keys: Keys | None = None) -> Any:
        """With an administrator's rights, or with somebody's keys."""
        if keys is None:
            return aws_client(service, self.endpoint, self.region)
        return aws_client(
            service,
            self.endpoint,
            self.region,
            key=keys["AccessKeyId"],
            secret=keys["SecretAccessKey"],
            token=keys.get("SessionToken"),
        )

    def environment_of(self, keys: Keys) -> dict[str, str]:
        """Of a person who has these keys and nothing else."""
        return {
            **self.environment,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        }

    def a_user(self, name: str, policy_arn: str) -> Keys:
        """Somebody whose only policy is this one."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.attach_user_policy(UserName=name, PolicyArn=policy_arn)
        return iam.create_access_key(UserName=name)["AccessKey"]

    def remove_user(self, name: str, policy_arn: str, keys: Keys) -> None:
        """As `a_user` made it."""
        iam = self.client("iam")
        iam.delete_access_key(UserName=name, AccessKeyId=keys["AccessKeyId"])
        iam.detach_user_policy(UserName=name, PolicyArn=policy_arn)
        iam.delete_user(UserName=name)

    @contextmanager
    def permissions_enforced(self) -> Generator[None]:
        """Policies hold; the administrator is nobody meanwhile."""
        self._control("POST", "permissions", {"enforced": True})
        try:
            yield
        finally:
            self._control("POST", "permissions", {"enforced": False})

    def calls(self) -> list[Json]:
        """Every call since the last `forget_calls`."""
        return self._control("GET", "calls")["calls"]

    def forget_calls(self) -> None:
        self._control("DELETE", "calls")

    def reset(self) -> None:
        """Empty again."""
        self._control("POST", "reset")

    def _control(self, method: str, path: str, given: object = None) -> Json:
        request = urllib.request.Request(  # noqa: S310  the emulator's own address
            f"{self.endpoint}/emulator/{path}",
            data=None if given is None else json.dumps(given).encode(),
            method=method,
        )
        with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:  # noqa: S310  same
            return json.load(answer)

    def empty(self, bucket: str) -> None:
        """Every object with all its versions, as the console's Empty does."""
        s3 = self.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            for one in found:
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])

    def inventory(self) -> dict[str, list[str]]:
        """What is there, by kind; what AWS itself makes for Batch is not counted."""
        ec2, batch, iam = (self.client(name) for name in ("ec2", "batch", "iam"))
        definitions = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
        roles = _names(iam.list_roles()["Roles"], "RoleName")
        return {
            "buckets": _names(self.client("s3").list_buckets()["Buckets"], "Name"),
            "log groups": _names(
                self.client("logs").describe_log_groups()["logGroups"], "logGroupName"
            ),
            "repositories": _names(
                self.client("ecr").describe_repositories()["repositories"], "repositoryName"
            ),
            "event queues": self.client("sqs").list_queues().get("QueueUrls", []),
            "event rules": _names(self.client("events").list_rules()["Rules"], "Name"),
            "job queues": _names(batch.describe_job_queues()["jobQueues"], "jobQueueName"),
            "compute environments": _names(
                batch.describe_compute_environments()["computeEnvironments"],
                "computeEnvironmentName",
            ),
            "job definitions": _names(definitions, "jobDefinitionName"),
            "roles": [name for name in roles if not name.startswith("AWSServiceRole")],
            "policies": _names(iam.list_policies(Scope="Local")["Policies"], "PolicyName"),
            "networks": _names(ec2.describe_vpcs()["Vpcs"], "VpcId"),
            "subnets": _names(ec2.describe_subnets()["Subnets"], "SubnetId"),
            "security groups": _names(ec2.describe_security_groups()["SecurityGroups"], "GroupId"),
            "endpoints": [
                str(one["VpcEndpointId"]) for one in endpoints if one["State"] != "deleted"
            ],
        }


def _names(found: list[Json], key: str) -> list[str]:
    return sorted(str(one[key]) for one in found)


def status_of(client: Any, call: str, **arguments: Any) -> int:
    """HTTP status of a call; 200 when it was allowed."""
    try:
        answer: Json = getattr(client, call)(**arguments)
    except ClientError as refused:
        answer = refused.response
    return answer["ResponseMetadata"]["HTTPStatusCode"]


@contextmanager
def an_account(*words: str) -> Generator[Account]:
    """Empty, unless words for the program say otherwise; it and all of its jobs end with this."""
    command = [sys.executable, "-m", "mcp_cloud_agents.emulator", "--until-eof", *words]
    env = {"PATH": SHORT_PATH, "HOME": os.path.devnull, "LANG": "C.UTF-8"}
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield Account(
                told["endpoint"], told["region"], told["environment"], told.get("outputs", {})
            )
        finally:
            process.stdin.close()
            process.wait(WITHIN_S)
