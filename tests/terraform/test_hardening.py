"""Two checkers that others wrote: parliament reads the policies, checkov the module."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

from tests.terraform.offline import HERE, MODULE, Resources, environment
from tests.terraform.policies import policy_texts

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(900)]
ASK_PARLIAMENT = """
import json, sys, parliament
told = {}
for address, text in json.load(sys.stdin).items():
    found = parliament.analyze_policy_string(text).findings
    told[address] = [(one.issue, one.detail) for one in found]
print(json.dumps(told))
"""
NOT_ASKED = frozenset(
    f"arn:*:bedrock:*:*:{kind}"
    for kind in (
        *("application-inference-profile/*", "async-invoke/*", "default-prompt-router/*"),
        *("imported-model/*", "provisioned-model/*", "marketplace/model-endpoint/all-access"),
    )
)
"""Kinds of model that a call may name in place of ours; parliament wants a policy to have all."""


@pytest.fixture(scope="module")
def checkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of their programs."""
    folder = tmp_path_factory.mktemp("checkers") / "venv"
    return environment(folder, HERE / "policy-requirements.txt") / "bin"


def parliament(checkers: Path, texts: dict[str, str]) -> dict[str, list[str]]:
    """Address to findings."""
    done = subprocess.run(
        [str(checkers / "python"), "-W", "ignore", "-c", ASK_PARLIAMENT],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told: dict[str, list[tuple[str, Any]]] = json.loads(done.stdout)
    return {
        address: sorted(f"{issue}: {left}" for issue, detail in found if (left := _meant(detail)))
        for address, found in told.items()
    }


def _meant(detail: object) -> object:
    """A finding's detail without the kinds of resource that a policy need not have."""
    if not detail or not isinstance(detail, list):
        return detail or "no detail"
    parts = cast("list[dict[str, str]]", detail)
    return [one for one in parts if one.get("required_format") not in NOT_ASKED]


def test_parliament_finds_nothing_in_any_policy(
    checkers: Path, made_default: Resources, made_with_everything: Resources
) -> None:
    for resources in (made_default, made_with_everything):
        texts = policy_texts(resources)
        assert {"aws_iam_role_policy.job", "aws_iam_policy.submitter"} <= set(texts)
        assert parliament(checkers, texts) == {address: [] for address in texts}


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("batch:TerminateJob", "arn:aws:batch:us-east-1:123456789012:job-queue/a"),
        ("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1:123456789012:guardrail/a"),
    ],
)
def test_parliament_would_see_an_action_on_the_wrong_resource(
    checkers: Path, action: str, resource: str
) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert parliament(checkers, {"a": text})["a"][0].startswith("RESOURCE_MISMATCH")


def failed(text: str) -> set[str]:
    """Ids of the checks that failed, out of checkov's report."""
    report: dict[str, Any] = json.loads(text)
    return {one["check_id"] for one in report["results"]["failed_checks"]}


def test_checkov_fails_only_where_a_reason_is_written(checkers: Path, tmp_path: Path) -> None:
    reasons = tomllib.loads((HERE / "checkov_skips.toml").read_text(encoding="utf-8"))
    done = subprocess.run(
        [
            *(str(checkers / "checkov"), "-d", str(MODULE), "--skip-download", "--quiet"),
            *("--framework", "terraform", "--compact", "-o", "json"),
        ],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert failed(done.stdout) == set(reasons), "mend it, or write the reason in checkov_skips.toml"
    assert all(len(reason) > 20 for reason in reasons.values())
