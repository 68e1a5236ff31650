"""The door: every request comes here, is counted, may meet a fault, and goes to who serves it.

/emulator/…      the control API, and credentials and metadata of tasks
service batch    our own Batch
the rest         moto
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcp_cloud_agents.emulator import moto_seam
from mcp_cloud_agents.emulator.answers import Answer, Application, StartResponse, answer_of
from mcp_cloud_agents.emulator.api_faults import ApiFaults, ApiRule
from mcp_cloud_agents.emulator.asked import NOW, asked
from mcp_cloud_agents.emulator.aws_calls import (
    AwsCall,
    Environ,
    access_key_of,
    body_of,
    call_of,
)
from mcp_cloud_agents.emulator.batch.service import Batch
from mcp_cloud_agents.emulator.batch_permissions import permissions_needed
from mcp_cloud_agents.emulator.call_log import CallLog, Logged
from mcp_cloud_agents.emulator.control import Control
from mcp_cloud_agents.emulator.error_answers import throttled
from mcp_cloud_agents.emulator.refusals import Refused
from mcp_cloud_agents.emulator.s3_checks import check_s3

logger = logging.getLogger(__name__)
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_CONTROL = AwsCall("emulator", "control", "rest-json")


@dataclass(slots=True)
class Front:
    """A WSGI application."""

    batch: Batch
    moto: Application
    control: Control
    faults: ApiFaults
    calls: CallLog
    reset: Callable[[], None]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path = str(environ.get("PATH_INFO", "/"))
        if (refusal := not_from_here(environ)) is not None:
            _drain(environ)
            return Answer.error(_CONTROL, "AccessDenied", refusal, 403).send(start_response)
        if path == "/moto-api/reset":
            self.reset()
            return Answer.json({"status": "ok"}).send(start_response)
        if path.startswith("/moto-api/"):
            return answer_of(self.moto, environ).send(start_response)
        if path.startswith("/emulator/"):
            return self._control(environ, path).send(start_response)
        return self._aws(environ, start_response)

    def _control(self, environ: Environ, path: str) -> Answer:
        body = body_of(environ)
        try:
            told = self.control.answer(
                str(environ["REQUEST_METHOD"]),
                path,
                str(environ.get("QUERY_STRING", "")),
                body,
                str(environ.get("HTTP_AUTHORIZATION", "")),
            )
        except Refused as refused:
            return Answer.error(_CONTROL, refused.code, refused.message, refused.status)
        return Answer.json(told)

    def _aws(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        at, began = time.time(), time.monotonic()
        call = call_of(environ)
        rule = self.faults.of(call)
        answer = self._with_fault(environ, call, rule)
        took = (time.monotonic() - began) * 1000
        dropped = rule is not None and rule.kind == "dropped"
        status = 0 if dropped else answer.status
        kind = None if rule is None else rule.kind
        key = access_key_of(environ)
        self.calls.add(Logged(at, call.service, call.action, status, round(took, 2), kind, key))
        if dropped:
            _hang_up(environ)
        return answer.send(start_response)

    def _with_fault(self, environ: Environ, call: AwsCall, rule: ApiRule | None) -> Answer:
        if rule is not None and rule.delay_s:
            threading.Event().wait(rule.delay_s)
        if rule is None or rule.kind == "delay":
            return self._serve(environ, call)
        if rule.kind in {"lost_answer", "dropped"}:
            self._serve(environ, call)
        else:
            _drain(environ)
        if rule.kind == "throttle":
            code, status = throttled(call.service)
            return Answer.error(call, code, "Rate exceeded", status)
        return Answer.error(call, rule.code, "A fault of the emulator", rule.status)

    def _serve(self, environ: Environ, call: AwsCall) -> Answer:
        try:
            if call.service == "batch":
                return self._batch(environ, call)
            if call.service == "s3":
                check_s3(environ, call)
            NOW.set(asked(environ, call, self.batch.state.options))
        except Refused as refused:
            _drain(environ)
            return Answer.error(call, refused.code, refused.message, refused.status)
        except Exception:
            logger.exception("emulator_request_failed")
            return Answer.error(call, "ServerException", "The emulator failed; see its log", 500)
        return answer_of(self.moto, environ)

    def _batch(self, environ: Environ, call: AwsCall) -> Answer:
        method, path = str(environ["REQUEST_METHOD"]), str(environ["PATH_INFO"])
        query, body = str(environ.get("QUERY_STRING", "")), body_of(environ)
        if moto_seam.permissions_enforced():
            request = (method, f"{environ.get('RAW_URI', path)}", body)
            for needed in permissions_needed(self.batch.state, call.action, path, body):
                moto_seam.check_permission(request, _headers(environ), needed)
        return Answer.json(self.batch.answer(method, path, query, body))


def not_from_here(environ: Environ) -> str | None:
    """Why a request is not served: jobs run programs on this machine, so no web page may ask.

    A browser says where a page came from, and a name that was made to point here is no loopback
    name.
    """
    host = str(environ.get("HTTP_HOST", "")).rsplit(":", 1)[0]
    if host not in _LOOPBACK and not host.endswith(".localhost"):
        return f"Requests for {host!r} are not served, only for loopback"
    if environ.get("HTTP_ORIGIN") or environ.get("HTTP_SEC_FETCH_SITE"):
        return "Requests of web pages are not served"
    return None


def _headers(environ: Environ) -> dict[str, str]:
    found = {
        key[5:].replace("_", "-").title(): str(value)
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    return found | {"Content-Type": str(environ.get("CONTENT_TYPE", ""))}


def _drain(environ: Environ) -> None:
    """Read what was sent, else the client sees a reset connection and not our answer."""
    stream: Any = environ["wsgi.input"]
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (data := stream.read(min(left, 1 << 20))):
        left -= len(data)


def _hang_up(environ: Environ) -> None:
    connection = environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
