"""One limit for two machines, through the programs that people type: a table of an emulated AWS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.terminal import program
from tests.e2e.wire import Repository
from tests.ledgers import an_emulator

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]
FILE = """\
[fix]
max_usd = 0.3
[[fix.models]]
provider = "anthropic"
model = "claude-haiku-4-5"
base_url = "http://127.0.0.1:9"
key = "env:A_KEY"
[budget.team]
table = "{table}"
month_usd = 0.5
[aws]
region = "us-east-1"
bucket = "nobodys-bucket"
endpoint_url = "{endpoint}"
[aws.queues]
fargate = "q"
[aws.job_definitions]
x86_64 = "d"
"""
GOAL = ("submit", "fix", "make it pass", "--tests", "false", "--backend", "local", "--detach")


@pytest.fixture
def shared(repository: Repository) -> Iterator[Repository]:
    """A member's machine, its keys, and the table of the team."""
    with an_emulator() as emulator:
        from mcp_cloud_agents.emulator.bootstrap import make_team_table

        table = make_team_table(emulator.endpoint, "us-east-1")["team_budget_table"]["value"]
        file = Path(repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FILE.format(table=table, endpoint=emulator.endpoint))
        repository.env.update(emulator.environment, A_KEY="a-key-of-a-test")
        yield repository


def test_what_one_machine_holds_another_may_not_spend(shared: Repository) -> None:
    first = program(shared, *GOAL)
    assert first.returncode == 0, first.stderr
    state = f"{shared.env['MCP_CLOUD_AGENTS_STATE_DIR']}-2"
    second = program(shared, *GOAL, "--fresh", MCP_CLOUD_AGENTS_STATE_DIR=state)
    assert second.returncode == 2
    assert "error over_budget" in second.stderr
    assert "may cost 0.3 USD, and the limit of this team has 0.2 USD left" in second.stderr
    raised = program(shared, "configure", "team", "--month-usd", "5")
    assert raised.stdout.startswith("this month: 5 USD, "), raised.stderr
