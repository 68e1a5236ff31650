"""How a run of the agent ended, in our words: limits, loops, refusals, models that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic_ai.exceptions import (
    ContentFilterError,
    FallbackExceptionGroup,
    ModelAPIError,
    ModelHTTPError,
    RunTimedOut,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.workspaces import WorkspaceError

from mcp_cloud_agents.domain.fix import StopReason
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.worker.fix.engine import Ended
from mcp_cloud_agents.worker.fix.loop.loops import Looping
from mcp_cloud_agents.worker.fix.meter import BudgetExhausted

if TYPE_CHECKING:
    from mcp_cloud_agents.governance.redaction import Redactor

MAX_MESSAGE_CHARS = 500
_DENIED = (
    "the job's AWS role may not call bedrock:InvokeModel for it (bedrock_models of the Terraform "
    "module), or the account has no access to it: "
)
"""In front of Bedrock's own words, which do not always name the action."""


def planned(error: Exception) -> Exception:
    """The one error in the groups that task groups wrap it in."""
    if isinstance(error, ExceptionGroup) and not isinstance(error, FallbackExceptionGroup):
        inner = cast("ExceptionGroup[Exception]", error).exceptions
        if len(inner) == 1:
            return planned(inner[0])
    return cast("Exception", error)


def ended(error: Exception, redactor: Redactor) -> Ended | None:
    """How a run ended that raised this; None: it is no end of a model's run, so it goes on up."""
    match error:
        case BudgetExhausted():
            reason, message = error.reason, error.message
        case Looping():
            reason, message = StopReason.LOOP, error.message
        case RunTimedOut():
            reason, message = StopReason.WALL_CLOCK, "The time for this attempt is over."
        case ContentFilterError():
            reason, message = StopReason.REFUSED, f"The model refused: {error.message}"
        case UnexpectedModelBehavior():
            reason, message = StopReason.REFUSED, f"The answers could not be used: {_why(error)}"
        case FallbackExceptionGroup():
            told = "; ".join(_told(one) for one in error.exceptions)
            reason, message = StopReason.MODEL_FAILED, f"Every model failed: {told}"
        case ModelAPIError():
            reason, message = StopReason.MODEL_FAILED, f"The model failed: {_told(error)}"
        case WorkspaceError():
            reason, message = StopReason.COMMAND_FAILED, f"The sandbox failed: {error}"
        case UserError():
            reason, message = StopReason.MODEL_FAILED, f"The model cannot be used: {error.message}"
        case _:
            return None
    return Ended(reason=reason, message=one_line(message, redactor))


def one_line(text: str, redactor: Redactor) -> str:
    """Rendered, redacted, on one line."""
    flat = " ".join(render_text(redactor.text(text)).split())
    return flat if len(flat) <= MAX_MESSAGE_CHARS else f"{flat[:MAX_MESSAGE_CHARS]}…"


def _told(error: BaseException) -> str:
    """Which model, and what it said."""
    if isinstance(error, ModelHTTPError):
        denied = _DENIED if error.provider_error_code == "AccessDeniedException" else ""
        return f"{error.model_name}: HTTP {error.status_code}: {denied}{_body(error)}"
    if isinstance(error, ModelAPIError):
        said = error.message
        return said if error.model_name in said else f"{error.model_name}: {said}"
    return str(error)


def _body(error: ModelHTTPError) -> str:
    """The provider's own words, out of `{"error": {"type", "message"}}` where it is that."""
    body: object = error.body
    match body:
        case (
            {"error": {"message": str(message)}}
            | {"Error": {"Message": str(message)}}
            | {"message": str(message)}
        ):
            return message
        case _:
            return str(body or error.message)


def _why(error: UnexpectedModelBehavior) -> str:
    cause = error.__cause__
    return error.message if cause is None else f"{error.message} ({cause})"
