"""`submit … --estimate`: what the job would cost, and nothing is started."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcp_cloud_agents.cli.session import write
from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.domain.rendering import render_text

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.money import Estimate


def show_estimate(estimate: Estimate, *, as_json: bool) -> None:
    """Print it: the worst case with its parts, what is expected, notes."""
    if as_json:
        write(json.dumps(_as_json(estimate)) + "\n")
        return
    parts = ", ".join(f"{name} {usd(micros)}" for name, micros in estimate.parts)
    write(f"worst     {usd(estimate.worst_micros)} USD{f': {parts}' if parts else ''}\n")
    write(f"expected  {usd(estimate.expected_micros)} USD\n")
    for note in estimate.notes:
        write(f"note      {render_text(note)}\n")


def _as_json(estimate: Estimate) -> dict[str, object]:
    return {
        "worst_usd": usd(estimate.worst_micros),
        "expected_usd": usd(estimate.expected_micros),
        "parts_usd": {name: usd(micros) for name, micros in estimate.parts},
        "notes": list(estimate.notes),
    }
