"""What S3 refuses and moto does not: expired presigned requests, forms outside their policy.

Also keeps the body of a PUT that says it is a form, as urllib does by default: moto drops it.
Works on the requests alone; moto is not touched.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from mcp_cloud_agents.emulator.aws_calls import AwsCall, Environ, body_of, query_of
from mcp_cloud_agents.emulator.refusals import Refused


def check_s3(environ: Environ, call: AwsCall) -> None:
    """Look at one request of S3.

    Raises:
        Refused: S3 would not serve it.
    """
    if environ["REQUEST_METHOD"] == "PUT" and str(environ.get("CONTENT_TYPE", "")).startswith(
        "application/x-www-form-urlencoded"
    ):
        environ["CONTENT_TYPE"] = "binary/octet-stream"
    query = query_of(environ)
    if "X-Amz-Expires" in query and "X-Amz-Date" in query:
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        _check_time(signed + timedelta(seconds=int(query["X-Amz-Expires"][0])))
    if call.action == "PostObject":
        _check_form(_form(environ))


def _check_time(end: datetime) -> None:
    if datetime.now(UTC) > end:
        raise Refused("Request has expired", code="AccessDenied", status=403)


def _form(environ: Environ) -> dict[str, bytes]:
    head = f"Content-Type: {environ['CONTENT_TYPE']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body_of(environ))
    fields: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        fields[str(name)] = payload if isinstance(payload, bytes) else b""
    return fields


def _check_form(fields: dict[str, bytes]) -> None:
    if "policy" not in fields:
        return
    policy: dict[str, Any] = json.loads(base64.b64decode(fields["policy"]))
    _check_time(datetime.fromisoformat(str(policy["expiration"])))
    size = len(fields.get("file", b""))
    conditions: list[dict[str, str] | list[str | int]] = policy.get("conditions", [])
    for one in conditions:
        if isinstance(one, list) and str(one[0]).lower() == "content-length-range":
            if size > int(one[2]):
                raise Refused(
                    "Your proposed upload exceeds the maximum allowed size", code="EntityTooLarge"
                )
            if size < int(one[1]):
                raise Refused(
                    "Your proposed upload is smaller than the minimum allowed size",
                    code="EntityTooSmall",
                )
