"""The command line as its user meets it: the real program, in pipes and in terminals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from mcp_cloud_agents.agents.repository_config import DeclaredLimits, parse_repository_config
from mcp_cloud_agents.cli.init import CONFIG
from tests.e2e.terminal import PROGRAM, program, terminal
from tests.e2e.wire import Repository

pytestmark = pytest.mark.timeout(180)


FAILING = """\
import unittest


class T(unittest.TestCase):
    def test_bad(self):
        self.assertEqual(1, 2, "[red]one[/red] is not two")
"""


TESTS = "python3 -m unittest"


def submitted(repository: Repository, command: str) -> str:
    """The id of a job that is under way."""
    done = program(repository, "submit", "command", "--detach", command)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def finished(repository: Repository, command: str) -> str:
    """The id of a job that has ended."""
    done = program(repository, "submit", "command", command)
    assert "\nisolation " in done.stdout, done
    return re.findall(r"mcp-cloud-agents attach (\S+)", done.stderr)[0]


def test_passing_tests_end_with_code_0_and_the_verdict_last(repository: Repository) -> None:
    done = program(repository, "submit", "tests", TESTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"$ {TESTS}\n")
    assert "verdict   passed: 1 test passed.\n" in done.stdout
    assert "isolation full (bubblewrap" in done.stdout
    (report,) = re.findall(r"^file      (\S+junit\.xml)", done.stdout, re.MULTILINE)
    assert "test_ok" in Path(report).read_text()


def test_failing_tests_end_with_code_1_and_name_the_line(repository: Repository) -> None:
    repository.write("test_it.py", FAILING)
    done = program(repository, "submit", "tests", TESTS)
    assert done.returncode == 1
    assert "failed    test_it.T.test_bad  test_it.py:6\n" in done.stdout
    assert "[red]one[/red] is not two" in done.stdout


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_of_a_command_is_passed_on(repository: Repository, code: int) -> None:
    assert program(repository, "submit", "command", f"exit {code}").returncode == code


def test_a_job_that_could_not_work_says_why_and_what_next(repository: Repository) -> None:
    done = program(repository, "submit", "command", "no-such-program")
    assert done.returncode == 1
    assert "state     failed: The job has no program no-such-program." in done.stdout
    assert "next      Add it to the project's requirements" in done.stdout


def test_a_change_is_shown_with_the_way_to_apply_it(repository: Repository) -> None:
    done = program(repository, "submit", "command", "echo changed > new.txt")
    (how,) = re.findall(r"1 file, \+1 -0; apply it with: (mcp-cloud-agents .+)", done.stdout)
    assert program(repository, *how.split()[1:]).returncode == 0
    assert (repository.path / "new.txt").read_text() == "changed\n"


def test_json_is_one_envelope_and_nothing_else(repository: Repository) -> None:
    done = program(repository, "submit", "command", "exit 7", "--json")
    answer = json.loads(done.stdout)
    told = {name: answer[name] for name in ("ok", "state", "done", "exit_code", "command")}
    assert told == {
        "ok": True, "state": "succeeded", "done": True, "exit_code": 7, "command": "exit 7",
    }  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "")


def test_a_refusal_is_an_envelope_as_well(repository: Repository) -> None:
    repository.write(".env", "KEY=1\n")
    done = program(repository, "submit", "command", "true", "--json")
    problem = json.loads(done.stdout)["error"]
    assert (problem["code"], problem["paths"]) == (
        "refused_files",
        [".env: looks like a secret (environment file)"],
    )
    assert (done.returncode, done.stderr) == (2, "")


def test_a_file_that_looks_like_a_secret_is_named_with_the_way_out(repository: Repository) -> None:
    repository.write("odd [red]\nname.pem", "x\n")
    done = program(repository, "submit", "command", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert "odd [red]\nname.pem: looks like a secret (private key)\nnext  Add" in done.stderr
    assert "Traceback" not in done.stderr


def test_odd_names_in_the_tree_are_sent_and_printed(repository: Repository) -> None:
    repository.write("ü [bold] a.txt", "x\n")
    done = program(repository, "submit", "command", "ls -- *.txt")
    assert (done.returncode, "ü [bold] a.txt\n" in done.stdout) == (0, True)


def test_two_terminals_attach_to_one_job_and_see_the_same(repository: Repository) -> None:
    job = submitted(repository, "echo begun; sleep 1; echo ended")
    both = [terminal(repository, "attach", job) for _ in range(2)]
    for one in both:
        assert one.end() == 0
        assert "begun\r\n" in one.seen
        assert "ended\r\n" in one.seen
        assert "the command ended with exit code 0" in one.seen


def test_a_terminal_shows_how_far_the_job_is_and_clears_it_again(repository: Repository) -> None:
    shown = terminal(repository, "submit", "command", "echo begun; sleep 2; printf 'no newline'")
    assert shown.end() == 0
    assert re.search(r"running  0:\d\d", shown.seen)
    last = shown.seen.rpartition("\x1b[2K")[2]
    assert re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last).startswith("job       ")
    assert "no newline\r\n" in shown.seen


def test_leaving_by_ctrl_c_never_ends_the_job(repository: Repository) -> None:
    shown = terminal(repository, "submit", "command", "echo begun; sleep 600")
    shown.until("begun\r\n")
    shown.interrupt()
    assert shown.end() == 130
    assert "Traceback" not in shown.seen
    (line,) = json.loads(program(repository, "jobs", "--json").stdout)
    assert line["state"] == "running"
    assert f"mcp-cloud-agents attach {line['job_id']}" in shown.seen
    program(repository, "cancel", line["job_id"])


def test_ctrl_c_while_modules_are_imported_prints_no_traceback() -> None:
    script = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'mcp_cloud_agents.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.argv = ['mcp-cloud-agents', 'jobs']\n"
        "from mcp_cloud_agents.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_none_are_wanted(repository: Repository, env: dict[str, str]) -> None:
    repository.write("test_it.py", FAILING)
    shown = terminal(repository, "submit", "tests", TESTS, env=env)
    assert shown.end() == 1
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown.seen)


def test_a_narrow_terminal_still_shows_whole_ids(repository: Repository) -> None:
    job = finished(repository, "echo a rather long command that has no room")
    shown = terminal(repository, "jobs", env={"COLUMNS": "40"})
    assert shown.end() == 0
    assert f"\n{job}  " in shown.seen


def test_jobs_in_a_pipe_are_lines_with_tabs(repository: Repository) -> None:
    job = finished(repository, "printf 'a\tb'; exit 3")
    done = program(repository, "jobs", "--here")
    name, created, *rest = done.stdout.rstrip("\n").split("\t")
    assert datetime.fromisoformat(created).tzinfo is not None
    assert [name, *rest] == [
        job, "succeeded", "exit 3", "printf 'a b'; exit 3", str(repository.path),
    ]  # fmt: skip


def test_jobs_as_json_are_one_list(repository: Repository) -> None:
    job = finished(repository, "true")
    (line,) = json.loads(program(repository, "jobs", "--json").stdout)
    assert {**line, "created_at": ""} == {
        "job_id": job,
        "created_at": "",
        "state": "succeeded",
        "ended": "exit 0",
        "command": "true",
        "workspace": str(repository.path),
    }


def test_no_jobs_are_told_beside_the_output(repository: Repository) -> None:
    done = program(repository, "jobs")
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "", "no jobs yet; start one: mcp-cloud-agents submit tests\n",
    )  # fmt: skip


def test_a_log_is_read_by_tail_by_offset_and_by_search(repository: Repository) -> None:
    job = finished(repository, "seq 1 2000")
    whole = program(repository, "logs", job).stdout
    head = "$ seq 1 2000\n"
    assert whole == head + "".join(f"{n}\n" for n in range(1, 2001))
    assert program(repository, "logs", job, "--tail", "2").stdout == "1999\n2000\n"
    assert program(repository, "logs", job, "--offset", str(len(head))).stdout.startswith("1\n2\n")
    assert program(repository, "logs", job, "--offset", "9" * 30).stdout == ""
    assert program(repository, "logs", job, "--search", "1234").stdout == "1235: 1234\n"


def test_a_search_that_finds_nothing_ends_like_grep(repository: Repository) -> None:
    done = program(repository, "logs", finished(repository, "true"), "--search", "[red]")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no line holds this text\n")


def test_control_sequences_and_endless_lines_of_a_job_do_no_harm(repository: Repository) -> None:
    command = (
        r"printf '\033]0;owned\007\033[2J\033[31mred\n\302\233A\342\200\256txt\r50%%\n';"
        " head -c 300000 /dev/zero | tr '\\0' x"
    )
    done = program(repository, "submit", "command", command)
    assert done.returncode == 0
    shown = done.stdout.partition("\nred\n")[2]
    assert shown.startswith("\ufffdA\ufffdtxt\n50%\nxxxx")
    assert " [295904 characters left out]\n" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown)


@pytest.mark.parametrize("words", [("logs",), ("attach",), ("jobs",), ("schemas",), ("doctor",)])
def test_a_reader_that_goes_away_is_no_error(repository: Repository, words: tuple[str]) -> None:
    job = finished(repository, "seq 1 100000") if words[0] in ("logs", "attach", "jobs") else ""
    argument = (job,) if words[0] in ("logs", "attach") else ()
    process = subprocess.Popen(
        [*PROGRAM, *words, *argument],
        cwd=repository.path,
        env=repository.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert said == b""
    assert process.returncode in (1, 141)


def test_cancel_goes_through_all_jobs_although_one_is_unknown(repository: Repository) -> None:
    done_before = finished(repository, "true")
    job = submitted(repository, "sleep 600")
    done = program(repository, "cancel", "nope", job, done_before)
    assert done.returncode == 2
    assert re.fullmatch(
        f"{job}  asked to end; it was: \\w+\n{done_before}  was done already: succeeded\n",
        done.stdout,
    )
    assert program(repository, "attach", job).returncode == 1


def test_cancel_of_a_workspace_ends_what_runs_there(repository: Repository) -> None:
    finished(repository, "true")
    job = submitted(repository, "sleep 600")
    done = program(repository, "cancel", "--workspace", str(repository.path))
    assert (done.returncode, done.stdout.split("  ")[0]) == (0, job)
    ended = program(repository, "attach", job)
    assert (ended.returncode, "state     cancelled: " in ended.stdout) == (1, True)
    assert program(repository, "cancel", "--workspace", str(repository.path)).stdout == ""


def test_doctor_starts_a_sandbox_and_tells_every_setting(repository: Repository) -> None:
    done = program(repository, "doctor", "--verbose")
    assert done.returncode == 0, done.stdout
    assert re.search(r"ok   sandbox   bubblewrap \S+ was started: level full\n", done.stdout)
    assert "     limits.memory_mib              4096  (default)\n" in done.stdout
    state = repository.env["MCP_CLOUD_AGENTS_STATE_DIR"]
    assert f"     state_dir                      {state}  (environment)\n" in done.stdout


def test_doctor_names_what_is_missing_and_fails(repository: Repository) -> None:
    blocked = repository.path.parent / "file"
    blocked.write_text("")
    done = program(repository, "doctor", MCP_CLOUD_AGENTS_STATE_DIR=str(blocked))
    assert done.returncode == 1
    assert re.search(r"^FAIL state .*cannot be written.*\n {15}Give yourself", done.stdout, re.M)


def test_doctor_tells_of_each_key_whether_it_is_there_and_shows_none(
    repository: Repository,
) -> None:
    home = Path(repository.env["HOME"])
    file = home / "key"
    file.write_text("sk-file\n")
    file.chmod(0o644)
    keys = ("env:SET_KEY", "env:UNSET_KEY", f"file:{file}", f"file:{home}/none")
    model = '[[fix.models]]\nprovider = "anthropic"\nmodel = "claude-haiku-4-5"\nkey = "{}"\n'
    config = home / ".config/mcp-cloud-agents/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("".join(model.format(key) for key in keys))
    done = program(repository, "doctor", SET_KEY="sk-set", COLUMNS="400")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line[5:].startswith("fixing")]
    assert [line.split()[0] for line in lines[1:]] == ["ok", "FAIL", "FAIL", "FAIL"]
    told = (
        "key env:SET_KEY: set here",
        "UNSET_KEY: not set",
        "other users can open it",
        "No such file",
    )
    assert all(text in line for text, line in zip(told, lines[1:], strict=True)), lines
    assert f"Run: chmod 600 {file}" in done.stdout
    assert "sk-" not in done.stdout
    file.chmod(0o600)
    mended = program(repository, "doctor", SET_KEY="sk-set", COLUMNS="400")
    assert f"key file:{file}: readable\n" in mended.stdout


def test_schemas_are_written_checked_and_foreign_files_left_alone(repository: Repository) -> None:
    folder = repository.path.parent / "schemas"
    folder.mkdir()
    assert program(repository, "schemas", "--write", str(folder)).returncode == 0
    assert program(repository, "schemas", "--check", str(folder)).returncode == 0
    (folder / "package.json").write_text("{}")
    (folder / "get_job.json").write_text("{}")
    stale = program(repository, "schemas", "--check", str(folder))
    assert (stale.returncode, stale.stderr) == (
        1,
        "out of date: get_job.json, package.json; run ./dev schemas and commit the result\n",
    )
    again = program(repository, "schemas", "--write", str(folder))
    assert (again.returncode, (folder / "package.json").read_text()) == (0, "{}")
    assert "remove it: " in again.stderr


def test_init_writes_comments_once_and_prints_what_clients_need(repository: Repository) -> None:
    file = repository.path / ".cloud-agents/config.toml"
    kept = program(repository, "init")
    assert (kept.returncode, file.read_text()) == (0, "[setup]\ncommands = []\n")
    assert "left as it is" in kept.stderr
    file.unlink()
    below = repository.path / "below"
    below.mkdir()
    done = program(repository, "init", cwd=below)
    assert (done.returncode, file.read_text()) == (0, CONFIG)
    for mark in ("[mcp_servers.cloud_agents]", '{"mcpServers"', "[scripts]"):
        assert mark in done.stdout


def test_what_init_suggests_is_a_valid_configuration() -> None:
    named = re.sub(r"^# (?=[\[a-z_]+(?:\]| = ))", "", CONFIG, flags=re.MULTILINE)
    config = parse_repository_config(named.encode(), runners=["pytest"])
    assert config.limits == DeclaredLimits(
        timeout_minutes=10, memory_mib=2048, processes=256, disk_mib=4096
    )
    assert (config.tests.command, config.setup is not None) == ("pytest -q", True)


def test_a_terminal_that_knows_ascii_only_gets_escapes(repository: Repository) -> None:
    done = program(repository, "submit", "command", "echo größe", PYTHONIOENCODING="ascii")
    assert (done.returncode, "gr\\xf6\\xdfe\n" in done.stdout) == (0, True)


def test_a_c_locale_and_no_home_do_no_harm(repository: Repository) -> None:
    env = {"PATH": repository.env["PATH"], "LANG": "C"}
    env["MCP_CLOUD_AGENTS_STATE_DIR"] = repository.env["MCP_CLOUD_AGENTS_STATE_DIR"]
    done = subprocess.run(
        [*PROGRAM, "submit", "command", "echo größe"],
        cwd=repository.path,
        env=env,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "größe\n".encode() in done.stdout) == (0, True)


def test_version_and_help_name_the_program_and_the_exit_codes(repository: Repository) -> None:
    assert re.fullmatch(
        r"mcp-cloud-agents \d+\.\d+\.\d+\n", program(repository, "--version").stdout
    )
    told = program(repository, "-h")
    assert (told.returncode, "Exit codes: 0 passed" in told.stdout) == (0, True)


@pytest.mark.parametrize("words", [("jobs",), ("logs", "nope")])
def test_looking_starts_without_the_heavy_libraries(
    repository: Repository, words: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mcp_cloud_agents", *words],
        cwd=repository.path,
        env=repository.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mcp_cloud_agents.cli.jobs" in imported
    assert imported & {"mcp", "mcp_types", "rich.console", "jsonschema"} == set()
