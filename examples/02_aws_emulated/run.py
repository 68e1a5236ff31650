"""The whole AWS path without an account: S3, Batch, CloudWatch and EventBridge on loopback.

Starts the emulator, sets it up as the Terraform module would, runs a dirty tree's tests in a Batch
job through the MCP server, then looks at the job from "another machine": another state folder, the
same account.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from mcp import Client, StdioServerParameters

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = {"total": 3, "passed": 2, "failed": 1}
PACKAGE = [sys.executable, "-m", "mcp_cloud_agents"]
TESTS = """\
import unittest


class Prices(unittest.TestCase):
    def test_a_price_has_two_digits(self):
        self.assertEqual(f"{1.5:.2f}", "1.50")

    def test_a_discount_is_taken_off(self):
        self.assertEqual(100 - 100 // 3, 66)
"""
UNTRACKED = """\
import unittest


class New(unittest.TestCase):
    def test_an_untracked_file_is_sent(self):
        self.assertTrue(__file__.startswith("/workspace"))
"""


@contextmanager
def emulated_aws() -> Iterator[dict[str, Any]]:
    """An AWS on loopback; it and all of its jobs end with this."""
    command = [*PACKAGE[:-1], "mcp_cloud_agents.emulator", "--bootstrap", "--until-eof"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield json.loads(line)
        finally:
            process.stdin.close()


def dirty_repository(folder: Path) -> Path:
    """One commit, and a test that is not in it."""
    repository = folder / "prices"
    repository.mkdir()
    (repository / "test_prices.py").write_text(TESTS)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "prices")):
        identity = ("-c", "user.name=demo", "-c", "user.email=demo@invalid")
        subprocess.run(["git", *identity, *words], cwd=repository, check=True)
    (repository / "test_new.py").write_text(UNTRACKED)
    return repository


def environment(folder: Path, machine: str, aws: dict[str, Any]) -> dict[str, str]:
    """Of one machine: a home with its own settings and state."""
    home = folder / machine
    home.mkdir(mode=0o711)
    return {
        "PATH": os.defpath,
        **aws["environment"],
        "HOME": str(home),
        "MCP_CLOUD_AGENTS_STATE_DIR": str(home / "state"),
    }


def configure(env: dict[str, str], aws: dict[str, Any]) -> None:
    """What a person does after `terraform apply`."""
    command = [*PACKAGE, "configure", "aws", "--from-terraform", "-"]
    outputs = json.dumps(aws["outputs"])
    subprocess.run(command, env=env, input=outputs, text=True, check=True, capture_output=True)


async def run_tests(repository: Path, env: dict[str, str]) -> dict[str, Any]:
    """Submit to AWS Batch, wait, and give back the envelope."""
    server = StdioServerParameters(
        command=PACKAGE[0], args=[*PACKAGE[1:], "serve"], env=env, cwd=repository
    )
    async with Client(server, read_timeout_seconds=90) as client:
        arguments: dict[str, Any] = {"backend": "aws_batch", "command": "python3 -m unittest"}
        result = await client.call_tool("run_tests_cloud", arguments)
        answer = dict(result.structured_content or {})
        if not answer.get("ok"):
            return answer
        print(f"submitted  {answer['job_id']} to {answer['backend']}: {answer['command']}")
        while not answer.get("done"):
            waited = {"job_id": answer["job_id"], "timeout_s": 50}
            result = await client.call_tool("wait_job", waited)
            answer = dict(result.structured_content or {})
        return answer


def main() -> int:
    """Run the example; 0 when the verdict is the expected one, on both machines."""
    with (
        tempfile.TemporaryDirectory(prefix="mcp-cloud-agents-demo-") as name,
        emulated_aws() as aws,
    ):
        folder = Path(name)
        folder.chmod(0o711)
        print(f"AWS        {aws['endpoint']} (emulated, account {aws['account_id']})")
        laptop, other = (environment(folder, machine, aws) for machine in ("laptop", "other"))
        configure(laptop, aws)
        answer = anyio.run(run_tests, dirty_repository(folder), laptop)
        if answer.get("verdict") is None:
            print(json.dumps(answer.get("error"), indent=2), file=sys.stderr)
            return 1
        print(f"verdict    {answer['verdict']}: {answer['summary']}")
        isolation = answer["isolation"]
        print(f"isolation  {isolation['level']} ({isolation['driver']})")
        configure(other, aws)
        attach = [*PACKAGE, "attach", answer["job_id"]]
        seen = subprocess.run(attach, env=other, capture_output=True, text=True, check=False)
        print("attached from another machine, it says:")
        print("".join(f"  | {line}\n" for line in seen.stdout.splitlines()[-12:]), end="")
    counts = {key: answer["tests"]["counts"].get(key) for key in EXPECTED}
    as_expected = counts == EXPECTED and "1 of 3 tests failed" in seen.stdout
    print("\nThis is the expected verdict." if as_expected else f"\nunexpected: {counts}")
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
