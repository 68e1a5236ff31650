"""The module applied to an emulated account, and jobs run there with its outputs.

Who submits has the module's submitter policy and nothing else, the worker has its job role and
nothing else, and policies are enforced: what is missing in them shows here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.storage.trees import remove_tree
from tests.audit_entries import an_entry, audit_in
from tests.e2e.wire import Repository, Wire, a_repository
from tests.terraform.account import Account, Json, Keys, an_account, status_of
from tests.terraform.conftest import MODEL, PARAMETER, TOKEN
from tests.terraform.offline import Offline, Terraform, variables

PROFILES: dict[str, dict[str, Any]] = {
    "economy": {
        **{"secrets": {"MODEL_KEY": PARAMETER}, "readable_secrets": [TOKEN], "audit": {}},
    },
    "private": {
        **{"profile": "private", "write_once": True, "ec2_queue": True, "events": False},
        **{"bedrock_models": [MODEL], "audit": {}},
    },
}
PACKAGE = [sys.executable, "-m", "mcp_cloud_agents"]
FAILS = "import unittest\n\n\nclass New(unittest.TestCase):\n    def test_new(self):\n        {}\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@dataclass(frozen=True)
class Deployed:
    """The module in an account, and a developer there, on a machine of their own.

    Attributes:
        arguments: of terraform.
        before: what was in the account before.
        keys: of the developer, who has the submitter policy alone.
    """

    account: Account
    terraform: Terraform
    arguments: list[str]
    before: dict[str, list[str]]
    outputs: Json
    keys: Keys
    repository: Repository

    @property
    def env(self) -> dict[str, str]:
        return {**self.repository.env, **self.account.environment_of(self.keys)}

    def client(self, service: str) -> Any:
        """As the developer."""
        return self.account.client(service, self.keys)

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """The command line, as the developer."""
        return subprocess.run(
            [*PACKAGE, *words],
            cwd=self.repository.path,
            env=self.env,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @contextmanager
    def server(self) -> Generator[Wire]:
        """An MCP server of the developer's."""
        with subprocess.Popen(
            [*PACKAGE, "serve"],
            cwd=self.repository.path,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield Wire(process, modern=True)
            finally:
                process.kill()


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with an_account() as made:
        yield made


@pytest.fixture(scope="module", params=sorted(PROFILES))
def deployed(
    request: pytest.FixtureRequest, offline: Offline, account: Account
) -> Iterator[Deployed]:
    before, arguments = account.inventory(), variables(PROFILES[request.param])
    scratch = Path(tempfile.mkdtemp(prefix="mca-test-")).resolve()
    scratch.chmod(0o711)  # as root, jobs run under another uid
    account.client("ssm").put_parameter(
        Name=PARAMETER.partition(":parameter")[2], Value="sk-team", Type="SecureString"
    )
    with offline.opened(AWS_ENDPOINT_URL=account.endpoint) as terraform:
        terraform.apply(*arguments)
        outputs = terraform.outputs()
        keys = account.a_user("developer", outputs["submitter_policy_arn"])
        yield Deployed(account, terraform, arguments, before, outputs, keys, a_repository(scratch))
    remove_tree(str(scratch))
    account.reset()


@pytest.fixture
def configured(deployed: Deployed) -> Deployed:
    printed = deployed.terraform.run("output", "-json").stdout
    done = deployed.run("configure", "aws", "--from-terraform", "-", given=printed)
    assert done.returncode == 0, done.stderr
    return deployed


def test_a_second_plan_changes_nothing(deployed: Deployed) -> None:
    done = deployed.terraform.run("plan", "-detailed-exitcode", *deployed.arguments, check=False)
    assert (done.returncode, "No changes" in done.stdout) == (0, True), done.stdout


def test_a_dirty_tree_is_tested_with_the_modules_policies_alone(configured: Deployed) -> None:
    configured.repository.write("test_new.py", FAILS.format("self.assertEqual(1, 2)"))
    configured.account.forget_calls()
    with configured.account.permissions_enforced(), configured.server() as wire:
        begun = wire.call(
            "run_tests_cloud", {"backend": "aws_batch", "command": "python3 -m unittest"}
        )
        assert begun["ok"], begun
        ended = wire.finished(begun["job_id"])
        log = wire.call("read_log", {"job_id": begun["job_id"]})
    assert (ended["backend"], ended["state"], ended["verdict"]) == (
        "aws_batch",
        "succeeded",
        "failed",
    )
    assert [one["id"] for one in ended["tests"]["failures"]] == ["test_new.New.test_new"]
    assert "AssertionError: 1 != 2" in json.dumps(log)
    refused = [one for one in configured.account.calls() if one["status"] == 403]
    assert refused == []


def test_doctor_finds_all_that_a_job_needs(configured: Deployed) -> None:
    push_an_image(configured)
    with configured.account.permissions_enforced():
        done = configured.run("doctor")
    lines = [line for line in done.stdout.splitlines() if line[5:].startswith("aws")]
    assert len(lines) == 10, done.stdout
    assert [line for line in lines if not line.startswith("ok")] == []


def test_a_submitter_ends_jobs_of_this_project_only(configured: Deployed) -> None:
    foreign = configured.account.client("batch").submit_job(
        jobName="foreign",
        jobQueue=configured.outputs["queues"]["fargate"],
        jobDefinition=configured.outputs["job_definitions"]["x86_64"],
        containerOverrides={"command": ["sleep", "60"]},
    )["jobId"]
    with configured.account.permissions_enforced(), configured.server() as wire:
        begun = wire.call(
            "run_in_sandbox", {"backend": "aws_batch", "command": "sleep 60", "fresh": True}
        )
        assert begun["ok"], begun
        cancelled = wire.call("cancel_job", {"job_id": begun["job_id"]})
        ended = wire.finished(begun["job_id"])
        mine = configured.client("batch")
        refused = status_of(mine, "terminate_job", jobId=foreign, reason="not mine")
    configured.account.client("batch").terminate_job(jobId=foreign, reason="end of the test")
    assert (cancelled["ok"], ended["state"], refused) == (True, "cancelled", 403)


def test_a_submitter_changes_nothing_of_the_deployment(deployed: Deployed) -> None:
    bucket, group = deployed.outputs["bucket"], deployed.outputs["log_group"]
    definition = deployed.outputs["job_definitions"]["x86_64"]
    tries: list[tuple[str, str, Json]] = [
        ("s3", "put_object", {"Bucket": bucket, "Key": "environments/a", "IfNoneMatch": "*"}),
        ("s3", "delete_object", {"Bucket": bucket, "Key": "jobs/a"}),
        ("s3", "delete_bucket_policy", {"Bucket": bucket}),
        ("logs", "delete_log_group", {"logGroupName": group}),
        ("logs", "get_log_events", {"logGroupName": "/other", "logStreamName": "a"}),
        ("batch", "deregister_job_definition", {"jobDefinition": f"{definition}:1"}),
        (
            "batch",
            "update_job_queue",
            {"jobQueue": deployed.outputs["queues"]["fargate"], "state": "DISABLED"},
        ),
        ("iam", "list_roles", {}),
        ("ecr", "delete_repository", {"repositoryName": "mcp-cloud-agents"}),
    ]
    with deployed.account.permissions_enforced():
        answers = {
            f"{service}:{call}": status_of(deployed.client(service), call, **arguments)
            for service, call, arguments in tries
        }
    assert set(answers.values()) == {403}, answers


def test_a_jobs_role_does_nothing_but_read_and_write_its_folders(deployed: Deployed) -> None:
    role: Keys = deployed.account.client("sts").assume_role(
        RoleArn=deployed.outputs["job_role_arn"], RoleSessionName="stolen"
    )["Credentials"]
    bucket, queue = deployed.outputs["bucket"], deployed.outputs["queues"]["fargate"]
    with deployed.account.permissions_enforced():
        s3, batch = (deployed.account.client(name, role) for name in ("s3", "batch"))
        answers = [
            status_of(s3, "put_object", Bucket=bucket, Key="jobs/j/state.json", Body=b"{}"),
            status_of(s3, "get_object", Bucket=bucket, Key="jobs/j/state.json"),
            status_of(s3, "put_object", Bucket=bucket, Key="elsewhere", Body=b"x"),
            status_of(s3, "delete_object", Bucket=bucket, Key="jobs/j/state.json"),
            status_of(batch, "list_jobs", jobQueue=queue),
        ]
    assert answers == [200, 200, 403, 403, 403]


def test_a_jobs_role_reads_the_secrets_that_were_named_and_no_others(deployed: Deployed) -> None:
    role: Keys = deployed.account.client("sts").assume_role(
        RoleArn=deployed.outputs["job_role_arn"], RoleSessionName="worker"
    )["Credentials"]
    named = deployed.arguments == variables(PROFILES["economy"])
    name, other = (arn.partition(":parameter")[2] for arn in (TOKEN, PARAMETER))
    deployed.account.client("ssm").put_parameter(
        Name=name, Value="a-token", Type="SecureString", Overwrite=True
    )
    with deployed.account.permissions_enforced():
        ssm = deployed.account.client("ssm", role)
        answers = [
            status_of(ssm, "get_parameter", Name=one, WithDecryption=True) for one in (name, other)
        ]
    assert answers == [200 if named else 403, 403]


def test_the_audit_is_copied_and_not_taken_back_by_who_submits(configured: Deployed) -> None:
    bucket = configured.outputs["audit_bucket"]
    audit = audit_in(Path(configured.env["MCP_CLOUD_AGENTS_STATE_DIR"]) / "audit")
    audit.append(an_entry())
    with configured.account.permissions_enforced():
        pushed = configured.run("audit", "push")
        verified = configured.run("audit", "verify", "--cloud")
        mine = configured.client("s3")
        (piece,) = mine.list_objects_v2(Bucket=bucket)["Contents"]
        where = {"Bucket": bucket, "Key": piece["Key"]}
        answers = [
            status_of(mine, "put_object", **where, Body=b"forged"),
            status_of(mine, "put_object", **where, Body=b"forged", IfNoneMatch="*"),
            status_of(mine, "delete_object", **where),
        ]
    assert (pushed.returncode, verified.returncode) == (0, 0), pushed.stderr + verified.stderr
    assert answers == [403, 412, 403]


def test_a_jobs_role_does_not_see_the_audit(deployed: Deployed) -> None:
    role: Keys = deployed.account.client("sts").assume_role(
        RoleArn=deployed.outputs["job_role_arn"], RoleSessionName="stolen"
    )["Credentials"]
    bucket = deployed.outputs["audit_bucket"]
    with deployed.account.permissions_enforced():
        s3 = deployed.account.client("s3", role)
        answers = [
            status_of(s3, "put_object", Bucket=bucket, Key="audit/a/b", Body=b"", IfNoneMatch="*"),
            status_of(s3, "get_object", Bucket=bucket, Key="audit/a/b"),
            status_of(s3, "list_objects_v2", Bucket=bucket),
        ]
    assert answers == [403, 403, 403]


def test_the_emulators_own_set_is_called_as_the_modules(made: Terraform) -> None:
    with an_account("--bootstrap") as account:
        own = {name: one["value"] for name, one in account.outputs.items()}
    outputs, elsewhere = made.outputs(), {"image", "events_queue_url"}
    assert own.keys() == outputs.keys()
    assert {name: own[name] for name in own.keys() - elsewhere} == {
        name: outputs[name] for name in outputs.keys() - elsewhere
    }


def test_destroy_stops_at_a_full_bucket_and_leaves_nothing_of_an_empty_one(
    deployed: Deployed,
) -> None:
    """The last one: nothing is there after it."""
    account, bucket = deployed.account, deployed.outputs["bucket"]
    account.client("s3").put_object(Bucket=bucket, Key="jobs/last", Body=b"x")
    account.remove_user("developer", deployed.outputs["submitter_policy_arn"], deployed.keys)
    stopped = deployed.terraform.run("destroy", "-auto-approve", *deployed.arguments, check=False)
    assert "BucketNotEmpty" in stopped.stderr
    account.empty(bucket)
    account.empty(deployed.outputs["audit_bucket"])
    deployed.terraform.destroy(*deployed.arguments)
    assert account.inventory() == deployed.before


def push_an_image(deployed: Deployed) -> None:
    """A manifest alone, under the tag that the definitions name."""
    repository, _, tag = deployed.outputs["image"].rpartition("/")[2].partition(":")
    manifest: Json = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"size": 1, "digest": f"sha256:{64 * chr(48)}"},
        "layers": [],
    }
    deployed.account.client("ecr").put_image(
        repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest)
    )
