"""A model server on loopback that says what scripts say, in three wire formats, plain and streamed.

`POST /SCRIPT/v1/messages`, `/SCRIPT/v1/responses`, `/SCRIPT/v1/chat/completions`: the first segment
of the path names the script, so the base URL chooses it. `v1` may be left out.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, cast

from tests.model_server.formats import anthropic, openai_chat, openai_responses
from tests.model_server.formats.format import Format
from tests.model_server.script import Play, Said, Script

_FORMATS: dict[str, Format] = {
    "messages": cast("Format", anthropic),
    "responses": cast("Format", openai_responses),
    "completions": cast("Format", openai_chat),
}
_MAX_BODY = 64 << 20


class Request:
    """A request as it came."""

    def __init__(self, script: str, path: str, headers: Message, body: str) -> None:
        self.script = script
        self.path = path
        self.text = body
        try:
            self.body: dict[str, Any] = json.loads(body)
        except ValueError:
            self.body = {}
        self.key = headers.get("x-api-key") or headers.get("authorization", "")[len("Bearer ") :]
        self.streamed = bool(self.body.get("stream"))


class ModelServer(ThreadingHTTPServer):
    """The server; `requests` is what came, in order."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, scripts: Mapping[str, Script], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.requests: list[Request] = []
        self.ended = Event()
        self._lock = Lock()
        self._plays = {name: Play(script) for name, script in scripts.items()}

    @property
    def url(self) -> str:
        """Without a slash at its end; a script's name follows."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, name: str, script: Script) -> str:
        """Add a script, or begin one anew; its base URL for Anthropic (OpenAI's adds `/v1`)."""
        with self._lock:
            self._plays[name] = Play(script)
        return f"{self.url}/{name}"

    def seen(self, name: str) -> list[Request]:
        """Requests for a script, in the order in which they came."""
        with self._lock:
            return [request for request in self.requests if request.script == name]

    def take(self, request: Request) -> Said | None:
        """Keep a request; the answer to it, or None for an unknown script."""
        with self._lock:
            self.requests.append(request)
            play = self._plays.get(request.script)
        return play.next(request.text) if play else None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    retry_after = ""

    @property
    def models(self) -> ModelServer:
        return cast("ModelServer", self.server)

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), _MAX_BODY))
        path = self.path.partition("?")[0].strip("/").split("/")
        request = Request(path[0], "/".join(path[1:]), self.headers, body.decode("utf-8"))
        form, said = _FORMATS.get(path[-1]), self.models.take(request)
        if form is None or said is None:
            self._send(404, (form or anthropic).error(404, f"nothing is at {self.path}"))
            return
        self.retry_after = said.turn.retry_after
        if said.turn.delay:
            self.models.ended.wait(said.turn.delay)
        self._answer(form, said, request)

    def _answer(self, form: Format, said: Said, request: Request) -> None:
        turn, model = said.turn, str(request.body.get("model", ""))
        if turn.drop == "at_once":
            self._hang_up()
        elif turn.raw:
            self._send_bytes(turn.status, turn.raw.encode())
        elif turn.status != 200 and not (turn.in_stream and request.streamed):
            self._send(turn.status, form.error(turn.status, turn.message))
        elif request.streamed:
            self._stream(form, said, model)
        else:
            self._send(200, form.whole(said, model), whole=not turn.drop)

    def _stream(self, form: Format, said: Said, model: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        events = list(form.events(said, model))
        if said.turn.status != 200 or said.turn.drop:
            events = events[: len(events) // 2]
        if said.turn.status != 200:
            events.append(form.error_event(said.turn))
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            self._chunk(f"{head}data: {data}\n\n".encode())
        if said.turn.drop:
            self._hang_up()
        else:
            self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send(self, status: int, body: Mapping[str, Any], *, whole: bool = True) -> None:
        self._send_bytes(status, json.dumps(body).encode(), whole=whole)

    def _send_bytes(self, status: int, body: bytes, *, whole: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.retry_after:
            self.send_header("Retry-After", self.retry_after)
        self.end_headers()
        self.wfile.write(body if whole else body[: len(body) // 2])
        if not whole:
            self.wfile.flush()
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def model_server(scripts: Mapping[str, Script] | None = None) -> Generator[ModelServer]:
    """A server in a thread of this process; it ends with the block."""
    with ModelServer(scripts or {}) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join(10)
