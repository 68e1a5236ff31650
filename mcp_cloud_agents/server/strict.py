"""Arguments held against a tool's schema to the letter.

The SDK ignores unknown arguments in silence and turns "3" into 3; a misspelt limit costs money.
"""

from __future__ import annotations

from typing import Any

from mcp_cloud_agents.server.answers import Problem


def wrong_arguments(name: str, schema: dict[str, Any], arguments: dict[str, Any]) -> Problem | None:
    """What does not fit, as one problem; None when all fits."""
    from jsonschema import Draft202012Validator  # 110 ms: not before the first call

    validator: Any = Draft202012Validator(schema)  # its stubs leave the errors untyped
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
