"""Error codes of AWS, and names of the SDK's own errors, by what they mean for us."""

from __future__ import annotations

EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "UnauthorizedSSOTokenError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "CredentialRetrievalError",
        "SSOError",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "LoginError",
        "NoAuthTokenError",
        "ExpiredTokenError",
        "TokenRefreshRequired",
    }
)
"""Credentials were there, and are too old."""
ABSENT = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
    }
)
"""No credentials were found."""
INVALID = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "AuthFailure",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "InvalidToken",
    }
)
"""AWS does not know them."""
SKEWED = frozenset(
    {
        "RequestTimeTooSkewed",
        "SignatureExpired",
        "RequestInTheFuture",
    }
)
"""The clock of this machine is wrong."""
DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthorizationError",
        "Forbidden",
        "403",
        "AllAccessDisabled",
        "NotAuthorized",
        "OptInRequired",
    }
)
"""A permission is missing."""
THROTTLED = frozenset(
    {
        "TooManyRequestsException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "SlowDown",
        "RequestThrottled",
        "LimitExceededException",
        "OverLimit",
        "RequestThrottledException",
        "BandwidthLimitExceeded",
    }
)
"""Too many calls."""
OTHER_PLACE = frozenset(
    {
        "PermanentRedirect",
        "301",
        "IllegalLocationConstraintException",
        "InvalidRegionError",
        "AuthorizationHeaderMalformed",
        "NoRegionError",
        "UnknownRegionError",
        "TemporaryRedirect",
    }
)
"""Another region."""
MISSING = frozenset(
    {
        "NoSuchBucket",
        "ResourceNotFoundException",
        "404",
        "QueueDoesNotExist",
        "NotFound",
        "AWS.SimpleQueueService.NonExistentQueue",
        "RepositoryNotFoundException",
        "ImageNotFoundException",
    }
)
"""It does not exist."""
UNREACHABLE = frozenset(
    {
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "ProxyConnectionError",
        "SSLError",
        "HTTPClientError",
    }
)
"""No answer."""
