"""Each step of the model: counted, recorded, held against loops, its results marked as data."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ToolFailedError, ToolRetryError
from pydantic_ai.messages import (
    ModelRequest,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
)

from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.worker.fix.engine import Transcript
from mcp_cloud_agents.worker.fix.loop.loops import Loops
from mcp_cloud_agents.worker.fix.loop.prompt import as_data
from mcp_cloud_agents.worker.fix.loop.told import MAX_CHARS, clipped
from mcp_cloud_agents.worker.fix.meter import Meter

if TYPE_CHECKING:
    from pydantic_ai.capabilities import ValidatedToolArgs, WrapToolExecuteHandler
    from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponsePart
    from pydantic_ai.models import ModelRequestContext
    from pydantic_ai.tools import RunContext, ToolDefinition

    from mcp_cloud_agents.worker.fix.loop.tools import Attempt


@dataclass
class Supervision(AbstractCapability["Attempt"]):
    """What goes over every request and every call of a tool."""

    meter: Meter
    transcript: Transcript
    redactor: Redactor
    mark: str
    loops: Loops = field(default_factory=Loops)
    _told: int = 0
    """Messages that are in the transcript already."""

    async def before_model_request(
        self, ctx: RunContext[Attempt], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Record what is new in the prompt; results of tools were recorded when they came."""
        for number, message in enumerate(ctx.messages[self._told :], self._told):
            if number == 0 and isinstance(message, ModelRequest):
                self.transcript.write("prompt", instructions=message.instructions)
            for text in _said_to_the_model(message):
                self.transcript.write("prompt", text=text)
        self._told = len(ctx.messages)
        return request_context

    async def after_model_request(
        self,
        ctx: RunContext[Attempt],
        *,
        request_context: ModelRequestContext,
        response: ModelResponse,
    ) -> ModelResponse:
        """Record the answer, and make it one that can be sent back in the history."""
        del ctx, request_context
        response = replace(response, parts=[_mended(part) for part in response.parts])
        self.transcript.write(
            "answer",
            model=response.model_name,
            finish=response.finish_reason,
            parts=[_answer_part(part) for part in response.parts],
        )
        return response

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Attempt],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: ValidatedToolArgs,
        handler: WrapToolExecuteHandler,
    ) -> Any:
        """Run a tool.

        Raises:
            BudgetExhausted: there were enough calls.
            Looping: this one came too often.
        """
        del ctx, tool_def
        self.meter.tool_call()
        began = time.monotonic()
        try:
            result = await handler(args)
        except (ToolRetryError, ToolFailedError) as exc:  # the library's way back to the model
            self._record(call.tool_name, args, str(exc), began)
            self.loops.advice(call.tool_name, args, str(exc))
            raise
        text = _sendable(result) if isinstance(result, str) else "[not text, so it is not shown]"
        self._record(call.tool_name, args, text, began)
        advice = self.loops.advice(call.tool_name, args, text)
        data = as_data(self.mark, clipped(self.redactor.known(text), MAX_CHARS))
        return f"{data}\n{advice}" if advice else data

    def _record(self, tool: str, args: ValidatedToolArgs, result: str, began: float) -> None:
        duration_s = round(time.monotonic() - began, 3)
        self.transcript.write(
            "tool", name=tool, arguments=args, result=result, duration_s=duration_s
        )


def _sendable(text: str) -> str:
    """Without halves of characters, as odd bytes in names become: no request takes them."""
    return text.encode("utf-8", "replace").decode()


def _mended(part: ModelResponsePart) -> ModelResponsePart:
    match part:
        case TextPart():
            return replace(part, content=_sendable(part.content))
        case ToolCallPart(args=dict(args)):
            return replace(part, args=json.loads(_sendable(json.dumps(args, ensure_ascii=False))))
        case _:
            return part


def _said_to_the_model(message: ModelMessage) -> list[str]:
    if not isinstance(message, ModelRequest):
        return []
    parts = [part for part in message.parts if not isinstance(part, ToolReturnPart)]
    return [str(getattr(part, "content", "")) for part in parts]


def _answer_part(part: object) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"text": part.content}
        case ThinkingPart():
            return {"thinking": part.content}
        case ToolCallPart():
            return {"call": part.tool_name, "arguments": part.args}
        case _:
            return {"part": type(part).__name__}
