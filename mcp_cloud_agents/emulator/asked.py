"""What a request is for IAM: its action, resource and condition keys, as far as they are known."""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.emulator.aws_calls import AwsCall, Environ, body_of, query_of
from mcp_cloud_agents.emulator.policies import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.emulator.options import Options

_S3_ACTIONS = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadObject": "GetObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
}
"""Operation to the action that it needs (Amazon S3 user guide, Required permissions)."""
_CREATES = {"PutObject": True, "CopyObject": True, "CompleteMultipartUpload": True} | dict.fromkeys(
    ("CreateMultipartUpload", "UploadPart", "UploadPartCopy"), False
)
_EVERYWHERE: Keys = {
    "aws:securetransport": ("true",),  # loopback stands for TLS here
    "aws:sourceip": ("127.0.0.1",),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Attributes.

    action: of IAM, without its service; empty: as moto has it.
    resource: an ARN; empty: as moto has it.
    """

    action: str = ""
    resource: str = ""
    keys: Keys = field(default_factory=lambda: _EVERYWHERE)

    def about(self, **keys: Mapping[str, str]) -> Asked:
        """With the tags of `request`, of `resource`, or of both."""
        prefixes = {"request": "aws:requesttag", "resource": "aws:resourcetag"}
        more: dict[str, tuple[str, ...]] = {
            f"{prefixes[of]}/{name}".lower(): (value,)
            for of, tags in keys.items()
            for name, value in tags.items()
        }
        if names := tuple(keys.get("request", ())):
            more["aws:tagkeys"] = names
        return replace(self, keys={**self.keys, **more})


NOW: ContextVar[Asked] = ContextVar("asked_of_the_emulator", default=Asked())  # noqa: B039  frozen
"""The request that this thread serves."""


def asked(environ: Environ, call: AwsCall, options: Options) -> Asked:
    """Of one request."""
    if call.service == "s3":
        return _of_s3(environ, call)
    if call.protocol == "json" and call.service in {"logs", "ecr"}:
        given: dict[str, Any] = _json(body_of(environ))
        resource = _log_arn(given) if call.service == "logs" else _repository_arn(given)
        return Asked(call.action, options.arn(call.service, resource) if resource else "")
    if call.protocol == "json" and call.service in {"ssm", "secretsmanager"}:
        return _of_secret(call, _json(body_of(environ)), options)
    if call.service == "sqs":  # a batch needs what one message needs (Amazon SQS permissions)
        return Asked(call.action.removesuffix("Batch"))
    return Asked()


def _of_s3(environ: Environ, call: AwsCall) -> Asked:
    keys: dict[str, tuple[str, ...]] = dict(_EVERYWHERE)
    for header in ("if-none-match", "if-match"):
        if value := environ.get(f"HTTP_{header.upper().replace('-', '_')}"):
            keys[f"s3:{header}"] = (str(value),)
    if prefix := query_of(environ).get("prefix"):
        keys["s3:prefix"] = tuple(prefix)
    if call.action in _CREATES:
        keys["s3:objectcreationoperation"] = (str(_CREATES[call.action]).lower(),)
    return Asked(_S3_ACTIONS.get(call.action, call.action), "", keys)


def _of_secret(call: AwsCall, given: dict[str, Any], options: Options) -> Asked:
    """One parameter, or a secret that was asked for by its ARN; another as moto has it."""
    name = str(given.get("Name" if call.service == "ssm" else "SecretId", ""))
    if name.startswith("arn:"):
        return Asked(call.action, name)
    if call.service == "ssm" and name:
        return Asked(call.action, options.arn("ssm", f"parameter/{name.lstrip('/')}"))
    return Asked()


def _log_arn(given: Mapping[str, Any]) -> str:
    """Of a stream where one is named, else of the group."""
    name = str(given.get("logGroupName") or given.get("logGroupIdentifier") or "")
    group = f"log-group:{name.rpartition(':log-group:')[2]}" if name else ""
    stream = given.get("logStreamName")
    return f"{group}:log-stream:{stream}" if group and stream else group


def _repository_arn(given: Mapping[str, Any]) -> str:
    name = given.get("repositoryName")
    return f"repository/{name}" if name else ""


def _json(body: bytes) -> dict[str, Any]:
    try:
        given: object = json.loads(body or b"{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}  # pyright: ignore  keys of JSON are texts
