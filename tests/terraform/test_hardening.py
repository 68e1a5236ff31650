"""Two checkers that others wrote: parliament reads the policies, checkov the module."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.offline import HERE, MODULE, Resources, environment
from tests.terraform.policies import policy_texts

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(900)]
ASK_PARLIAMENT = """
import json, sys, parliament
told = {}
for address, text in json.load(sys.stdin).items():
    found = parliament.analyze_policy_string(text).findings
    told[address] = sorted(f"{one.issue}: {one.detail}" for one in found)
print(json.dumps(told))
"""


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
    return json.loads(done.stdout)


def test_parliament_finds_nothing_in_any_policy(
    checkers: Path, made_default: Resources, made_with_everything: Resources
) -> None:
    for resources in (made_default, made_with_everything):
        texts = policy_texts(resources)
        assert {"aws_iam_role_policy.job", "aws_iam_policy.submitter"} <= set(texts)
        assert parliament(checkers, texts) == {address: [] for address in texts}


def test_parliament_would_see_an_action_on_the_wrong_resource(checkers: Path) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "batch:TerminateJob",
        "Resource": "arn:aws:batch:us-east-1:123456789012:job-queue/a",
    }
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
