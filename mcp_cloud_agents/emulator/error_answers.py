"""Errors as each kind of AWS service writes them, so that SDKs read code and message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.aws_calls import AwsCall

Headers = list[tuple[str, str]]
_THROTTLED: dict[str, tuple[str, int]] = {
    "batch": ("TooManyRequestsException", 429),
    "s3": ("SlowDown", 503),
    "ec2": ("RequestLimitExceeded", 503),
    "sts": ("Throttling", 400),
    "iam": ("Throttling", 400),
}


def throttled(service: str) -> tuple[str, int]:
    """Error code and HTTP status with which a service throttles."""
    return _THROTTLED.get(service, ("ThrottlingException", 400))


def error_answer(call: AwsCall, code: str, message: str) -> tuple[Headers, bytes]:
    """Headers and body."""
    match call.protocol:
        case "xml":
            told = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
            body, kind = f'<?xml version="1.0" encoding="UTF-8"?>{told}', "application/xml"
        case "query":
            told = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
            body = f"<ErrorResponse><Error><Type>Sender</Type>{told}</Error></ErrorResponse>"
            kind = "text/xml"
        case _:
            body = json.dumps({"__type": code, "message": message})
            kind = "application/json"
    answer = body.encode()
    return [
        ("Content-Type", kind),
        ("Content-Length", str(len(answer))),
        ("x-amzn-ErrorType", code),
    ], answer
