"""Cheap calls that tell whether jobs can run in AWS, each with the remedy for what is missing.

The probe of a submit makes the first four; `doctor` makes all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from mcp_cloud_agents.backends.aws_batch.answers import record, records
from mcp_cloud_agents.backends.aws_batch.clients import Use
from mcp_cloud_agents.backends.aws_batch.runnable import NEW_ACCOUNT_VCPUS, look
from mcp_cloud_agents.domain.errors import AgentsError, CloudMisconfigured
from mcp_cloud_agents.settings import Architecture, AwsQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.settings import AwsSettings

Json = dict[str, Any]
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[^:@]+)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_QUOTAS = {AwsQueue.FARGATE: "L-3032A538", AwsQueue.FARGATE_SPOT: "L-36FBB829"}
"""Codes of the Fargate vCPU quotas (Service Quotas console; unverified)."""
_WRITTEN = "packs/doctor/written"
_ANEW = "terraform apply, then write [aws] anew by mcp-cloud-agents configure aws."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was found."""

    name: str
    ok: bool
    said: str
    remedy: str = ""


class Checks:
    """The calls, one method a check; each raises an error of ours where it fails.

    Args:
        clients: of the account.
        aws: `settings.aws`, checked.
        model_keys: variables that containers need for engines that ask models.
        met: is told the ARN that we are, whenever AWS was asked.
    """

    def __init__(
        self,
        clients: Clients,
        aws: AwsSettings,
        model_keys: Sequence[str] = (),
        met: Callable[[str], object] = str,
    ) -> None:
        self._clients = clients
        self._read = partial(clients.read, use=Use.CHECK)
        self._aws = aws
        self._model_keys = model_keys
        self._met = met

    async def needed(self) -> tuple[Check, ...]:
        """What every job needs, looked at side by side until something is wrong."""
        needed = (self.identity, self.queue, self.definition, self.bucket)
        return await self._all(*needed, until_wrong=True)

    async def every(self) -> tuple[Check, ...]:
        """All that `doctor` tells."""
        return await self._all(
            self.identity,
            self.queue,
            self.definition,
            self.bucket,
            self.writing,
            self.log_group,
            self.listing,
            self.events,
            self.image,
            self.quota,
            *((self.model_keys,) if self._model_keys else ()),
        )

    async def _all(
        self, *checks: Callable[[], Awaitable[str]], until_wrong: bool = False
    ) -> tuple[Check, ...]:
        found: dict[str, Check] = {}

        async def one(check: Callable[[], Awaitable[str]]) -> None:
            name = check.__name__
            try:
                found[name] = Check(name=name.replace("_", " "), ok=True, said=await check())
            except AgentsError as exc:
                found[name] = Check(
                    name=name.replace("_", " "), ok=False, said=exc.message, remedy=exc.hint
                )
                if until_wrong:
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for check in checks:
                group.start_soon(one, check)
        return tuple(found[each.__name__] for each in checks if each.__name__ in found)

    async def identity(self) -> str:
        """Who we are, and whether it is the account that is configured."""
        answer = await self._read("sts", "get_caller_identity", "asking who we are")
        account, who = str(answer["Account"]), str(answer["Arn"])
        self._met(who)
        if self._aws.account_id and account != self._aws.account_id:
            raise CloudMisconfigured(
                f"The credentials are of account {account}, and [aws] is for account "
                f"{self._aws.account_id}.",
                hint="Set aws.credentials_profile or AWS_PROFILE to a profile of that account, or "
                "write [aws] anew for this one.",
            )
        return f"{who} in account {account}"

    async def queue(self) -> str:
        """The queue that jobs go to, and what is behind it."""
        name = self._aws.queues[self._aws.queue]
        line = await look(self._clients, name)
        if not line.queue:
            raise CloudMisconfigured(
                f"The job queue {name} does not exist in {self._aws.region}.", hint=f"Run {_ANEW}"
            )
        if line.queue.get("state") != "ENABLED" or line.queue.get("status") == "INVALID":
            raise CloudMisconfigured(
                f"The job queue {name} is {line.queue.get('state')}, "
                f"{line.queue.get('status')}: {line.queue.get('statusReason', '')}.",
                hint="Enable it: aws batch update-job-queue --state ENABLED --job-queue NAME, or "
                "terraform apply.",
            )
        usable = [
            one
            for one in line.environments
            if one.get("state") == "ENABLED" and one.get("status") != "INVALID"
        ]
        if not usable:
            told = ", ".join(
                f"{one.get('computeEnvironmentName')} is {one.get('state')} {one.get('status')}: "
                f"{one.get('statusReason', '')}"
                for one in line.environments
            )
            raise CloudMisconfigured(
                f"No compute environment of the job queue {name} can be used: {told or 'none'}.",
                hint="Enable it: aws batch update-compute-environment --state ENABLED "
                "--compute-environment NAME, or terraform apply.",
            )
        vcpus = sum(int(record(one, "computeResources").get("maxvCpus") or 0) for one in usable)
        return f"{self._aws.queue}: {name.rpartition('/')[2]}, up to {vcpus} vCPUs"

    async def definition(self) -> str:
        """The job definition of that queue."""
        newest = await self._newest()
        image = record(newest, "containerProperties").get("image", "?")
        name = self._aws.job_definitions[self._aws.definition_key]
        return f"{name}:{newest.get('revision')}, image {image}"

    async def model_keys(self) -> str:
        """Whether containers get the variables that hold the keys of models."""
        container = record(await self._newest(), "containerProperties")
        given = [*records(container, "secrets"), *records(container, "environment")]
        names = {one.get("name") for one in given}
        if missing := [name for name in self._model_keys if name not in names]:
            raise CloudMisconfigured(
                f"Containers do not get {', '.join(missing)}, which fix.models names: only engine "
                '"command" works in AWS.',
                hint="Put the key into Secrets Manager, name it by `secrets` of the Terraform "
                "module, and terraform apply (docs/aws.md, Keys of models).",
            )
        return f"containers get {', '.join(self._model_keys)}"

    async def _newest(self) -> Mapping[str, Any]:
        """The newest active revision of the job definition."""
        name = self._aws.job_definitions[self._aws.definition_key]
        answer = await self._read(
            "batch",
            "describe_job_definitions",
            "looking at the job definition",
            name,
            jobDefinitionName=name,
            status="ACTIVE",
        )
        found = records(answer, "jobDefinitions")
        if not found:
            raise CloudMisconfigured(
                f"The job definition {name} does not exist, or has no active revision.",
                hint=f"Run {_ANEW}",
            )
        return max(found, key=lambda one: int(one.get("revision", 0)))

    async def bucket(self) -> str:
        """The bucket, and that it is ours: names of buckets are shared by everybody."""
        arguments: Json = {"Bucket": self._aws.bucket}
        if self._aws.account_id:
            arguments["ExpectedBucketOwner"] = self._aws.account_id
        await self._read(
            "s3", "head_bucket", "looking at the bucket", self._aws.bucket, **arguments
        )
        return self._aws.bucket

    async def writing(self) -> str:
        """Whether objects can be written: an empty one of a fixed name, written once."""
        try:
            await self._clients.change(
                "s3",
                "put_object",
                "writing to the bucket",
                f"{self._aws.bucket}/{_WRITTEN}",
                Bucket=self._aws.bucket,
                Key=_WRITTEN,
                Body=b"",
                IfNoneMatch="*",
            )
        except AgentsError as exc:
            if "PreconditionFailed" not in exc.message:
                raise
        return "objects can be written once, as jobs need it"

    async def log_group(self) -> str:
        """The group of the live log."""
        name = self._aws.log_group
        if not name:
            return "none is configured: logs come from S3 alone, some seconds later"
        answer = await self._read(
            "logs", "describe_log_groups", "looking at the log group", name, logGroupNamePrefix=name
        )
        if name not in [one.get("logGroupName") for one in records(answer, "logGroups")]:
            raise CloudMisconfigured(
                f"The log group {name} does not exist in {self._aws.region}.", hint=f"Run {_ANEW}"
            )
        return name

    async def listing(self) -> str:
        """Permissions for following jobs, by calls that find nothing."""
        queue = self._aws.queues[self._aws.queue]
        doing = "looking jobs up by name"
        name = [{"name": "JOB_NAME", "values": ["mca-doctor"]}]
        await self._read("batch", "list_jobs", doing, queue, jobQueue=queue, filters=name)
        await self._read("batch", "describe_jobs", "looking at jobs", jobs=["doctor"])
        return "batch:ListJobs and batch:DescribeJobs are allowed"

    async def events(self) -> str:
        """The queue of events, where there is one."""
        url = self._aws.events_queue_url
        if not url:
            return "none: jobs are polled, which costs nothing but a few calls"
        await self._read(
            "sqs",
            "get_queue_attributes",
            "looking at the queue of events",
            url,
            QueueUrl=url,
            AttributeNames=["ApproximateNumberOfMessages"],
        )
        return url.rpartition("/")[2]

    async def image(self) -> str:
        """Whether the worker's image was pushed, where it is in ECR."""
        image = self._aws.image
        found = _ECR.fullmatch(image)
        if found is None:
            return f"{image or 'not told'}: not in ECR, so it is not looked at"
        wanted = (
            {"imageDigest": found["digest"]}
            if found["digest"]
            else {"imageTag": found["tag"] or "latest"}
        )
        try:
            answer = await self._read(
                "ecr",
                "describe_images",
                "looking at the worker's image",
                image,
                registryId=found["account"],
                repositoryName=found["repository"],
                imageIds=[wanted],
            )
        except CloudMisconfigured as exc:
            raise CloudMisconfigured(
                f"The image {image} was not pushed.",
                hint=f"Build and push it for {_platform(self._aws)}: docs/aws.md, The image.",
            ) from exc
        size = sum(int(one.get("imageSizeInBytes") or 0) for one in records(answer, "imageDetails"))
        return f"{image}, {size / 1e6:.0f} MB"

    async def quota(self) -> str:
        """How many vCPUs the account may use at once. Never a failure."""
        code = _QUOTAS.get(self._aws.queue)
        if code is None:
            return "of EC2 instances: see Service Quotas, Amazon EC2"
        try:
            answer = await self._read(
                "service-quotas",
                "get_service_quota",
                "looking at the quota",
                "fargate",
                use=Use.LISTEN,  # not worth a second try
                ServiceCode="fargate",
                QuotaCode=code,
            )
        except AgentsError:
            return (
                f"Fargate: not told; a new account has {NEW_ACCOUNT_VCPUS} vCPUs (Service Quotas, "
                "Fargate): jobs beyond it wait"
            )
        vcpus = float(record(answer, "Quota").get("Value") or 0)
        return f"Fargate: {vcpus:g} vCPUs at once; jobs beyond it wait"


def _platform(aws: AwsSettings) -> str:
    return "linux/arm64" if aws.architecture is Architecture.ARM64 else "linux/amd64"
