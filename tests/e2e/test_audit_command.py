"""`audit` as a person uses it: the real program on a state folder, and on exported files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mcp_cloud_agents.cli.app import app
from mcp_cloud_agents.ports.audit import Action
from tests.audit_entries import an_entry, audit_in
from tests.e2e.terminal import program, terminal
from tests.e2e.wire import Repository
from tests.stores import client, s3_server

AWS = """\
[aws]
region = "us-east-1"
bucket = "jobs"
audit_bucket = "audit-copy"
endpoint_url = "{endpoint}"
queues = {{ fargate = "q" }}
job_definitions = {{ x86_64 = "d" }}
"""


@pytest.fixture
def chain(repository: Repository) -> Path:
    """The folder of an audit with five entries."""
    state = Path(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"])
    state.mkdir(parents=True, exist_ok=True)
    audit = audit_in(state / "audit")
    audit.append(an_entry(job_id="j-1", agent="run_tests_cloud"))
    audit.append(an_entry(job_id="j-1", action=Action.SETTLED, actual_micros=40_000))
    audit.append(an_entry(job_id="j-2", action=Action.DENIED, reason="[red]too dear[/red]"))
    audit.append(an_entry(job_id="j-3", at=4_000_000_000.0))
    audit.append(an_entry(job_id="j-4"))
    return state / "audit"


def test_entries_are_shown_filtered_and_as_json(chain: Path, repository: Repository) -> None:
    def shown(*words: str) -> list[str]:
        done = CliRunner().invoke(app, ["audit", "show", *words], env=repository.env)
        return done.output.splitlines()

    assert [row.split("\t")[0] for row in shown()] == ["1", "2", "3", "4", "5"]
    assert [row.split("\t")[3] for row in shown("--limit", "2")] == ["j-3", "j-4"]
    assert [row.split("\t")[4] for row in shown("--job", "j-1")] == ["at most $1.25", "$0.04 spent"]
    (denied,) = shown("--action", "denied")
    assert denied.endswith("rule default: [red]too dear[/red]")
    assert [row.split("\t")[3] for row in shown("--since", "2090-01-01")] == ["j-3"]
    assert json.loads(shown("--json")[1])["entry"]["actual_micros"] == 40_000
    assert "'soon' is no moment" in shown("--since", "soon")[0]
    assert chain.exists()


def test_a_terminal_gets_a_table_with_a_header(chain: Path, repository: Repository) -> None:
    shown = terminal(repository, "audit", "show")
    assert shown.end() == 0
    assert "money" in shown.seen.splitlines()[0]
    assert chain.exists()


def test_a_whole_chain_ends_with_code_0_and_a_broken_one_with_its_place(
    chain: Path, repository: Repository
) -> None:
    done = program(repository, "audit", "verify")
    assert (done.returncode, done.stdout[:24]) == (0, "whole: 5 entries, 1 to 5")
    path = chain / "00000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"too dear", b"was fine"))
    done = program(repository, "audit", "verify")
    assert done.returncode == 1
    assert f"{path}, line 3, entry 3: changed entry" in done.stdout


def test_an_export_is_verified_elsewhere(
    chain: Path, repository: Repository, tmp_path: Path
) -> None:
    out = tmp_path / "audit.jsonl"
    assert program(repository, "audit", "export", "--out", str(out)).returncode == 0
    assert out.read_bytes() == (chain / "00000001.jsonl").read_bytes()
    assert program(repository, "audit", "export").stdout.encode() == out.read_bytes()
    again = program(repository, "audit", "export", "--out", str(out))
    assert (again.returncode, "does not exist yet" in again.stderr) == (2, True)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = str(tmp_path / "elsewhere")

    def verified() -> tuple[int, str]:
        words = ("audit", "verify", str(out))
        done = program(repository, *words, MCP_CLOUD_AGENTS_STATE_DIR=elsewhere)
        return done.returncode, done.stdout

    code, said = verified()
    assert (code, said[:24]) == (0, "whole: 5 entries, 1 to 5")
    out.write_bytes(b"".join(out.read_bytes().splitlines(keepends=True)[::-1]))
    assert verified()[0] == 1


def test_without_entries_nothing_is_wrong(repository: Repository) -> None:
    done = program(repository, "audit", "verify")
    assert (done.returncode, done.stderr) == (0, "no entries yet\n")
    assert program(repository, "audit", "show").returncode == 0
    assert not os.path.exists(os.path.join(repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "audit"))


def test_a_copy_without_a_bucket_says_how_to_get_one(repository: Repository) -> None:
    for words in (("push",), ("verify", "--cloud")):
        done = program(repository, "audit", *words)
        assert (done.returncode, "audit_bucket" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_push_copies_into_the_bucket_and_verify_asks_it(
    chain: Path, repository: Repository
) -> None:
    with s3_server() as endpoint:
        client(endpoint).create_bucket(Bucket="audit-copy")
        config = Path(repository.env["HOME"]) / ".config/mcp-cloud-agents/config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(AWS.format(endpoint=endpoint))
        repository.env.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
        pushed = program(repository, "audit", "push")
        verified = program(repository, "audit", "verify", "--cloud")
        (piece,) = client(endpoint).list_objects_v2(Bucket="audit-copy")["Contents"]
    done = "the copy in s3://audit-copy ends with entry 5; nothing is left to copy\n"
    assert (pushed.returncode, pushed.stdout) == (0, done), pushed.stderr
    assert verified.stderr == f"the copy ends with entry 5\n{done}"
    machine = (chain / "machine").read_text()
    assert piece["Key"] == f"audit/{machine}/00000001-00000005.jsonl"
    again = program(repository, "audit", "push")
    assert (again.returncode, again.stdout) == (0, done), "nothing is new, so nobody is asked"
