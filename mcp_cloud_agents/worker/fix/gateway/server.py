"""The gateway's door: HTTP over a Unix socket, for programs in the sandbox. All of it is untrusted.

agent in the sandbox ── TCP, its own loopback ──► forwarder.py ── Unix socket ──► here ──► provider
                        token of this job                          provider's key, from here on
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from threading import BoundedSemaphore, Lock, Thread
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.worker.fix.gateway.refusal import Refusal, body_of
from mcp_cloud_agents.worker.fix.gateway.upstream import Unreachable
from mcp_cloud_agents.worker.fix.gateway.wire import PATHS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from types import TracebackType
    from typing import Self

    from mcp_cloud_agents.domain.fix import Provider
    from mcp_cloud_agents.worker.fix.gateway.forwarding import Forwarding

_log = logging.getLogger(__name__)
_AT_ONCE = 8
"""Requests; more wait for their turn in the socket's queue."""
_QUEUE = 32
_IDLE_S = 30.0
"""How long a client may take for its next bytes, or to take ours."""
_LOOK_S = 0.1
"""How often a client that waits for room is told that the gateway closes."""
_BODY_BYTES = 16 << 20
_QUERIES = ("", "beta=true")
_STATUSES = frozenset(HTTPStatus)
_LONGEST_PATH = 100
"""The kernel takes 107 bytes (unix(7)), other systems a few less."""


class Gateway:
    """Serves one job while it is open; its token is worth nothing afterwards.

    Args:
        forwarding: what is done with requests. Its upstream is closed here.
        path: where the socket is made; whoever can open it can talk to the gateway.
    """

    def __init__(self, forwarding: Forwarding, path: str) -> None:
        self.token = secrets.token_urlsafe(32)
        self.path = path
        self.forwarding = forwarding
        self._server = _Server(path, self.token, forwarding)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        """Open the door."""
        os.chmod(self.path, 0o666)  # noqa: S103  the folder above is ours; the sandbox is another user
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it. Requests under way are cut off: what they reserved stays spent."""
        self._server.cut_off()  # first: the server itself may wait for one of them to end
        self._server.shutdown()
        self._server.server_close()
        self.forwarding.upstream.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._thread.join(_IDLE_S)


@contextlib.contextmanager
def _short(path: str) -> Generator[str]:
    """An address for the socket: the path, or the same by a descriptor of its folder."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield path
        return
    folder, name = os.path.split(path)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


class _Server(ThreadingMixIn, UnixStreamServer):
    """A thread for each connection, and one request on each."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _QUEUE

    def __init__(self, path: str, token: str, forwarding: Forwarding) -> None:
        self.token = token.encode()
        self.forwarding = forwarding
        self._room = BoundedSemaphore(_AT_ONCE)
        self._open: set[socket.socket] = set()
        self._closed, self._lock = False, Lock()
        with _short(path) as address:
            super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Wait for room, then answer in a thread."""
        while not self._room.acquire(timeout=_LOOK_S):  # answers may take minutes to end
            if self._closed:
                self.shutdown_request(request)
                return
        with self._lock:
            welcome = not self._closed
            if welcome:
                self._open.add(request)
        if welcome:
            super().process_request(request, client_address)
        else:
            self._room.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the room back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            self._room.release()

    def cut_off(self) -> None:
        """End the connections that there are, and take no more."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients come and go; what they did wrong is theirs."""
        _log.info("gateway_connection_ended", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One request. Headers of the client are read here and go no further."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    disable_nagle_algorithm = False  # a Unix socket has none
    server_version, sys_version = "gateway", ""

    def handle(self) -> None:
        """One request a connection."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            self.handle_one_request()

    def do_POST(self) -> None:
        """Forward what may be forwarded, refuse the rest."""
        self.close_connection = True
        client = _Connection(self)
        provider: Provider | None = None
        try:
            self._authorise()
            provider = self._asked_provider()
            betas = self.headers.get("anthropic-beta", "")
            self._door.forwarding.forward(provider, self._body(), betas, client)
        except Refusal as refusal:
            client.refuse(refusal, provider)
        except Unreachable as exc:
            client.refuse(Refusal(502, f"The model's answer broke off: {exc}."), provider)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_CONNECT = do_POST

    @property
    def _door(self) -> _Server:
        return cast("_Server", self.server)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what clients ask is in the transcript."""

    def _authorise(self) -> None:
        """Raises a refusal for everybody who does not have the job's token."""
        given = self.headers.get("x-api-key", "")
        if not given:
            given = self.headers.get("authorization", "").removeprefix("Bearer ")
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self._door.token):
            raise Refusal(401, "This is not the token of this job.")

    def _asked_provider(self) -> Provider:
        """The path alone says whose format it is; one that names a host is none of them."""
        path, _, query = self.path.partition("?")
        provider = PATHS.get(path)
        if provider is None or query not in _QUERIES:
            raise Refusal(404, "The gateway has no such path.")
        if self.command != "POST":
            raise Refusal(405, "Only POST is answered here.")
        return provider

    def _body(self) -> bytes:
        length = self.headers.get("content-length", "")
        if self.headers.get("transfer-encoding") or self.headers.get("content-encoding"):
            raise Refusal(400, "The body has to come plain, with its length.")
        if not length.isascii() or not length.isdigit() or len(length) > len(str(_BODY_BYTES)):
            raise Refusal(400, "The length of the body is missing, or too large.")
        if int(length) > _BODY_BYTES:
            raise Refusal(413, f"The body is larger than {_BODY_BYTES >> 20} MiB.")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise Refusal(400, "The body ended early.")
        return body


class _Connection:
    """`forwarding.Client` over a connection. A client that is gone does not stop the answer.

    Its end tells what it used; a provider goes on, and charges, when nobody listens any more.
    """

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._begun = self._gone = False

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """See `forwarding.Client`."""
        self._begun = True
        phrase = HTTPStatus(status).phrase if status in _STATUSES else "Status"
        own = {"transfer-encoding": "chunked", "connection": "close"}
        lines = [f"{name}: {value}" for name, value in {**headers, **own}.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "", ""])
        self._tell(head.encode("latin-1", "replace"))

    def piece(self, data: bytes) -> None:
        """See `forwarding.Client`."""
        if data:
            self._tell(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        """See `forwarding.Client`."""
        self._tell(b"0\r\n\r\n")

    def refuse(self, refusal: Refusal, provider: Provider | None) -> None:
        """Say why not, unless an answer has begun: then it just ends, which clients see."""
        if self._begun:
            return
        self.begin(refusal.status, {"content-type": "application/json"})
        self.piece(body_of(refusal, provider))
        self.end()

    def _tell(self, data: bytes) -> None:
        if not self._gone:
            try:
                self._handler.wfile.write(data)
            except OSError:
                self._gone = True
