"""A fix in AWS Batch, through the MCP server: the same answer as here, and the key in no place.

The account is emulated; the key is in its Secrets Manager, and gets into the container by the job
definition, as the Terraform module's `secrets` have it. The machine that submits has no key.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.storage.trees import remove_tree
from tests.e2e.terminal import program
from tests.e2e.wire import Repository, Wire
from tests.fix_tasks.house import toml_of
from tests.fix_tasks.task import tasks
from tests.model_server.server import ModelServer, model_server
from tests.terraform.account import Account, an_account

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]
KEY = "sk-ant-cloud-0123456789abcdef"
VARIABLE = "FIX_TASK_KEY"
TASK = tasks()["01_off_by_one"]
MODEL: dict[str, Any] = {"engine": "model"}
COMMAND: dict[str, Any] = {
    "engine": "command",
    # What a command sees of its environment is in the log, and so in what is searched.
    "command": "env; cat /proc/*/environ; sed -i 's/number \\* size/(number - 1) * size/' pages.py",
}
MENDED = "start = (number - 1) * size"
JOB_STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")

Answer = dict[str, Any]


@dataclass
class Machine:
    """Somebody's machine: a repository with a bug, settings, an account, and no key."""

    repository: Repository
    account: Account
    models: ModelServer
    _fixed: dict[str, Answer] = field(default_factory=dict[str, Answer])

    @property
    def config(self) -> Path:
        return Path(self.repository.env["HOME"], ".config/mcp-cloud-agents/config.toml")

    def configure(self, key: str = f"env:{VARIABLE}") -> None:
        """As a person does: models by hand, the account from Terraform's outputs."""
        policy = TASK.policy(f"{self.models.url}/")
        policy["models"] = [{**model, "key": key} for model in policy["models"]]
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(toml_of(policy))
        outputs = self.repository.path.parent / "outputs.json"
        outputs.write_text(json.dumps(self.account.outputs))
        done = program(self.repository, "configure", "aws", "--from-terraform", str(outputs))
        assert done.returncode == 0, done.stderr

    @contextmanager
    def server(self, **env: str) -> Generator[Wire]:
        """An MCP server over stdio."""
        with subprocess.Popen(
            [sys.executable, "-m", "mcp_cloud_agents", "serve"],
            cwd=self.repository.path,
            env={**self.repository.env, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield Wire(process, modern=True)
            finally:
                process.kill()

    def fixed(self, engine: dict[str, Any]) -> Answer:
        """The answer to a fix in AWS that has ended; each engine runs once."""
        name = engine["engine"]
        if name not in self._fixed:
            with self.server() as wire:
                self._fixed[name] = fix(wire, engine)
        return self._fixed[name]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    scratch = Path(tempfile.mkdtemp(prefix="mca-test-")).resolve()
    scratch.chmod(0o711)  # as root, jobs run under another uid
    with an_account("--bootstrap") as account, model_server() as models:
        models.add("main", TASK.scripts["main"])
        path, home = scratch / "repository", scratch / "home"
        TASK.make_repository(path)
        home.mkdir()
        env = {
            "HOME": str(home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "MCP_CLOUD_AGENTS_STATE_DIR": str(scratch / "state"),
            **account.environment,
        }
        made = Machine(Repository(path=path, env=env), account, models)
        made.configure()
        give_secret(account)
        yield made
    remove_tree(str(scratch))


def give_secret(account: Account) -> None:
    """What the module's `secrets` make of the definitions, in a new revision of each."""
    secrets, batch = account.client("secretsmanager"), account.client("batch")
    arn = secrets.create_secret(Name="model-key", SecretString=KEY)["ARN"]
    for name in account.outputs["job_definitions"]["value"].values():
        [one] = batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
        given = [{"name": VARIABLE, "valueFrom": arn}]
        batch.register_job_definition(
            jobDefinitionName=name,
            type="container",
            platformCapabilities=one["platformCapabilities"],
            containerProperties={**one["containerProperties"], "secrets": given},
        )


def fix(wire: Wire, engine: dict[str, Any], backend: str = "aws_batch") -> Answer:
    """Submit, wait, and give the last answer."""
    answer = wire.call("fix_in_sandbox", {**TASK.arguments(), **engine, "backend": backend})
    while answer["ok"] and not answer["done"]:
        answer = wire.call("wait_job", {"job_id": answer["job_id"], "timeout_s": 50})
    return answer


ENGINES = pytest.mark.parametrize("engine", [COMMAND, MODEL], ids=["command", "model"])


@ENGINES
def test_a_fix_in_the_cloud_is_verified_as_it_is_here(
    machine: Machine, engine: dict[str, Any]
) -> None:
    answer = machine.fixed(engine)
    assert answer["ok"], answer
    assert (answer["backend"], answer["state"]) == ("aws_batch", "succeeded"), answer
    assert (answer["fix"]["outcome"], answer["fix"]["label"]) == ("patch", "verified"), answer
    assert answer["patch"]["paths"] == ["pages.py"]
    assert (answer["fix"]["model_requests"] > 0) == (engine is MODEL), answer["fix"]


@ENGINES
def test_its_patch_is_checked_and_applied_to_the_checkout(
    machine: Machine, engine: dict[str, Any]
) -> None:
    job, pages = machine.fixed(engine)["job_id"], machine.repository.path / "pages.py"
    broken = pages.read_text()
    with machine.server() as wire:
        checked = wire.call("apply_patch", {"job_id": job, "mode": "check"})
        assert (checked["ok"], pages.read_text()) == (True, broken), checked
        applied = wire.call("apply_patch", {"job_id": job, "mode": "worktree"})
    assert applied["ok"], applied
    assert MENDED in pages.read_text()
    assert machine.repository.git("diff", "--name-only").split() == ["pages.py"]
    pages.write_text(broken)


@ENGINES
def test_its_artifacts_are_read_from_the_bucket(machine: Machine, engine: dict[str, Any]) -> None:
    answer = machine.fixed(engine)
    names = [one["name"] for one in answer["artifacts"]]
    wanted = {"report.md": "verified", "candidate-1.diff": MENDED}
    if engine is MODEL:
        wanted["transcript-1.jsonl"] = '"submit"'
    with machine.server() as wire:
        for name, text in wanted.items():
            assert name in names
            assert text in whole_artifact(wire, answer["job_id"], name), name


def whole_artifact(wire: Wire, job_id: str, name: str) -> str:
    """All pages of it."""
    text, offset = "", 0
    while True:
        page = wire.call("get_artifact", {"job_id": job_id, "name": name, "offset": offset})
        assert page["ok"], page
        text, offset = text + page["content"], page["next_offset"]
        if offset >= page["size"]:
            return text


def test_the_key_reaches_the_model_and_is_nowhere_in_the_account(machine: Machine) -> None:
    answers = [machine.fixed(engine) for engine in (COMMAND, MODEL)]
    assert {request.key for request in machine.models.seen("main")} == {KEY}
    assert [one.path for one in machine.models.seen("main") if KEY in one.text] == []
    assert KEY not in json.dumps(answers)
    kept = {**objects(machine.account), **log_lines(machine.account), **described(machine.account)}
    assert {"objects", "log", "jobs", "definitions"} == {name.partition(" ")[0] for name in kept}
    # What is searched is legible: a log, a transcript, a job's environment.
    for text in (b"candidate 1 is verified", b'"submit"', b"JOB_SPEC"):
        assert any(text in data for data in kept.values()), text
    assert [name for name, data in kept.items() if KEY.encode() in data] == []


def objects(account: Account) -> dict[str, bytes]:
    """Every version of every object, by its key and its id."""
    s3, bucket = account.client("s3"), account.outputs["bucket"]["value"]
    found: dict[str, bytes] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", ()):
            given = {"Bucket": bucket, "Key": one["Key"], "VersionId": one["VersionId"]}
            data = s3.get_object(**given)["Body"].read()
            found[f"objects {one['Key']} {one['VersionId']}"] = data
    return found


def log_lines(account: Account) -> dict[str, bytes]:
    """Every event of every stream."""
    logs, group = account.client("logs"), account.outputs["log_group"]["value"]
    events = logs.filter_log_events(logGroupName=group, limit=10_000)["events"]
    assert len(events) > 10
    return {"log": "\n".join(one["message"] for one in events).encode()}


def described(account: Account) -> dict[str, bytes]:
    """All that Batch tells of the jobs and the definitions."""
    batch, queue = account.client("batch"), account.outputs["queues"]["value"]["fargate"]
    listed = [
        one["jobId"]
        for state in JOB_STATES
        for one in batch.list_jobs(jobQueue=queue, jobStatus=state)["jobSummaryList"]
    ]
    assert listed
    told = {
        "jobs": batch.describe_jobs(jobs=listed)["jobs"],
        "definitions": batch.describe_job_definitions()["jobDefinitions"],
    }
    return {name: json.dumps(value, default=str).encode() for name, value in told.items()}


def test_a_key_that_the_container_does_not_have_is_told_before_money_is_spent(
    machine: Machine,
) -> None:
    machine.configure(key="env:ANOTHER_KEY")
    with machine.server() as wire:
        answer = fix(wire, MODEL | {"max_usd": 0.5})
    machine.configure()
    assert (answer["state"], answer["error"]["code"]) == ("failed", "model_unusable"), answer
    assert "env:ANOTHER_KEY" in answer["error"]["message"]
    assert "`secrets` of the Terraform module" in answer["error"]["hint"]


def test_a_key_in_a_file_of_this_machine_keeps_the_job_here(machine: Machine) -> None:
    file = machine.repository.path.parent / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    machine.configure(key=f"file:{file}")
    machine.models.add("main", TASK.scripts["main"])
    with machine.server() as wire:
        refused = fix(wire, MODEL)
        here = fix(wire, MODEL, backend="auto")
    machine.configure()
    assert refused["error"]["code"] == "model_unusable"
    assert f"file:{file}" in refused["error"]["message"]
    assert "env:NAME" in refused["error"]["hint"]
    assert (here["backend"], here["fix"]["label"]) == ("local", "verified"), here
    assert here["notes"][0].startswith("aws_batch was passed over: ")
