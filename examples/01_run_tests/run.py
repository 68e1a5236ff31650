"""The main job, as a client does it: start the server over stdio, run the tests of a dirty tree.

The repository is a copy of `repository/` in a temporary folder, with one commit and then edits:
an unstaged fix, a staged file and an untracked test. The verdict must see all three.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

HERE = Path(__file__).resolve().parent
EXPECTED = {"total": 6, "passed": 5, "failed": 1}


def make_dirty_repository(folder: Path) -> Path:
    """A repository with one commit and a tree that differs from it in three ways."""
    repository = folder / "parcel"
    shutil.copytree(HERE / "repository", repository)

    def git(*words: str) -> None:
        identity = ("-c", "user.name=demo", "-c", "user.email=demo@invalid")
        subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "parcel prices")
    source = repository / "src/parcel/__init__.py"
    source.write_text(
        source.read_text() + "\n\ndef label(zone_name):\n    return zone_name[0].upper()\n"
    )
    staged = repository / "tests/test_label.py"
    staged.write_text(
        "from parcel import label\n\n\ndef test_a_label():\n    assert label('far') == 'F'\n"
    )
    git("add", "tests/test_label.py")
    untracked = repository / "tests/test_größe 1.py"
    untracked.write_text(
        "def test_an_untracked_file_with_an_odd_name_is_sent():\n    assert True\n"
    )
    return repository


async def show_progress(progress: float, total: float | None, message: str | None) -> None:
    """What a client shows while a call runs."""
    del progress, total
    print(f"  … {message}", flush=True)


async def run_tests(repository: Path) -> dict[str, Any]:
    """Submit, wait, and give back the envelope."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "mcp_cloud_agents", "serve"], cwd=repository
    )
    async with Client(server, read_timeout_seconds=90) as client:
        result = await client.call_tool("run_tests_cloud", {"backend": "local"})
        answer = dict(result.structured_content or {})
        if not answer.get("ok"):
            return answer
        print(f"submitted  {answer['job_id']}: {answer['command']}")
        while not answer.get("done"):
            result = await client.call_tool(
                "wait_job",
                {"job_id": answer["job_id"], "timeout_s": 50},
                progress_callback=show_progress,
            )
            answer = dict(result.structured_content or {})
        return answer


def show(answer: dict[str, Any]) -> None:
    """The verdict for a person."""
    tree, isolation, tests = answer["tree"], answer["isolation"], answer["tests"]
    print(f"\nverdict    {answer['verdict']}: {answer['summary']}")
    for failure in tests["failures"]:
        print(f"  failed   {failure['id']}  {failure.get('at', '')}")
        print(textwrap.indent(failure["message"], " " * 11))
    print(f"tree       {tree['tree'][:12]}, {tree['files']} files, dirty: {tree['dirty']}")
    seconds = answer["timings_s"]
    print(f"environ.   {answer['environment']} in {seconds['setup']} s; run {seconds['run']} s")
    print(f"isolation  {isolation['level']} ({isolation['driver']})", end=", ")
    print(f"network in the run: {isolation['run_network']}")
    print("           limits: " + ", ".join(f"{k} {v}" for k, v in isolation["limits"].items()))
    print(f"log        mcp-cloud-agents logs {answer['job_id']}   (job://{answer['job_id']}/log)")
    for artifact in answer["artifacts"]:
        print(f"artifact   {artifact['uri']}  {artifact['size_bytes']} bytes")


def main() -> int:
    """Run the example; 0 when the verdict is the expected one."""
    with tempfile.TemporaryDirectory(prefix="mcp-cloud-agents-demo-") as folder:
        repository = make_dirty_repository(Path(folder))
        print(
            f"repository {repository} (a dirty tree: one edit, one staged and one untracked file)"
        )
        answer = anyio.run(run_tests, repository)
    if not answer.get("ok"):
        error = answer.get("error") or {}
        print(
            f"\nnot run: {error.get('message')}\n  what to do: {error.get('hint')}", file=sys.stderr
        )
        return 1
    show(answer)
    counts = answer["tests"]["counts"]
    as_expected = {name: counts.get(name) for name in EXPECTED} == EXPECTED
    print(
        "\nThis is the expected verdict: one test fails on purpose."
        if as_expected
        else f"\nunexpected counts: {counts}"
    )
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
