"""A bug mended end to end, offline: a scripted model, a real job, a patch with evidence, applied.

The model is a server on loopback that says what `scripts.toml` says. It first bends the test, which
is refused, then mends the source.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from mcp import Client, StdioServerParameters

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEY = "sk-ant-demo-0123456789abcdefghij"
GOAL = "A cart of exactly 100.00 gets its discount."
TESTS = "python3 -m unittest -q"
REQUESTS = 6


@contextmanager
def scripted_model() -> Iterator[str]:
    """The address of a model that says what the script says; it ends with this."""
    command = [sys.executable, "-m", "tests.model_server", str(HERE / "scripts.toml")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield json.loads(line)["url"] + "/cart"
        finally:
            process.stdin.close()


def make_repository(folder: Path) -> Path:
    """The repository with its bug, one commit."""
    repository = folder / "cart"
    shutil.copytree(HERE / "repository", repository)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "cart")):
        identity = ("-c", "user.name=demo", "-c", "user.email=demo@invalid")
        subprocess.run(["git", *identity, *words], cwd=repository, check=True)
    return repository


def environment(folder: Path, model_url: str) -> dict[str, str]:
    """A home with the person's settings; the key is in a variable that they name."""
    home = folder / "home"
    config = home / ".config/mcp-cloud-agents/config.toml"
    config.parent.mkdir(parents=True)
    home.chmod(0o711)
    config.write_text(
        "[fix]\nmax_usd = 0.5\nwritten_tests = false\n\n[[fix.models]]\n"
        'provider = "anthropic"\nmodel = "claude-haiku-4-5"\n'
        f'base_url = "{model_url}"\nkey = "env:DEMO_MODEL_KEY"\n'
    )
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "MCP_CLOUD_AGENTS_STATE_DIR": str(home / "state"),
        "DEMO_MODEL_KEY": KEY,
    }


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The envelope of a call."""
    result = await client.call_tool(tool, arguments)
    return dict(result.structured_content or {})


async def fixed(repository: Path, env: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Submit, wait, apply; gives the job's answer and its transcript."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "mcp_cloud_agents", "serve"], env=env, cwd=repository
    )
    async with Client(server, read_timeout_seconds=90) as client:
        answer = await called(
            client, "fix_in_sandbox", goal=GOAL, test_command=TESTS, backend="local"
        )
        if not answer.get("ok"):
            return answer, ""
        job = answer["job_id"]
        print(f"submitted  {job}: {GOAL}")
        print(f"           at most {answer['cost']['reserved_usd']} USD for models are set aside")
        while not answer.get("done"):
            answer = await called(client, "wait_job", job_id=job, timeout_s=50)
        if not answer.get("patch"):
            return answer, ""
        name = next(
            one["name"] for one in answer["artifacts"] if one["name"].startswith("transcript")
        )
        transcript = await read_artifact(client, job, name)
        show(answer, transcript)
        for mode in ("check", "worktree"):
            applied = await called(client, "apply_patch", job_id=job, mode=mode)
            print(f"apply      {mode}: {applied.get('summary')}")
        return answer, transcript


async def read_artifact(client: Client, job: str, name: str) -> str:
    """All pages of an artifact."""
    data, size = b"", 1
    while len(data) < size:
        page = await called(client, "get_artifact", job_id=job, name=name, offset=len(data))
        content, size = page["content"], page["size"]
        data += b64decode(content) if page["encoding"] == "base64" else content.encode()
    return data.decode()


def show(answer: dict[str, Any], transcript: str) -> None:
    """What happened, for a person."""
    print("\nthe candidate, step by step")
    for entry in map(json.loads, transcript.splitlines()):
        if entry["kind"] == "tool":
            result = entry["result"]
            said = result if isinstance(result, str) else f"{result['label']}: {result['why']}"
            print(f"  {entry['name']:<10} {' '.join(str(said).split())[:110]}")
    fix = answer["fix"]
    print(f"\nlabel      {fix['label']}: {answer['summary']}")
    for line in fix["evidence"]["ran"]:
        print(f"  ran      {line}")
    for line in fix["choice"]:
        print(f"  arbiter  {line}")
    print(f"spent      {fix['spent_usd']} USD in {fix['model_requests']} requests, counted here")
    print(f"isolation  {answer['isolation']['level']} ({answer['isolation']['driver']})")
    print(f"patch      {answer['patch']['uri']}  sha256 {answer['patch']['sha256'][:16]}…")


def tests_pass(repository: Path) -> bool:
    """Whether the checkout's tests pass as they are."""
    command = [sys.executable, "-m", "unittest", "-q"]
    done = subprocess.run(command, cwd=repository, capture_output=True, check=False)
    return done.returncode == 0


def main() -> int:
    """Run the example; 0 when the bug is mended as told."""
    with (
        tempfile.TemporaryDirectory(prefix="mcp-cloud-agents-demo-") as name,
        scripted_model() as model_url,
    ):
        folder = Path(name)
        folder.chmod(0o711)
        repository = make_repository(folder)
        print(f"model      {model_url} (scripted, Anthropic's format)")
        print(f"before     tests pass: {tests_pass(repository)}")
        answer, transcript = anyio.run(fixed, repository, environment(folder, model_url))
        if not answer.get("patch"):
            print(json.dumps(answer, indent=2), file=sys.stderr)
            return 1
        print(f"after      tests pass: {tests_pass(repository)}")
        came = {
            "label": answer["fix"]["label"],
            "paths": answer["patch"]["paths"],
            "requests": answer["fix"]["model_requests"],
            "tests pass": tests_pass(repository),
            "test untouched": (repository / "test_cart.py").read_bytes()
            == (HERE / "repository/test_cart.py").read_bytes(),
            "key told": KEY in transcript + json.dumps(answer),
        }
    expected = {
        "label": "verified",
        "paths": ["cart.py"],
        "requests": REQUESTS,
        "tests pass": True,
        "test untouched": True,
        "key told": False,
    }
    as_expected = came == expected
    print("\nThis is the expected end." if as_expected else f"\nunexpected: {came}")
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
