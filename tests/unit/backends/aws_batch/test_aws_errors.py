"""What AWS and its SDK raise, as one of our errors with a code and the next step."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.backends.aws_batch.errors import (
    aws_errors,
    code_of,
    is_of_credentials,
    may_have_been_done,
    translated,
)
from mcp_cloud_agents.domain.errors import AgentsError

exceptions = pytest.importorskip("botocore.exceptions", reason="boto3 is not installed")
NOT_AUTHORIZED = (
    "User: arn:aws:sts::111122223333:assumed-role/dev/me is not authorized to perform: "
    "batch:SubmitJob on resource: arn:aws:batch:eu-central-1:111122223333:job-queue/agents because "
    "no identity-based policy allows the batch:SubmitJob action"
)


def answered(code: str, message: str = "", status: int = 400) -> Exception:
    """An error as AWS answers it."""
    told = {"Error": {"Code": code, "Message": message}}
    made: Exception = exceptions.ClientError(
        {**told, "ResponseMetadata": {"HTTPStatusCode": status}}, "SubmitJob"
    )
    return made


@pytest.mark.parametrize(
    ("exc", "code", "hint"),
    [
        (answered("ExpiredTokenException"), "cloud_credentials", "aws sso login"),
        (exceptions.UnauthorizedSSOTokenError(), "cloud_credentials", "aws sso login"),
        (
            exceptions.TokenRetrievalError(provider="sso", error_msg="expired"),
            "cloud_credentials",
            "aws sso login",
        ),
        (exceptions.NoCredentialsError(), "cloud_credentials", "aws configure"),
        (exceptions.ProfileNotFound(profile="x"), "cloud_credentials", "credentials_profile"),
        (answered("UnrecognizedClientException"), "cloud_credentials", "get-caller-identity"),
        (answered("RequestTimeTooSkewed", status=403), "cloud_credentials", "clock"),
        (answered("AccessDeniedException", NOT_AUTHORIZED, 403), "cloud_denied", "submitter"),
        (answered("403", "Forbidden", 403), "cloud_denied", "names of buckets are shared"),
        (answered("NoSuchBucket", status=404), "cloud_misconfigured", "configure aws"),
        (answered("301", "Moved Permanently", 301), "cloud_misconfigured", "aws.region"),
        (
            answered("ClientException", "JobQueue agents not found."),
            "cloud_misconfigured",
            "configure aws",
        ),
        (
            answered("ClientException", "Cannot submit job as job queue a is in DISABLED state"),
            "cloud_misconfigured",
            "Enable it",
        ),
        (answered("TooManyRequestsException", status=429), "cloud_throttled", "in a minute"),
        (answered("SlowDown", status=503), "cloud_throttled", "in a minute"),
        (answered("InternalError", status=500), "cloud_unreachable", "in a minute"),
        (
            exceptions.EndpointConnectionError(endpoint_url="http://x"),
            "cloud_unreachable",
            "AWS_ENDPOINT_URL",
        ),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), "cloud_unreachable", "network"),
        (answered("ClientException", "Something else"), "backend_failed", "doctor"),
    ],
)
def test_an_error_says_what_it_means_and_what_to_do(exc: Exception, code: str, hint: str) -> None:
    with pytest.raises(AgentsError) as caught, aws_errors("submitting the job", "agents"):
        raise exc
    assert caught.value.code == code
    assert hint in caught.value.hint
    assert caught.value.message.startswith("Submitting the job (agents) failed")
    assert caught.value.__cause__ is exc


def test_a_missing_permission_names_action_and_resource() -> None:
    error = translated(answered("AccessDeniedException", NOT_AUTHORIZED, 403), "submitting the job")
    arn = "arn:aws:batch:eu-central-1:111122223333:job-queue/agents"
    assert f"may not batch:SubmitJob on {arn}" in error.message
    assert f"Allow batch:SubmitJob on {arn}" in error.hint


def test_other_errors_pass_untouched() -> None:
    with pytest.raises(KeyError), aws_errors("looking"):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("exc", "maybe"),
    [
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), True),
        (exceptions.ConnectionClosedError(endpoint_url="http://x"), True),
        (answered("InternalError", status=500), True),
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), False),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), False),
        (answered("SlowDown", status=503), False),
        (answered("ClientException", "not found"), False),
        (answered("AccessDenied", status=403), False),
        (exceptions.NoCredentialsError(), False),
    ],
)
def test_only_a_lost_answer_may_have_been_done(exc: Exception, maybe: bool) -> None:
    assert may_have_been_done(exc) is maybe


def test_credentials_are_looked_up_anew_only_when_they_were_refused() -> None:
    assert is_of_credentials(answered("ExpiredToken"))
    assert is_of_credentials(exceptions.NoCredentialsError())
    assert not is_of_credentials(answered("AccessDenied"))
    assert code_of(exceptions.NoCredentialsError()) == "NoCredentialsError"
