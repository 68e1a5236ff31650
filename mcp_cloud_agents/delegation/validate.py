"""First stage: whether a request makes sense at all. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import Request
    from mcp_cloud_agents.domain.fix_policy import FixWish

MAX_COMMAND_CHARS = 32_768
MAX_KEY_CHARS = 200
MAX_GOAL_CHARS = 20_000
MAX_PATHS = 1_000
MIN_TIMEOUT_S, MAX_TIMEOUT_S = 1, 24 * 3600


def validate(request: Request) -> None:
    """Check every value of a request.

    Raises:
        InvalidArgument: naming the argument and what it may be.
    """
    wish = request.wish
    command = "command" if wish.fix is None else "test_command"
    _text(command, wish.command, MAX_COMMAND_CHARS)
    _text("workspace", request.workspace, 4_096)
    _text("idempotency_key", request.key, MAX_KEY_CHARS)
    if wish.command is not None and not wish.command.strip():
        raise InvalidArgument(f"{command} is empty.", hint="Leave it out, or say what to run.")
    if len(wish.paths) > MAX_PATHS:
        raise InvalidArgument(
            f"paths has {len(wish.paths)} entries; at most {MAX_PATHS} are taken.",
            hint="Name folders instead of single files.",
        )
    for path in wish.paths:
        _path(path)
    if wish.fix is not None:
        _fix(wish.fix)
    if wish.timeout_s is not None and not MIN_TIMEOUT_S <= wish.timeout_s <= MAX_TIMEOUT_S:
        raise InvalidArgument(
            f"timeout_minutes is {wish.timeout_s / 60:g}; it may be {MIN_TIMEOUT_S / 60:.2g} "
            f"to {MAX_TIMEOUT_S // 60}.",
            hint="Pass a number of minutes within these bounds, or leave it out.",
        )


def _fix(wish: FixWish) -> None:
    _text("goal", wish.goal, MAX_GOAL_CHARS)
    _text("command", wish.edit_command, MAX_COMMAND_CHARS)
    if not wish.goal.strip():
        raise InvalidArgument("goal is empty.", hint="Say in a sentence what shall be true.")
    if wish.edit_command is not None and not wish.edit_command.strip():
        raise InvalidArgument("command is empty.", hint="Leave it out, or say what edits files.")
    if wish.attempts < 1:
        raise InvalidArgument(
            f"attempts is {wish.attempts}; it must be at least 1.", hint="Leave it out for one."
        )
    if wish.max_usd is not None and not wish.max_usd > 0:
        raise InvalidArgument(
            f"max_usd is {wish.max_usd:g}; it must be above 0.",
            hint='Leave it out, or pass engine="command", which costs nothing.',
        )


def _text(name: str, value: str | None, longest: int) -> None:
    if value is None:
        return
    if "\0" in value:
        raise InvalidArgument(
            f"{name} holds a NUL character.", hint="No program can be given one; remove it."
        )
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidArgument(f"{name} is not valid Unicode.", hint="Send it as UTF-8 text.")
    if len(value) > longest:
        raise InvalidArgument(
            f"{name} has {len(value)} characters; at most {longest} are taken.",
            hint="Put long scripts into a file of the tree and run that.",
        )


def _path(path: str) -> None:
    _text("paths", path, 4_096)
    if not path or path.startswith(("/", "-")) or ".." in path.split("/"):
        raise InvalidArgument(
            f"paths has {path!r}: each must be relative to workspace or to the top of the tree, "
            "inside it, and not begin with '-'.",
            hint="Pass paths such as tests/unit or tests/test_a.py::test_b.",
        )
