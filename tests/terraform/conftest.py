"""Plans and applied states of the module, each made once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.offline import (
    Offline,
    Resources,
    Terraform,
    applied,
    copy_of_the_tool,
    environment,
    has_what_the_provider_needs,
    planned,
    variables,
)

HERE = Path(__file__).parent
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:team/keys-a1B2c3"  # noqa: S105  where one is
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/team/key"
TOKEN = "arn:aws:ssm:us-east-1:123456789012:parameter/team/token"  # noqa: S105  where one is
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/0f1e2d3c-1111-2222-3333-444455556666"
MODEL = "arn:aws:bedrock:*::foundation-model/anthropic.claude-*"
INFERENCE_PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-*"
EVERYTHING: dict[str, Any] = {
    "profile": "private",
    "nat_gateway": True,
    "dns_allowlist": ["packages.example.com"],
    "interface_endpoints": ["sts"],
    "bedrock_models": [MODEL, INFERENCE_PROFILE],
    "ec2_queue": True,
    "gpu_queue": True,
    "write_once": True,
    "team_budget": True,
    "audit": {"mode": "compliance", "days": 30},
    "ephemeral_storage_gib": 50,
    "monthly_budget_usd": 20,
    "budget_emails": ["a@example.org"],
    "budget_by_tag": True,
    "terminate_tag_key": "",
    "permissions_boundary_arn": "arn:aws:iam::123456789012:policy/boundary",
    "tags": {"team": "tools"},
    "readable_secrets": [SECRET, TOKEN],
    "readable_secrets_kms_keys": [KMS_KEY],
    "secrets": {"MODEL_KEY": f"{SECRET}:anthropic::", "OTHER_KEY": PARAMETER, "WHOLE": SECRET},
}


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each plan starts the program anew; its provider may have to install its packages first."""
    installed = has_what_the_provider_needs()
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.slow)
        if not installed and "offline" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.network)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    folder = tmp_path_factory.mktemp("terraform")
    tool = copy_of_the_tool(folder)
    if has_what_the_provider_needs():
        return Offline(tool, sys.executable)
    made = environment(folder / "provider", HERE / "provider-requirements.txt")
    return Offline(tool, str(made / "bin/python"))


@pytest.fixture(scope="session")
def module(offline: Offline) -> Iterator[Terraform]:
    """The module itself, for plans: nothing is ever applied with it."""
    with offline.opened() as terraform:
        yield terraform


@pytest.fixture(scope="session")
def economy(module: Terraform) -> Resources:
    return planned(module.plan())


@pytest.fixture(scope="session")
def private(module: Terraform) -> Resources:
    return planned(module.plan("-var=profile=private"))


@pytest.fixture(scope="session")
def private_with_nat(module: Terraform) -> Resources:
    values = {"profile": "private", "nat_gateway": True, "dns_allowlist": ["packages.example.com"]}
    return planned(module.plan(*variables(values)))


@pytest.fixture(scope="session")
def made(offline: Offline) -> Iterator[Terraform]:
    """The module as it is by default, applied with made-up ids."""
    with offline.opened() as terraform:
        terraform.apply()
        yield terraform


@pytest.fixture(scope="session")
def made_default(made: Terraform) -> Resources:
    return applied(made)


@pytest.fixture(scope="session")
def made_with_everything(offline: Offline) -> Resources:
    with offline.opened() as terraform:
        terraform.apply(*variables(EVERYTHING))
        return applied(terraform)


@pytest.fixture(scope="session")
def made_private(offline: Offline) -> Resources:
    with offline.opened() as terraform:
        terraform.apply("-var=profile=private")
        return applied(terraform)
