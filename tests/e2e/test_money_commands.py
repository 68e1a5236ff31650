"""`costs`, `submit --estimate`, `stop --all` and `resume`, as a person types them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mcp_cloud_agents.ports.ledger import Limit, Order, Scope, ScopeKind, Tags
from mcp_cloud_agents.storage.sqlite_ledger import SqliteLedger
from tests.e2e.terminal import program
from tests.e2e.wire import Connect, Repository

pytestmark = pytest.mark.timeout(180)
MODEL = """\
[fix]
max_usd = 0.3
[[fix.models]]
provider = "anthropic"
model = "claude-haiku-4-5"
base_url = "http://127.0.0.1:9"
key = "env:NO_KEY"
"""
AWAY = """\
[aws]
region = "us-east-1"
bucket = "nobodys-bucket"
endpoint_url = "http://127.0.0.1:9"
[aws.queues]
fargate = "mcp-cloud-agents-fargate"
[aws.job_definitions]
x86_64 = "mcp-cloud-agents-x86_64"
"""


def configure(repository: Repository, text: str, name: str = "config.toml") -> None:
    file = Path(repository.env["HOME"], ".config/mcp-cloud-agents", name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def state(repository: Repository) -> Path:
    return Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])


def spend(repository: Repository, token: str, *, actual: int | None, agent: str = "a") -> None:
    """A job's money in the ledger; None: it is held."""
    folder = state(repository)
    folder.mkdir(exist_ok=True)
    ledger, now = SqliteLedger(str(folder / "ledger.sqlite")), time.time()
    day = Scope(kind=ScopeKind.DAY, key=time.strftime("%Y-%m-%d", time.gmtime(now)))
    order = Order(
        token=token,
        amount_micros=2_000_000,
        limits=(Limit(scope=day, cap_micros=25_000_000),),
        at=now,
        expires_at=now + 3_600,
        tags=Tags(agent=agent, backend="aws_batch", workspace="/w"),
    )
    ledger.reserve([order])
    if actual is not None:
        ledger.settle(token, actual, at=now)


def test_an_estimate_names_the_worst_case_and_starts_nothing(repository: Repository) -> None:
    configure(repository, MODEL)
    words = ("submit", "fix", "g", "--engine", "model", "--tests", "true", "--estimate")
    done = program(repository, *words, NO_KEY="k")
    assert done.stdout == "worst     0.3 USD: models 0.3\nexpected  0.15 USD\n", done.stderr
    plain = program(repository, "submit", "command", "true", "--estimate", "--json")
    assert json.loads(plain.stdout) == {
        "worst_usd": "0",
        "expected_usd": "0",
        "parts_usd": {},
        "notes": [],
    }
    assert list((state(repository) / "jobs").iterdir()) == []


def test_costs_shows_groups_what_is_held_and_what_is_left(repository: Repository) -> None:
    spend(repository, "j1", actual=1_000_000, agent="run_tests_cloud")
    spend(repository, "j2", actual=250_000, agent="fix_in_sandbox")
    spend(repository, "j3", actual=None, agent="fix_in_sandbox")
    done = program(repository, "costs", "--by", "subagent")
    assert done.stdout.splitlines() == [
        f"run_tests_cloud             1      1  {40 * '#'}",
        f"fix_in_sandbox           0.25      1  {10 * '#'}",
        "total                    1.25      2  USD, jobs",
        "held                2  j3  fix_in_sandbox on aws_batch",
        "limit    job        10 USD for a single one",
        "limit    day        1.25 spent, 2 held, 21.75 left of 25 USD",
        "limit    month      0 spent, 0 held, 250 left of 250 USD",
    ]
    told = json.loads(program(repository, "costs", "--json").stdout)
    assert (told["total_usd"], told["held"][0]["job_id"]) == ("1.25", "j3")


@pytest.mark.slow
def test_a_limit_that_is_near_is_a_warning(repository: Repository) -> None:
    configure(repository, "[budget]\nday_usd = 2\n")
    spend(repository, "j1", actual=1_800_000)
    shown = program(repository, "costs").stdout
    assert "warning  The limit of this day is used up to 90 %: 0.2 USD are left." in shown


@pytest.mark.slow
def test_a_damaged_ledger_is_recovered_by_a_person_and_kept(repository: Repository) -> None:
    spend(repository, "j1", actual=1_000_000)
    for left in state(repository).glob("ledger.sqlite-*"):
        left.unlink()
    (state(repository) / "ledger.sqlite").write_bytes(b"no database" * 500)
    refused = program(repository, "costs")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error ledger_unusable: ")
    assert "costs --recover" in refused.stderr
    done = program(repository, "costs", "--recover")
    assert done.returncode == 0, done.stderr
    assert "the damaged file is kept: " in done.stderr
    again = program(repository, "costs", "--recover")
    assert "not damaged" in again.stderr


def test_stop_ends_what_runs_and_nothing_starts_until_a_resume(
    repository: Repository, connect: Connect
) -> None:
    wire = connect()
    job = wire.call("run_in_sandbox", {"command": "sleep 600"})["job_id"]
    done = program(repository, "stop", "--all", "--why", "a runaway")
    assert done.returncode == 0, done.stdout
    assert f"done  {job} asked to end\n" in done.stdout
    assert wire.finished(job)["state"] == "cancelled"
    refused = wire.call("run_in_sandbox", {"command": "true"})
    assert refused["error"]["code"] == "stopped"
    assert "a runaway" in refused["error"]["message"]
    again = program(repository, "stop", "--all")
    assert (again.returncode, job in again.stdout) == (0, False)
    agent = program(repository, "resume", CODEX_THREAD_ID="0199")
    assert (agent.returncode, "shell of an agent" in agent.stderr) == (2, True)
    assert program(repository, "resume").returncode == 0
    assert wire.finished(wire.call("run_in_sandbox", {"command": "true"})["job_id"])["ok"]
    written = program(repository, "audit", "show").stdout
    assert written.count("stopped") >= 2
    assert "resumed" in written


@pytest.mark.slow
def test_stopping_goes_on_where_aws_cannot_be_reached(repository: Repository) -> None:
    configure(repository, AWAY)
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    repository.env.update(keys, AWS_EC2_METADATA_DISABLED="true")
    done = program(repository, "stop", "--all")
    marks = [line[:4] for line in done.stdout.splitlines() if not line.startswith("   ")]
    assert (done.returncode, marks[:4]) == (1, ["done", "done", "FAIL", "FAIL"])
    assert "done  money of ended jobs settled" in done.stdout
    assert (state(repository) / "stopped").exists()


@pytest.mark.slow
def test_stop_without_all_stops_nothing(repository: Repository) -> None:
    assert program(repository, "stop").returncode == 2
    assert not (state(repository) / "stopped").exists()
