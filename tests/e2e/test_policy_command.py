"""`policy test` and the policy's row of `doctor`, as a person sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.terminal import program
from tests.e2e.wire import Repository

pytestmark = pytest.mark.timeout(180)
POLICY = """\
[[rules]]
name = "dear"
decision = "deny"
reason = "too dear"
when = { cost_usd_above = 2 }

[[tests]]
name = "cheap"
expect = "allow"

[[tests]]
name = "dear in the cloud"
expect = "ask"
rule = "dear"
job = { backend = "aws_batch", cost_usd = 3 }
"""


@pytest.fixture
def file(repository: Repository) -> Path:
    path = Path(repository.env["HOME"]) / ".config/mcp-cloud-agents/policy.toml"
    path.parent.mkdir(parents=True)
    path.write_text(POLICY)
    return path


def test_a_test_that_fails_is_shown_and_ends_with_one(repository: Repository, file: Path) -> None:
    done = program(repository, "policy", "test")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "ok    cheap              allow\nFAIL  dear in the cloud  ask by dear, got deny by dear\n",
        f"{file}: 1 rule, default allow; 2 tests, 1 failed\n",
    )


def test_a_question_about_one_job_is_answered_with_its_reason(
    repository: Repository, file: Path
) -> None:
    words = ("policy", "test", "--agent", "fix_in_sandbox", "--backend", "aws_batch")
    done = program(repository, *words, "--cost-usd", "3")
    assert (done.returncode, done.stdout) == (0, "  dear  fits: deny\ndeny by dear: too dear\n")
    told = json.loads(program(repository, *words, "--cost-usd", "2", "--json").stdout)
    assert (told["decision"], told["rule"]) == ("allow", "default")
    assert told["steps"][0]["unmet"] == "cost_usd_above: the job has 2"


def test_without_a_policy_the_built_in_one_is_told(repository: Repository) -> None:
    done = program(repository, "policy", "test")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "",
        "no policy.toml: every job within the budget is allowed\n",
    )


def test_nothing_starts_while_the_policy_is_broken_and_its_place_is_told(
    repository: Repository, file: Path
) -> None:
    file.write_text(POLICY.replace("cost_usd_above = 2", "cost_usd_above = -2"))
    for words in (("policy", "test"), ("submit", "command", "true")):
        done = program(repository, *words)
        assert done.returncode == 2
        assert f"error bad_config: {file}, line 5, column 27: wrong value" in done.stderr


def test_explain_tells_the_decision_then_and_the_rules_of_today(
    repository: Repository, file: Path
) -> None:
    started = program(repository, "submit", "command", "true", "--detach")
    assert started.returncode == 0, started.stderr
    job = started.stdout.split()[0]
    file.write_text("default = 'ask'\n")
    done = program(repository, "policy", "explain", job)
    assert done.returncode == 0, done.stderr
    assert "allowed by default" in done.stdout
    assert "\ntoday  ask by default (policy " in done.stdout
    told = json.loads(program(repository, "policy", "explain", job, "--json").stdout)
    assert (told["decided"], told["today"], told["same_policy"]) == ("allowed", "ask", False)
