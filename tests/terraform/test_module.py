"""The module as a whole: well-formed, valid, its outputs the contract, its own tests passed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.terraform.offline import MODULE, Offline, Terraform, variables

OUTPUTS = {
    *("region", "account_id", "profile", "bucket", "queues", "job_definitions", "log_group"),
    *("audit_bucket", "events_queue_url", "image", "job_role_arn", "execution_role_arn"),
    *("submitter_policy_arn", "team_budget_table", "ephemeral_storage_gib"),
}
TEAM = {"budget_emails": ["a@example.org"], "developer_roles": ["developer"]}


def test_every_file_is_formatted() -> None:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("the terraform program is not installed")
    done = subprocess.run(
        [program, "fmt", "-check", "-recursive", "-diff", str(MODULE)],
        env={"HOME": "/nonexistent", "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"run terraform fmt -recursive terraform\n{done.stdout}"


def test_the_module_is_valid_without_a_warning(module: Terraform) -> None:
    assert module.validate() == []


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("compute.tf", "allocation_strategy", "allocation_strategie", "is not expected here"),
        ("compute.tf", '"ENABLED"', '"ON"', "expected state to be one of"),
        ("network.tf", "aws_vpc.this.id", "aws_vpc.that.id", "has not been declared"),
        ("instances.tf", "http_tokens", "http_token", "is not expected here"),
    ],
)
def test_a_mistake_in_the_module_would_be_seen(
    offline: Offline, file: str, right: str, wrong: str, said: str
) -> None:
    with offline.opened() as terraform:
        path = terraform.dir / file
        text = path.read_text(encoding="utf-8")
        assert right in text
        path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
        told = [f"{one['summary']} {one['detail']}" for one in terraform.validate()]
    assert any(said in one for one in told), told


def test_the_modules_own_tests_pass(module: Terraform) -> None:
    assert ", 0 failed" in module.test().stdout


def test_outputs_are_the_settings_of_the_server(made: Terraform) -> None:
    outputs = made.outputs()
    image = outputs.pop("image")
    assert image.endswith(":0.1.0")
    assert outputs.pop("events_queue_url")
    arn = "arn:aws:iam::123456789012"
    queue = "arn:aws:batch:us-east-1:123456789012:job-queue/mcp-cloud-agents"
    assert outputs == {
        "region": "us-east-1",
        "account_id": "123456789012",
        "profile": "economy",
        "bucket": "mcp-cloud-agents-123456789012-us-east-1",
        "queues": {"fargate": f"{queue}-fargate", "fargate_spot": f"{queue}-fargate_spot"},
        "job_definitions": {"x86_64": "mcp-cloud-agents-x86_64", "arm64": "mcp-cloud-agents-arm64"},
        "log_group": "/mcp-cloud-agents/jobs",
        "ephemeral_storage_gib": 20,
        "job_role_arn": f"{arn}:role/mcp-cloud-agents-job-us-east-1",
        "execution_role_arn": f"{arn}:role/mcp-cloud-agents-execution-us-east-1",
        "submitter_policy_arn": f"{arn}:policy/mcp-cloud-agents-submitter-us-east-1",
    }


def test_a_second_apply_changes_nothing(made: Terraform) -> None:
    assert "No changes" in made.run("plan").stdout


@pytest.mark.parametrize(("name", "given"), [("developer", {}), ("team", TEAM)])
def test_an_example_hands_on_every_setting_and_goes_away(
    offline: Offline, name: str, given: dict[str, list[str]]
) -> None:
    arguments = variables(given)
    with offline.opened(f"examples/{name}") as terraform:
        assert terraform.validate() == []
        terraform.apply(*arguments)
        null = {"audit_bucket", "events_queue_url" if name == "team" else "team_budget_table"}
        assert set(terraform.outputs()) == OUTPUTS - null, "terraform leaves null out"
        terraform.destroy(*arguments)
        state = json.loads((terraform.dir / "terraform.tfstate").read_text(encoding="utf-8"))
        assert state["resources"] == []


def test_no_lock_file_of_the_offline_provider_is_kept() -> None:
    assert list(MODULE.rglob(".terraform*")) == [], "its hash is not the real provider's"
