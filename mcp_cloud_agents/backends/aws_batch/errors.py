"""Errors of AWS and its SDK, translated once into the one error tree, each with the next step.

Nothing of the SDK is imported here: what it raises is told apart by its error code and class name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.backends.aws_batch import codes
from mcp_cloud_agents.domain.errors import (
    AgentsError,
    BackendFailed,
    CloudCredentials,
    CloudDenied,
    CloudMisconfigured,
    CloudThrottled,
    CloudUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

DOCS = "docs/aws.md"
_NOT_AUTHORIZED = re.compile(
    r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on resource: (?P<resource>\S+))?"
)
_NOT_THERE = re.compile(r"(?i)\b(not found|does not exist|not in ACTIVE status)\b")
_DISABLED = re.compile(r"(?i)\bDISABLED\b")


class AnswerLost(BackendFailed):
    """The call was sent, and nobody can say whether it was done."""


@dataclass(frozen=True, slots=True)
class aws_errors:
    """Translates what the SDK raises in a `with`, into subclasses of BackendFailed.

    Args:
        doing: what was tried, as in "submitting the job".
        resource: on what, as AWS names it.
    """

    doing: str
    resource: str = ""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        """Raise what it means."""
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(exc, BotoCoreError | ClientError):
            raise translated(exc, self.doing, self.resource) from exc


def code_of(exc: BaseException) -> str:
    """The error code in the answer of AWS; for errors of the SDK the name of their class."""
    return _told(exc).get("Code") or type(exc).__name__


def is_of_credentials(exc: BaseException) -> bool:
    """Whether other credentials may help: those in use have to be looked up anew."""
    return code_of(exc) in codes.EXPIRED | codes.ABSENT | codes.INVALID


def may_have_been_done(exc: BaseException) -> bool:
    """Whether a call that failed so may have taken effect all the same."""
    if isinstance(exc, AgentsError):
        return isinstance(exc, AnswerLost)
    status = _status(exc)
    never_sent = {"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"}
    if status is not None:
        return status >= 500 and code_of(exc) not in codes.THROTTLED
    return code_of(exc) in codes.UNREACHABLE - never_sent


def translated(exc: BaseException, doing: str, resource: str = "") -> AgentsError:
    """The error of ours that says the same, and what to do next."""
    code, message = code_of(exc), _told(exc).get("Message") or str(exc)
    what = f"{doing[:1].upper()}{doing[1:]}{f' ({resource})' if resource else ''} failed"
    for make in (_credentials, partial(_denied, resource=resource), _place, _passing):
        if (found := make(code, message, what, exc)) is not None:
            return found
    return BackendFailed(
        f"{what}: {code}: {_short(message)}", hint=f"Run mcp-cloud-agents doctor; see {DOCS}."
    )


def _credentials(code: str, message: str, what: str, _: BaseException) -> AgentsError | None:
    if code in codes.ABSENT:
        return CloudCredentials(
            f"{what}: there are no usable credentials for AWS: {_short(message)}.",
            hint="Run `aws sso login`, or `aws configure`; aws.credentials_profile in the "
            "configuration file names a profile. Nothing is lost: call again afterwards.",
        )
    if code in codes.EXPIRED:
        return CloudCredentials(
            f"{what}: the credentials for AWS have expired ({code}).",
            hint="Let a person run `aws sso login` (or renew the keys), then call again: jobs go "
            "on meanwhile, and nothing has to be restarted.",
        )
    if code in codes.SKEWED:
        return CloudCredentials(
            f"{what}: AWS refuses the time of the request: {_short(message)}.",
            hint="Set this machine's clock right (timedatectl set-ntp true), then call again.",
        )
    if code in codes.INVALID:
        return CloudCredentials(
            f"{what}: AWS does not know these credentials ({code}).",
            hint="Check AWS_PROFILE, AWS_ACCESS_KEY_ID and aws.credentials_profile; "
            "`aws sts get-caller-identity` must work.",
        )
    return None


def _denied(
    code: str, message: str, what: str, _: BaseException, *, resource: str
) -> AgentsError | None:
    """With the action and the resource; where AWS names no resource, it is the one we asked for."""
    found = _NOT_AUTHORIZED.search(message)
    if code not in codes.DENIED and found is None:
        return None
    if found is None:
        return CloudDenied(
            f"{what}: access is denied ({code}): {_short(message)}.",
            hint="Attach the module's submitter policy to your user or role; where it is a "
            "bucket, check that it is yours: names of buckets are shared by everybody.",
        )
    action, resource = found["action"], (found["resource"] or resource or "*").rstrip(".,")
    explicit = " A policy denies it explicitly." if "explicit deny" in message else ""
    return CloudDenied(
        f"{what}: {found['who']} may not {action} on {resource}.{explicit}",
        hint=f"Allow {action} on {resource}: attach the policy that the Terraform module gives as "
        f"submitter_policy_arn ({DOCS} lists each action).",
    )


def _place(code: str, message: str, what: str, _: BaseException) -> AgentsError | None:
    if code in codes.OTHER_PLACE:
        return CloudMisconfigured(
            f"{what}: it is not in this region ({code}): {_short(message)}.",
            hint="Check aws.region against the Terraform output region; write [aws] anew by "
            "mcp-cloud-agents configure aws.",
        )
    if _DISABLED.search(message):
        return CloudMisconfigured(
            f"{what}: {_short(message)}",
            hint="Somebody switched it off. Enable it (aws batch update-job-queue --state ENABLED, "
            "or terraform apply), then call again.",
        )
    if code in codes.MISSING or (code == "ClientException" and _NOT_THERE.search(message)):
        return CloudMisconfigured(
            f"{what}: it does not exist: {_short(message)}",
            hint="It was deleted, or the settings are of another region or account: terraform "
            "apply, then write [aws] anew by mcp-cloud-agents configure aws.",
        )
    return None


def _passing(code: str, message: str, what: str, exc: BaseException) -> AgentsError | None:
    if code in codes.THROTTLED or _status(exc) == 429:
        return CloudThrottled(
            f"{what}: AWS is throttling calls of this account ({code}).",
            hint="Call again in a minute; the job is not affected.",
        )
    if code in codes.UNREACHABLE:
        return CloudUnreachable(
            f"{what}: AWS does not answer ({code}): {_short(message)}",
            hint="Check the network, proxy and VPN, and AWS_ENDPOINT_URL; then call again.",
        )
    if (_status(exc) or 0) >= 500:
        return CloudUnreachable(
            f"{what}: AWS failed ({code}): {_short(message)}", hint="Call again in a minute."
        )
    return None


def _told(exc: BaseException) -> Mapping[str, str]:
    response = _response(exc)
    error = response.get("Error")
    return cast("Mapping[str, str]", error) if isinstance(error, dict) else {}


def _status(exc: BaseException) -> int | None:
    found = _response(exc).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return found if isinstance(found, int) else None


def _response(exc: BaseException) -> Mapping[str, Any]:
    response = getattr(exc, "response", None)
    return cast("Mapping[str, Any]", response) if isinstance(response, dict) else {}


def _short(message: str) -> str:
    return " ".join(message.split())[:400].rstrip(".")
