"""The part of `doctor` about what jobs in AWS cost: whether the table of prices can be used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.cli.finding import Finding
from mcp_cloud_agents.domain.errors import BadConfig

if TYPE_CHECKING:
    from mcp_cloud_agents.settings import Settings


def prices(settings: Settings) -> list[Finding]:
    """One line; none when no job runs in AWS."""
    if settings.aws is None:
        return []
    from mcp_cloud_agents.backends.aws_batch.prices import load_prices

    try:
        table = load_prices(settings.file)
    except BadConfig as exc:
        return [Finding(name="prices", ok=False, said=exc.message, remedy=exc.hint)]
    old = table.old_at(time.time())
    said = f"AWS's prices of {table.as_of}, {table.region} times a factor for each region"
    return [Finding(name="prices", ok=not old, said=said, remedy=table.age_note)]
