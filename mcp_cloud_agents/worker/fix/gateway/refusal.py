"""A request that the gateway does not forward, and how it says so in each wire format."""

from __future__ import annotations

import json

from mcp_cloud_agents.domain.fix import Provider

_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    502: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OPENAI = {
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "permission_denied",
    503: "server_is_overloaded",
}
_OPENAI_TYPES = {503: "service_unavailable_error"}
"""Where it is not the code itself."""


class Refusal(Exception):
    """The request ends here.

    Attributes:
        status: of HTTP. 402 and 403 end both command-line agents at once; they repeat others.
        message: one sentence; never holds a key, nor anything of the provider's account.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def body_of(refusal: Refusal, provider: Provider | None) -> bytes:
    """The JSON that this provider's clients read an error from."""
    status, message = refusal.status, refusal.message
    if provider is Provider.ANTHROPIC:
        kind = _ANTHROPIC.get(status, "api_error")
        return _json({"type": "error", "error": {"type": kind, "message": message}})
    code = _OPENAI.get(status, "invalid_request_error" if status < 500 else "server_error")
    kind = _OPENAI_TYPES.get(status, code)
    return _json({"error": {"type": kind, "code": code, "param": None, "message": message}})


def overloaded(provider: Provider, message: str) -> Refusal:
    """What this provider answers when it is overloaded; its clients know what to do then."""
    return Refusal(529 if provider is Provider.ANTHROPIC else 503, message)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
