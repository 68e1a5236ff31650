"""Which call of which service an HTTP request is."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, unquote

from mcp_cloud_agents.emulator.batch.service import action_of

Environ = dict[str, Any]
_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]*)/([^/]+)/aws4_request")
_NO_SHAPE = SimpleNamespace(required_members=())
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class AwsCall:
    """A request; `protocol` says how errors are written: json, rest-json, query, xml (S3)."""

    service: str
    action: str
    protocol: str


@dataclass(frozen=True, slots=True)
class _Operation:
    name: str
    method: str
    path: re.Pattern[str]
    query: Mapping[str, str]
    headers: frozenset[str]


def call_of(environ: Environ) -> AwsCall:
    """What the request asks for. Reads a form's body, and puts it back."""
    service, query = _service(environ), query_of(environ)
    target = environ.get("HTTP_X_AMZ_TARGET")
    path = str(environ.get("PATH_INFO", "/"))
    if target:
        return AwsCall(service, str(target).rpartition(".")[2], "json")
    if rpc := re.fullmatch(r"/service/[^/]+/operation/([^/]+)", path):
        return AwsCall(service, rpc[1], "json")
    method = str(environ["REQUEST_METHOD"])
    if service == "batch":
        return AwsCall(service, action_of(method, path) or path, "rest-json")
    if service == "s3":
        return AwsCall(service, _s3_action(environ, method, path, query), "xml")
    form = parse_qs(body_of(environ).decode("utf-8", "replace")) if _is_form(environ) else {}
    if action := (form.get("Action") or query.get("Action")):
        return AwsCall(service, action[0], "query")
    return AwsCall(service, _rest_action(service, environ, method, path), "rest-json")


def access_key_of(environ: Environ) -> str:
    """Who signed the request; empty: nobody, or by its query string."""
    scope = _SCOPE.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    return scope[1] if scope else ""


def body_of(environ: Environ) -> bytes:
    """The whole body, which can be read again afterwards."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def query_of(environ: Environ) -> dict[str, list[str]]:
    """The query string, empty values kept."""
    return parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)


def _service(environ: Environ) -> str:
    query = query_of(environ)
    if scope := _SCOPE.search(str(environ.get("HTTP_AUTHORIZATION", ""))):
        return scope[3].lower()
    if credential := query.get("X-Amz-Credential"):
        return credential[0].split("/")[-2].lower()
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    return target.partition(".")[0].lower() or "s3"


def _is_form(environ: Environ) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith(_FORM)


def _s3_action(environ: Environ, method: str, path: str, query: Mapping[str, list[str]]) -> str:
    if method == "POST" and str(environ.get("CONTENT_TYPE", "")).startswith("multipart/form-data"):
        return "PostObject"
    if method == "OPTIONS":
        return "OPTIONS"
    del query
    return _rest_action("s3", environ, method, path)


def _rest_action(service: str, environ: Environ, method: str, path: str) -> str:
    """The operation that asks for most of what the request has."""
    query = query_of(environ)
    headers = {key[5:].replace("_", "-").lower() for key in environ if key.startswith("HTTP_")}
    found = [
        one
        for one in _operations(service)
        if one.method == method
        and one.path.fullmatch(unquote(path))
        and one.headers <= headers
        and all(key in query and value in ("", query[key][0]) for key, value in one.query.items())
    ]
    best = max(found, key=lambda one: len(one.query) + len(one.headers), default=None)
    return f"{method} {path}" if best is None else best.name


@cache
def _operations(service: str) -> tuple[_Operation, ...]:
    """The service's own model as botocore has it; empty for unknown services."""
    import botocore.session

    session = cast("Any", botocore.session).get_session()
    if service not in session.get_available_services():
        return ()
    model = session.get_service_model(service)
    return tuple(_operation(model.operation_model(name)) for name in model.operation_names)


def _operation(model: Any) -> _Operation:
    uri, _, literal = str(model.http["requestUri"]).partition("?")
    pattern = re.sub(r"\\\{[^}]+?(\\\+)?\\\}", lambda m: ".+" if m[1] else "[^/]+", re.escape(uri))
    wanted = {key: values[0] for key, values in parse_qs(literal, keep_blank_values=True).items()}
    headers: set[str] = set()
    shape = cast("Any", model.input_shape or _NO_SHAPE)
    for name in shape.required_members:
        place: dict[str, Any] = shape.members[name].serialization
        if place.get("location") == "querystring":
            wanted[str(place["name"])] = ""
        elif place.get("location") == "header":
            headers.add(str(place["name"]).lower())
    return _Operation(
        str(model.name),
        str(model.http["method"]),
        re.compile(f"{pattern}/?"),
        wanted,
        frozenset(headers),
    )
