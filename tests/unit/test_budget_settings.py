"""The table `[budget]`: sums that make no sense are refused by name and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_cloud_agents.domain.budget import BudgetTable
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.settings import Settings, load


def with_file(home: Path, text: str) -> Settings:
    file = home / ".config/mcp-cloud-agents/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    variables = {"HOME": str(home), "MCP_CLOUD_AGENTS_BUDGET_DAY_USD": "999"}
    return load(variables, cwd=str(home))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("job_usd = -1", "budget.job_usd"),
        ("day_usd = -0.01", "budget.day_usd"),
        ("month_usd = 1e9", "budget.month_usd"),
        ("session_usd = nan", "not valid TOML"),
        ("workspace_month_usd = inf", "not valid TOML"),
        ('day_usd = "25"', "budget.day_usd"),
        ("day_usd = true", "budget.day_usd"),
        ("day_usd = [1]", "budget.day_usd"),
        ("days_usd = 1", "budget.days_usd"),
        ("approval_minutes = 0", "budget.approval_minutes"),
        ("approval_minutes = 20000", "budget.approval_minutes"),
        ('team = { table = "t", month_usd = -1 }', "budget.team"),
        ('team = { when_unreachable = "spend" }', "budget.team"),
        ("team = { local_usd = -5 }", "budget.team"),
    ],
)
def test_absurd_limits_are_refused_with_their_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadConfig) as raised:
        with_file(tmp_path, f"[budget]\n{line}\n")
    assert said in raised.value.message
    assert "config.toml, line 2" in raised.value.message
    assert raised.value.hint


def test_limits_come_from_the_file_alone(tmp_path: Path) -> None:
    assert with_file(tmp_path, "[budget]\nday_usd = 0\n").budget == BudgetTable(day_usd=0)
