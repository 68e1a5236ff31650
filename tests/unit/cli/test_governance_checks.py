"""What `doctor` says of the policy and of trust."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.cli.finding import Finding
from mcp_cloud_agents.cli.governance_checks import rules
from mcp_cloud_agents.cli.trust import configured, trust_store
from mcp_cloud_agents.settings import AwsSettings, Settings, load
from tests.audit_entries import an_entry, audit_in
from tests.e2e.wire import Repository, a_repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return a_repository(tmp_path)


@pytest.fixture
def settings(repository: Repository) -> Settings:
    return load(repository.env, cwd=str(repository.path))


def a_policy(settings: Settings, text: str) -> str:
    path = Path(settings.file).with_name("policy.toml")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return str(path)


def test_without_rules_and_trust_nothing_is_wrong(settings: Settings) -> None:
    policy, trust, money, audit = rules(settings)
    assert policy == Finding(
        name="policy",
        ok=True,
        said="none: every job within the budget is allowed (docs/policy.md)",
    )
    assert (money.ok, money.said.partition(";")[0]) == (True, "0 reservations open")
    assert (trust.ok, "nothing of this repository is trusted" in trust.said) == (True, True)
    assert audit == Finding(
        name="audit", ok=True, said="no entries yet; copied nowhere (docs/audit.md)"
    )


@pytest.mark.parametrize("days", [0, 2])
def test_a_copy_that_is_a_day_behind_is_a_finding(settings: Settings, days: int) -> None:
    folder = Path(settings.state_dir, "audit")
    audit_in(folder).append(an_entry(at=time.time() - days * 86_400))
    aws = AwsSettings(
        region="us-east-1", bucket="b", queues={}, job_definitions={}, audit_bucket="copies"
    )
    found = rules(replace(settings, aws=aws))[3]
    assert found.ok == (days < 1)
    assert found.said.startswith("the newest entry is number 1; the copy ends with entry 0; 1 are")
    assert "audit push" in found.remedy


def test_an_audit_that_was_cut_off_is_a_finding(settings: Settings) -> None:
    folder = Path(settings.state_dir, "audit")
    audit_in(folder).append(an_entry())
    Path(folder, "head").write_text("no head")
    found = rules(settings)[3]
    assert not found.ok
    assert found.said.endswith("was damaged.\nnothing is started until then")


def test_a_test_of_the_policy_that_fails_is_a_finding(settings: Settings) -> None:
    path = a_policy(settings, "[[tests]]\nname = 't'\nexpect = 'deny'\n")
    assert rules(settings)[0] == Finding(
        name="policy",
        ok=False,
        said=f"{path}: 0 rules, default allow, 1 test, 1 failed",
        remedy="mcp-cloud-agents policy test shows which.",
    )


def test_a_broken_policy_is_told_with_what_it_stops(settings: Settings) -> None:
    path = a_policy(settings, "default = 1")
    found = rules(settings)[0]
    assert not found.ok
    assert found.said.startswith(f"{path}, line 1, column 11: wrong value for 'default'")
    assert found.said.endswith("\nnothing is started until it is mended")


def test_what_is_trusted_of_this_repository_is_told(settings: Settings) -> None:
    found = configured(settings, settings.cwd)
    trust_store(settings).trust(found.common_dir, found.files)
    assert rules(settings)[1] == Finding(
        name="trust",
        ok=True,
        said=f"1 configuration of this repository, the newest {found.digest[:12]}",
    )


def test_outside_of_a_worktree_there_is_nothing_to_trust(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "MCP_CLOUD_AGENTS_STATE_DIR": str(tmp_path / "state")}
    assert rules(load(env, cwd=str(tmp_path)))[1].said == "no worktree here"
