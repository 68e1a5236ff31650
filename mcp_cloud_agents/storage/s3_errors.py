"""What S3 and its SDK raise, translated once, each with what to do next.

The sources of the codes: "Error responses" of the Amazon S3 API reference, and
`botocore.exceptions`.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.domain.errors import (
    AgentsError,
    BackendFailed,
    StoreDenied,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

MISSING = frozenset({"NoSuchKey"})
EXISTS = frozenset({"PreconditionFailed", "412"})
RACE = frozenset({"ConditionalRequestConflict", "409", "OperationAborted", "NoSuchUpload"})
PAST_THE_END = frozenset({"InvalidRange", "416"})

_EXPIRED = frozenset(
    (
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        *("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"),
        *("CredentialRetrievalError", "LoginRefreshRequired"),
    )
)
_NONE = frozenset(
    (
        *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "InvalidAccessKeyId"),
        *("SignatureDoesNotMatch", "InvalidToken"),
    )
)
_CLOCK = frozenset({"RequestTimeTooSkewed"})
_ELSEWHERE = frozenset(
    (
        *("PermanentRedirect", "TemporaryRedirect", "Redirect", "301"),
        *("AuthorizationHeaderMalformed",),
        *("IllegalLocationConstraintException", "InvalidRegionError", "NoRegionError"),
    )
)
_REFUSED = frozenset(
    (
        *("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403", "NotSignedUp"),
        *("KMS.DisabledException", "KMS.NotFoundException", "KMS.AccessDeniedException"),
    )
)
_THROTTLED = frozenset(
    (
        *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "429"),
        *("TooManyRequestsException", "BandwidthLimitExceeded", "ServiceUnavailable", "503"),
    )
)
BROKEN = frozenset(
    (
        *("ReadTimeoutError", "ConnectTimeoutError", "EndpointConnectionError"),
        *("ConnectionClosedError",),
        *("ConnectionError", "HTTPClientError", "ProxyConnectionError", "SSLError"),
        *("IncompleteReadError", "ResponseStreamingError", "RequestTimeout", "IncompleteBody"),
        *("ProtocolError", "FlexibleChecksumError", "BadDigest", "InternalError"),
    )
)
_NOT_ALLOWED = re.compile(
    r"(?:(?P<who>arn:\S+) is )?not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"""(?: on resource: ["']?(?P<resource>[^\s"']+))?"""
)
_ACTIONS = {
    "list_objects_v2": "s3:ListBucket",
    "get_object": "s3:GetObject",
    "delete_objects": "s3:DeleteObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
}
_LOG_IN = (
    "Renew them (`aws sso login`, or new keys in the environment), then call again: "
    "nothing is lost meanwhile."
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of S3, for the words of an error."""

    bucket: str
    method: str
    """Name of the SDK's method."""
    key: str = ""

    @property
    def action(self) -> str:
        """The permission it needs."""
        return _ACTIONS.get(self.method, "s3:PutObject")

    @property
    def arn(self) -> str:
        """What it needs it on."""
        return f"arn:aws:s3:::{self.bucket}" + (f"/{self.key}" if self.key else "")


@contextmanager
def s3_errors(call: Call) -> Generator[None]:
    """Translate what the SDK raises.

    Raises:
        StoreUnavailable, StoreDenied, BackendFailed: see `translated`.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as exc:
        raise translated(exc, call) from exc


def code_of(exc: BaseException) -> str:
    """The code that S3 answered; else the name of the SDK's exception."""
    return str(_error(exc).get("Code") or type(exc).__name__)


def tries_of(exc: BaseException) -> int:
    """How often the SDK sent the request again."""
    return int(_of(_answer(exc), "ResponseMetadata").get("RetryAttempts", 0))


def translated(exc: BaseException, call: Call) -> AgentsError:
    """The error of ours that says the same and what to do next."""
    code = code_of(exc)
    said = " ".join(str(_error(exc).get("Message") or exc).split())[:300].rstrip(".")
    what = f"{call.method} on s3://{call.bucket}" + (f"/{call.key}" if call.key else "")
    if code in _EXPIRED:
        return StoreUnavailable(f"{what}: the AWS credentials have expired.", hint=_LOG_IN)
    if code in _CLOCK:
        return StoreUnavailable(
            f"{what}: this machine's clock is too far off for AWS.",
            hint="Set the clock (time synchronisation), then call again.",
        )
    return (
        _refused(exc, call, what=what, said=said)
        or _passing(exc, what=what, said=said)
        or BackendFailed(
            f"{what}: {code}: {said}.",
            hint="Run mcp-cloud-agents doctor, which looks at each part.",
        )
    )


def _refused(exc: BaseException, call: Call, *, what: str, said: str) -> AgentsError | None:
    """What a person has to change, with the thing to change."""
    code = code_of(exc)
    if code == "NoSuchBucket":
        return StoreDenied(
            f"There is no bucket {call.bucket} ({what}).",
            hint="Apply the Terraform module, then write its outputs into the settings with "
            "`mcp-cloud-agents configure aws`.",
        )
    if code in _ELSEWHERE or _status(exc) == 301:
        region = _region(exc)
        return StoreDenied(
            f"{what}: the bucket is in {region or 'another region'}, not in the one that is set.",
            hint=f"Set the region of the bucket{f' ({region})' if region else ''} in the settings.",
        )
    if code in _NONE:
        return StoreDenied(
            f"{what}: there are no AWS credentials that work ({code}: {said}).",
            hint="Give credentials (`aws configure sso`, a profile, or AWS_ACCESS_KEY_ID), "
            "then call again.",
        )
    if code in _REFUSED or _status(exc) in (401, 403):
        return _denied(call, what=what, said=said)
    return None


def _denied(call: Call, *, what: str, said: str) -> StoreDenied:
    found = _NOT_ALLOWED.search(said)
    action = found["action"] if found else call.action
    resource = (found["resource"] if found else None) or call.arn
    who = (found["who"] if found else None) or "these credentials"
    return StoreDenied(
        f"{what}: {who} may not {action} on {resource} ({said}).",
        hint=f"Allow {action} on {resource}: the Terraform module has a policy for it "
        "(submitter_policy_arn). If the policy is there, the bucket may be of another account: "
        "check bucket and account in the settings.",
    )


def _passing(exc: BaseException, *, what: str, said: str) -> AgentsError | None:
    code = code_of(exc)
    if code in _THROTTLED or _status(exc) in (429, 503):
        return StoreUnavailable(f"{what}: S3 asks to slow down ({code}).", hint="Call again later.")
    if code in BROKEN:
        return StoreUnavailable(
            f"{what}: S3 failed to answer ({code}: {said}).",
            hint="Check the network, the proxy and AWS_ENDPOINT_URL, then call again.",
        )
    if _status(exc) >= 500:
        return StoreUnavailable(f"{what}: S3 failed ({code}: {said}).", hint="Call again.")
    return None


def _answer(exc: BaseException) -> Mapping[str, Any]:
    found = getattr(exc, "response", None)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _of(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _error(exc: BaseException) -> Mapping[str, Any]:
    return _of(_answer(exc), "Error")


def _status(exc: BaseException) -> int:
    return int(_of(_answer(exc), "ResponseMetadata").get("HTTPStatusCode", 0))


def _region(exc: BaseException) -> str:
    headers = _of(_of(_answer(exc), "ResponseMetadata"), "HTTPHeaders")
    return str(_error(exc).get("Region") or headers.get("x-amz-bucket-region") or "")
