"""`configure aws`: outputs of Terraform into the person's file, which else stays as it is."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mcp_cloud_agents.cli.app import app
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.settings import Architecture, AwsQueue, AwsSettings, load

VALUES: dict[str, Any] = {
    "region": "eu-central-1",
    "account_id": "111122223333",
    "profile": "economy",
    "bucket": "agents-bucket",
    "audit_bucket": "agents-audit",
    "queues": {"fargate": "arn:q/fargate", "fargate_spot": "arn:q/spot"},
    "job_definitions": {"x86_64": "agents-x86", "arm64": "agents-arm"},
    "log_group": "/agents/jobs",
    "events_queue_url": None,
    "image": "registry.example/agents:1",
    "job_role_arn": "arn:role/job",
}
HAND_WRITTEN = """\
# mine
keep_days = 3   # three

[aws]
region = "us-east-1"
bucket = "old-bucket"
queue = "fargate_spot"
architecture = "arm64"

[aws.queues]
fargate_spot = "old"

[aws.job_definitions]
arm64 = "old"

[aws.tags]
"cost center" = "x\\"y"

# limits
[limits]
memory_mib = 512
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    return tmp_path / ".config" / "mcp-cloud-agents" / "config.toml"


def outputs(**changes: Any) -> str:
    return json.dumps({name: {"value": one} for name, one in {**VALUES, **changes}.items()})


def configure(given: str, *options: str) -> tuple[int, str]:
    command = ["configure", "aws", "--from-terraform", "-", *options]
    done = CliRunner().invoke(app, command, input=given)
    return done.exit_code, done.output


def test_the_outputs_of_the_module_are_the_settings_afterwards(file: Path) -> None:
    code, said = configure(outputs())
    assert (code, '+ aws.bucket = "agents-bucket"' in said) == (0, True)
    assert load().aws == AwsSettings(
        region="eu-central-1",
        account_id="111122223333",
        bucket="agents-bucket",
        audit_bucket="agents-audit",
        queues={AwsQueue.FARGATE: "arn:q/fargate", AwsQueue.FARGATE_SPOT: "arn:q/spot"},
        job_definitions={"x86_64": "agents-x86", "arm64": "agents-arm"},
        log_group="/agents/jobs",
        image="registry.example/agents:1",
        network="economy",
    )
    assert load().sources["aws"] == str(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_a_person_wrote_stays_comments_included(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(HAND_WRITTEN)
    code, said = configure(outputs())
    assert code == 0
    assert '~ aws.region = "us-east-1" -> "eu-central-1"' in said
    text = file.read_text()
    assert text.startswith("# mine\nkeep_days = 3   # three\n")
    assert "[limits]\nmemory_mib = 512\n" in text
    settings = load()
    assert settings.aws is not None
    assert settings.aws.queue is AwsQueue.FARGATE_SPOT
    assert settings.aws.architecture is Architecture.ARM64
    assert settings.aws.tags == {"cost center": 'x"y'}
    assert settings.aws.queues[AwsQueue.FARGATE_SPOT] == "arn:q/spot"
    assert (settings.keep_days, settings.limits.memory_mib) == (3, 512)


def test_doing_it_again_changes_nothing(file: Path) -> None:
    configure(outputs())
    before = file.read_bytes()
    code, said = configure(outputs())
    assert (code, file.read_bytes()) == (0, before)
    assert "nothing was changed" in said


def test_a_dry_run_writes_nothing(file: Path) -> None:
    code, said = configure(outputs(), "--dry-run")
    assert (code, file.exists()) == (0, False)
    assert "+ aws.region" in said


def test_the_module_as_one_output_of_a_root_is_understood(file: Path) -> None:
    code, _ = configure(json.dumps({"agents": {"value": VALUES}}))
    assert code == 0
    assert tomllib.loads(file.read_text())["aws"]["bucket"] == "agents-bucket"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "no JSON"),
        ("{}", "there are no outputs"),
        ('{"region": {"value": "eu-central-1"}}', "account_id, bucket, queues, job_definitions"),
        (outputs(region="Frankfurt"), "aws.region"),
        (outputs(queues={"fargate_spot": "a"}), "has no fargate"),
        (outputs(job_definitions={"arm64": "a"}), "has no x86_64"),
        (outputs(queues={"other": "a"}), "aws.queues"),
    ],
)
def test_wrong_outputs_are_refused_and_the_file_stays(given: str, told: str, file: Path) -> None:
    code, said = configure(given)
    assert (code, file.exists()) == (2, False)
    assert told in said
    assert "next" in said


def test_a_file_that_is_wrong_already_is_named_and_stays(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("keep_dayz = 1\n")
    code, said = configure(outputs())
    assert (code, file.read_text()) == (2, "keep_dayz = 1\n")
    assert "unknown key 'keep_dayz'" in said


def test_a_table_written_inline_is_not_damaged(file: Path) -> None:
    inline = 'aws = {region = "us-east-1", bucket = "b-b", queues = {fargate = "q"}, '
    inline += 'job_definitions = {x86_64 = "d"}}\n'
    file.parent.mkdir(parents=True)
    file.write_text(inline)
    code, _ = configure(outputs())
    assert (code, file.read_text()) == (2, inline)


def test_a_linked_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir(parents=True)
    real = tmp_path / "dotfiles.toml"
    real.write_text("keep_days = 3\n")
    real.chmod(0o640)
    file.symlink_to(real)
    assert configure(outputs())[0] == 0
    assert file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert os.listdir(file.parent) == ["config.toml"]


def test_the_environment_cannot_choose_the_account(file: Path) -> None:
    del file
    variables = {"HOME": "/nowhere", "MCP_CLOUD_AGENTS_AWS_BUCKET": "evil"}
    assert load({**variables, "MCP_CLOUD_AGENTS_AWS": "{}"}, uid=1000).aws is None


def test_an_incomplete_table_says_how_to_write_it(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text('[aws]\nregion = "eu-central-1"\n')
    with pytest.raises(BadConfig, match="lacks bucket, queues, job_definitions") as caught:
        load()
    assert "configure aws" in caught.value.hint
