"""Secrets Manager and SSM parameters; boto3 is imported with the first one that is read.

As a person: with the credentials of a profile, or what the SDK finds. In a container: with the
job's role. A call is given up after about ten seconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.storage.secret_values import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

_ARN_REGION = re.compile(r"arn:[a-z-]+:(?:secretsmanager|ssm):(?P<region>[a-z0-9-]+):")
_MISSING = frozenset({"ResourceNotFoundException", "ParameterNotFound", "InvalidRequestException"})
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
_LOGIN = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)
_MESSAGE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccess:
    """Whose account it is; empty: what the SDK finds."""

    region: str = ""
    profile: str = ""
    endpoint_url: str = ""

    def client(self, service: str, region: str) -> Any:
        """A client of `secretsmanager` or `ssm`."""
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=3,
            read_timeout=5,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        session = cast("Any", boto3).Session(
            region_name=region or self.region or None, profile_name=self.profile or None
        )
        return session.client(service, endpoint_url=self.endpoint_url or None, config=config)


class AwsSecrets:
    """The value of a reference `aws-sm:` or `aws-ssm:`; asked anew each time.

    Args:
        client: makes a client of a service for a region; empty: the usual one.
    """

    def __init__(self, client: Callable[[str, str], Any] | None = None) -> None:
        self._client = client or AwsAccess().client

    def __call__(self, reference: str) -> str:
        """The value.

        Raises:
            Unusable: it is not there, may not be read, or AWS does not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        scheme, _, rest = reference.partition(":")
        read = self._secret if scheme == "aws-sm" else self._parameter
        try:
            return read(rest)
        except ClientError as exc:
            raise _refused(cast("Any", exc.response)) from exc
        except BotoCoreError as exc:
            raise _no_answer(exc) from exc

    def _secret(self, rest: str) -> str:
        name, _, key = rest.partition("#")
        answer = self._client("secretsmanager", _region(name)).get_secret_value(SecretId=name)
        value = answer.get("SecretString")
        if value is None:
            try:
                value = bytes(answer.get("SecretBinary", b"")).decode()
            except UnicodeDecodeError:
                raise Unusable("it is not UTF-8 text", "Store the value as text.") from None
        return _one_of(value, key) if key else value

    def _parameter(self, name: str) -> str:
        client = self._client("ssm", _region(name))
        return client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]


def _region(name: str) -> str:
    found = _ARN_REGION.match(name)
    return found["region"] if found else ""


def _one_of(value: str, key: str) -> str:
    try:
        found: Any = json.loads(value)
    except (ValueError, RecursionError):
        raise Unusable("the secret is no JSON", f"Leave #{key} out of the reference.") from None
    one: Any = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    if isinstance(one, bool) or not isinstance(one, str | int | float):
        raise Unusable(
            f"the secret's JSON has no text or number {key!r}", "Correct what is behind the #."
        )
    return str(one)


def _refused(response: dict[str, Any]) -> Unusable:
    error = response.get("Error", {})
    code, said = str(error.get("Code", "")), str(error.get("Message", ""))[:_MESSAGE_CHARS]
    if code in _MISSING:
        return Unusable(f"AWS has no such value ({code})", "Correct the reference, or store it.")
    if code in _DENIED:
        return Unusable(
            f"it may not be read ({code}: {said.rstrip('.')})",
            "Jobs in AWS: name it in `readable_secrets` of the Terraform module. Here: let your "
            "identity have secretsmanager:GetSecretValue or ssm:GetParameter, and kms:Decrypt for "
            "a key of your own.",
        )
    if code in _LOGIN:
        return Unusable(f"the credentials are not valid ({code})", "Log in to AWS again.")
    return Unusable(f"AWS says {code}: {said.rstrip('.')}", "Look at the service and its key.")


def _no_answer(exc: Exception) -> Unusable:
    kind = type(exc).__name__
    if "Credential" in kind or "Profile" in kind or "SSO" in kind or "Token" in kind:
        return Unusable(f"there are no credentials for AWS ({kind})", "Log in to AWS.")
    if kind == "NoRegionError":
        return Unusable("no region is known", "Write the whole ARN, or set AWS_REGION.")
    return Unusable(
        f"AWS does not answer ({kind})",
        "Look at the network. In the private profile jobs need the endpoint secretsmanager or ssm.",
    )
