"""Arguments held against a tool's schema to the letter.

The SDK ignores unknown arguments in silence and turns "3" into 3; a misspelt limit costs money.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mcp_cloud_agents.server.answers import Problem

_LARGEST = 2**63


def wrong_arguments(name: str, schema: dict[str, Any], arguments: dict[str, Any]) -> Problem | None:
    """What does not fit, as one problem; None when all fits."""
    validator = _validator()(schema)
    wrong: list[Any] = sorted(validator.iter_errors(arguments), key=str)
    if not wrong:
        return None
    told = "; ".join(f"{error.json_path}: {error.message[:200]}" for error in wrong[:5])
    known = ", ".join(sorted(schema.get("properties", {}))) or "none"
    return Problem(
        code="invalid_argument",
        message=f"{name}: {told}",
        hint=f"Arguments of {name}: {known}. Nothing was started.",
    )


def unknown_tool(name: str, known: list[str]) -> Problem:
    """A call of a tool that does not exist."""
    return Problem(
        code="unknown_tool",
        message=f"There is no tool {name[:100]!r}.",
        hint=f"The tools are: {', '.join(known)}.",
    )


@cache
def _validator() -> Any:  # jsonschema's stubs leave validators and their errors untyped
    from jsonschema import Draft202012Validator, validators  # 110 ms: not before the first call

    make: Any = validators
    types: Any = Draft202012Validator.TYPE_CHECKER
    return make.extend(Draft202012Validator, type_checker=types.redefine("integer", _is_integer))


def _is_integer(_: object, value: object) -> bool:
    """JSON Schema counts 1e300 as an integer; no argument of ours can be one."""
    if isinstance(value, float):
        return value.is_integer() and abs(value) < _LARGEST
    return isinstance(value, int) and not isinstance(value, bool)
