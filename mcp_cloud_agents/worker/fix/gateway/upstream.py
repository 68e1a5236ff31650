"""The way to a provider: one host a route, its key in the header, nothing else of the client's."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2 as httpx

from mcp_cloud_agents.domain.fix import ModelRoute, Provider
from mcp_cloud_agents.worker.fix.gateway.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

_HOSTS = {
    Provider.ANTHROPIC: "https://api.anthropic.com",
    Provider.OPENAI: "https://api.openai.com/v1",
    Provider.OPENAI_CHAT: "https://api.openai.com/v1",
}
_PATHS = {
    Provider.ANTHROPIC: "/v1/messages",
    Provider.OPENAI: "/responses",
    Provider.OPENAI_CHAT: "/chat/completions",
}
"""After the base URL, as the providers' own libraries build it."""
_PASSED_BACK = ("content-type", "retry-after")
_BETAS = re.compile(r"[a-z0-9-]{1,80}(\s*,\s*[a-z0-9-]{1,80}){0,31}")
_TIMEOUT = httpx.Timeout(connect=10.0, read=120.0, write=30.0, pool=10.0)
_ANSWER_BYTES, _ANSWER_S = 64 << 20, 600.0
_ERROR_BYTES = 65_536
_HIDDEN_ERRORS = (401, 403)
"""Their text names the account, and parts of the key."""


class Unreachable(Exception):
    """No answer came.

    Attributes:
        sent: whether the provider may have begun to work on it.
        late: whether it was waited for until the time was up.
    """

    def __init__(self, message: str, *, sent: bool, late: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.late = late


class Overloaded(Unreachable):
    """It was not asked, as it failed too often just now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class Answer:
    """A provider's answer, whose body is read once."""

    def __init__(self, response: httpx.Response, key: str) -> None:
        self._response = response
        self._key = key
        self.status = response.status_code
        self.broken = False
        """Whether its body broke off."""

    def headers(self) -> dict[str, str]:
        """What of its headers the client gets: nothing that names an account."""
        found = self._response.headers
        return {name: found[name] for name in _PASSED_BACK if name in found}

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes.

        Raises:
            Unreachable: it broke off, is too large, or takes too long.
        """
        size, deadline = 0, time.monotonic() + _ANSWER_S
        try:
            for piece in self._response.iter_bytes():
                size += len(piece)
                if size > _ANSWER_BYTES or time.monotonic() > deadline:
                    self.broken = True
                    raise Unreachable("the answer has no end", sent=True)
                yield piece
        except httpx.HTTPError as exc:
            self.broken = True
            raise Unreachable(_named(exc), sent=True) from exc

    def error(self) -> bytes:
        """The body of an error, without what it says of the key or the account.

        Raises:
            Refusal: in place of the body.
            Unreachable: it broke off.
        """
        if self.status in _HIDDEN_ERRORS:
            raise Refusal(403, f"The provider refuses the key of this model ({self.status}).")
        body = b""
        for piece in self.pieces():
            body += piece
            if len(body) >= _ERROR_BYTES:
                break
        body = body[:_ERROR_BYTES]
        return body.replace(self._key.encode(), b"[key]") if self._key else body


class Upstream:
    """Sends requests to the hosts of routes. Threads may share it.

    Args:
        keys: values by reference.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._client = httpx.Client(
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=32),
        )

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    @contextmanager
    def sent(self, route: ModelRoute, body: bytes, betas: str) -> Generator[Answer]:
        """Send a request; inside, its answer has begun.

        Args:
            route: where to.
            body: JSON.
            betas: what the client wrote into `anthropic-beta`.

        Raises:
            Unreachable: no answer came.
        """
        url = (route.base_url or _HOSTS[route.provider]).rstrip("/") + _PATHS[route.provider]
        key = self._keys.get(route.key, "")
        request = self._client.build_request(
            "POST", url, content=body, headers=_headers(route, key, betas)
        )
        try:
            response = self._client.send(request, stream=True)
        except httpx.ConnectError as exc:
            raise Unreachable(_named(exc), sent=False) from exc
        except httpx.HTTPError as exc:
            connected = not isinstance(exc, httpx.ConnectTimeout | httpx.PoolTimeout)
            late = isinstance(exc, httpx.TimeoutException)
            raise Unreachable(_named(exc), sent=connected, late=late) from exc
        try:
            yield Answer(response, key)
        finally:
            response.close()


def _headers(route: ModelRoute, key: str, betas: str) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "mcp-cloud-agents",
    }
    if route.provider is Provider.ANTHROPIC:
        headers["anthropic-version"] = "2023-06-01"
        if _BETAS.fullmatch(betas):
            headers["anthropic-beta"] = betas
        if key:
            headers["x-api-key"] = key
    elif key:
        headers["authorization"] = f"Bearer {key}"
    return headers


def _named(exc: httpx.HTTPError) -> str:
    """What happened; the text of the library's errors may hold addresses, its names do not."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(exc).__name__).lower()
