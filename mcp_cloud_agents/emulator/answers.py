"""A whole HTTP answer, from an application behind us or made here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from mcp_cloud_agents.emulator.error_answers import Headers, error_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_cloud_agents.emulator.aws_calls import AwsCall, Environ


class StartResponse(Protocol):
    """WSGI's."""

    def __call__(self, status: str, headers: Headers, exc_info: Any = None, /) -> Any:
        """Begin the answer."""
        ...


class Application(Protocol):
    """A WSGI application."""

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        """Serve one request."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Status code, headers, body."""

    status: int
    headers: Headers
    body: bytes

    @classmethod
    def json(cls, value: object, status: int = 200) -> Answer:
        """One of our own."""
        body = json.dumps(value).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        return cls(status, headers, body)

    @classmethod
    def error(cls, call: AwsCall, code: str, message: str, status: int) -> Answer:
        """As the called service would write it."""
        headers, body = error_answer(call, code, message)
        return cls(status, headers, body)

    def send(self, start_response: StartResponse) -> Iterable[bytes]:
        """As the end of a WSGI application."""
        start_response(f"{self.status} {_phrase(self.status)}", self.headers)
        return [self.body]


def answer_of(application: Application, environ: Environ) -> Answer:
    """What another application answers."""
    told: list[tuple[str, Headers]] = []

    def start(status: str, headers: Headers, exc_info: Any = None, /) -> None:
        del exc_info
        told.append((status, headers))

    parts = application(environ, start)
    try:
        body = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    status, headers = told[-1]
    return Answer(int(status.split(" ", 1)[0]), headers, body)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
