"""The person's policy file: where it lies, how it is read, and how two policies decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_cloud_agents.agents.repository_policy import read_repository_policy
from mcp_cloud_agents.delegation.rules import PolicyRules
from mcp_cloud_agents.domain.decision import Allow, Ask, Deny
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.governance.policy import Policy
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.policy_file import policy_path, read_policy
from tests.unit.governance.jobs import a_job

ASK_CLOUD = "[[rules]]\nname = 'cloud'\ndecision = 'ask'\nwhen = { backend = 'aws_batch' }\n"
DENY_ALL = b"[[rules]]\nname = 'never'\ndecision = 'deny'\nreason = 'closed'\n"


def rules(path: Path) -> PolicyRules:
    """As bootstrap puts them together."""
    return PolicyRules(lambda: read_policy(str(path)), read_repository_policy)


def test_the_policy_lies_beside_the_persons_settings() -> None:
    settings = load({"HOME": "/h", "XDG_CONFIG_HOME": "/c"}, cwd="/")
    assert policy_path(settings.file) == "/c/mcp-cloud-agents/policy.toml"


def test_without_a_file_everything_within_the_budget_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "none/policy.toml"
    assert read_policy(str(path)) == Policy()
    found = rules(path).decide(a_job(cost_micros=10**12), None)
    assert found == (Allow(rule="default"), Policy().digest)


def test_an_edit_counts_for_the_next_decision(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    own, job = rules(file), a_job(backend="aws_batch")
    assert isinstance(own.decide(job, None)[0], Allow)
    file.write_text(ASK_CLOUD)
    assert isinstance(own.decide(job, None)[0], Ask)
    file.write_text("rules = 1")
    with pytest.raises(BadConfig, match=f"{file}, line 1, column 9"):
        own.decide(job, None)


def test_the_repositorys_policy_is_held_against_the_persons(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(ASK_CLOUD)
    decision, digest = rules(file).decide(a_job(backend="aws_batch"), DENY_ALL)
    assert decision == Deny(
        rule="repository: never", reason="The repository's own policy says: closed"
    )
    assert digest == read_policy(str(file)).digest


def test_a_broken_policy_of_a_repository_is_told_with_its_place(tmp_path: Path) -> None:
    own = rules(tmp_path / "policy.toml")
    with pytest.raises(BadConfig, match=r"\.cloud-agents/policy\.toml, line 2, column 3: unknown"):
        own.decide(a_job(), b"default = 'ask'\n  oops = 1\n")


def test_a_link_to_a_policy_elsewhere_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.toml", tmp_path / "policy.toml"
    real.write_text("default = 'deny'")
    link.symlink_to(real)
    assert read_policy(str(link)).default == "deny"
