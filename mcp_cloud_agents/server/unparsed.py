"""Lines that are no message are answered, as JSON-RPC 2.0 asks ("Error object").

The SDK drops them with a line in its debug log, and whoever sent one waits for ever. The usual one
holds half of a surrogate pair, which Python and JavaScript write without a word: it is no text.
"""

from __future__ import annotations

import json
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

if TYPE_CHECKING:
    from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream

_NOT_JSON = frozenset({"json_invalid", "string_unicode"})
_HINT = "Send one JSON-RPC 2.0 message a line, as valid UTF-8 without lone surrogates."
_ID_CHARS = 200


class Answering:
    """The SDK's stream of messages without the lines that are none: they are answered here.

    Args:
        read: messages, and what went wrong with a line.
        write: where answers go.
    """

    def __init__(
        self,
        read: ContextReceiveStream[SessionMessage | Exception],
        write: ContextSendStream[SessionMessage],
    ) -> None:
        self._read = read
        self._write = write

    @property
    def last_context(self) -> Context | None:
        """Of the last message, as the SDK wants it."""
        return self._read.last_context

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        while True:
            item = await self._read.receive()
            if not isinstance(item, ValidationError):
                return item
            if (error := answer_to(item)) is not None:
                await self._write.send(SessionMessage(error))

    async def aclose(self) -> None:
        """Close the stream."""
        await self._read.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        await self.aclose()
        return None


def answer_to(wrong: ValidationError) -> JSONRPCError | None:
    """The error a line is answered with; None for an empty one."""
    first = wrong.errors(include_url=False, include_context=False)[0]
    line: object = first["input"]
    not_json = first["type"] in _NOT_JSON
    if not_json and not str(line).strip():
        return None
    code = PARSE_ERROR if not_json else INVALID_REQUEST
    what = "Parse error" if not_json else "Invalid request"
    return JSONRPCError(
        jsonrpc="2.0",
        id=_id_of(line) if not_json else None,
        error=ErrorData(code=code, message=f"{what}: {first['msg']}.", data={"hint": _HINT}),
    )


def _id_of(line: object) -> int | str | None:
    """The id of a request that Python's more tolerant parser can read; None: nobody knows it."""
    try:
        message: Any = json.loads(str(line))
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    found = cast("dict[str, object]", message).get("id")
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    return found if isinstance(found, str) and _is_text(found) else None


def _is_text(found: str) -> bool:
    surrogate = any("\ud800" <= char <= "\udfff" for char in found)
    return len(found) <= _ID_CHARS and not surrogate
