"""The main job through the front door, in both protocol eras."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.wire import Connect, Repository, Wire

pytestmark = pytest.mark.timeout(180)

UNITTEST = """\
import unittest


class T(unittest.TestCase):
    def test_good(self):
        pass

    def test_bad(self):
        self.assertEqual(1, 2, "one is not two")
"""


def test_the_verdict_names_each_failing_test_with_its_line(
    repository: Repository, wire: Wire
) -> None:
    repository.write("test_it.py", UNITTEST)
    answer = wire.call("run_tests_cloud", {"command": "python3 -m unittest"})
    assert answer["ok"], answer
    done = wire.finished(answer["job_id"])
    assert (done["state"], done["verdict"], done["ok"]) == ("succeeded", "failed", True)
    assert done["tests"]["counts"]["passed"] == 1
    (failure,) = done["tests"]["failures"]
    assert failure["id"].endswith("test_bad")
    assert "one is not two" in failure["message"]
    assert "test_it.py:9" in failure["at"]


def test_what_is_sent_is_the_tree_with_all_its_edits(repository: Repository, wire: Wire) -> None:
    repository.write("staged.txt", "staged\n")
    repository.git("add", "staged.txt")
    repository.write("odd ü\nname.txt", "untracked\n")
    (repository.path / "test_it.py").unlink()
    answer = wire.call("run_in_sandbox", {"command": "find . -type f | sort; cat *.txt"})
    done = wire.finished(answer["job_id"])
    log = wire.call("read_log", {"job_id": answer["job_id"]})["text"]
    assert done["exit_code"] == 0
    assert done["tree"]["dirty"] is True
    assert "./staged.txt" in log
    assert "untracked\n" in log
    assert "test_it.py" not in log


def test_the_answer_is_the_same_in_text_and_structure(repository: Repository, wire: Wire) -> None:
    del repository
    number = wire.send("tools/call", {"name": "list_jobs", "arguments": {}})
    result = wire.answer(number)["result"]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]


def test_a_changed_tree_comes_back_as_a_patch_that_applies(
    repository: Repository, wire: Wire
) -> None:
    command = "printf 'changed\\n' > test_it.py; printf '\\000\\001' > new.bin; chmod +x new.bin"
    answer = wire.call("run_in_sandbox", {"command": command})
    done = wire.finished(answer["job_id"])
    assert (done["patch"]["files"], done["patch"]["paths"]) == (2, ["new.bin", "test_it.py"])
    read = wire.answer(wire.send("resources/read", {"uri": done["patch"]["uri"]}))
    (repository.path.parent / "p.diff").write_text(read["result"]["contents"][0]["text"])
    repository.git("apply", str(repository.path.parent / "p.diff"))
    assert (repository.path / "new.bin").read_bytes() == b"\x00\x01"
    assert (repository.path / "test_it.py").read_text() == "changed\n"


def test_an_unknown_argument_is_refused_and_nothing_starts(
    repository: Repository, wire: Wire
) -> None:
    del repository
    answer = wire.call("run_tests_cloud", {"timeout_minuets": 5})
    assert answer["error"]["code"] == "invalid_argument"
    assert "timeout_minuets" in answer["error"]["message"]
    assert wire.call("list_jobs").get("jobs", []) == []


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("get_job", {"job_id": "jnothing"}, "unknown_job"),
        ("get_job", {"job_id": "../../etc"}, "unknown_job"),
        ("wait_job", {"job_id": "", "timeout_s": -1}, "unknown_job"),
        ("read_log", {"job_id": "j" * 5_000}, "unknown_job"),
        ("cancel_job", {"job_id": "j\x00"}, "unknown_job"),
        ("run_in_sandbox", {"command": "a\x00b"}, "invalid_argument"),
        ("run_in_sandbox", {"command": "true", "timeout_minutes": -5}, "invalid_argument"),
        ("run_in_sandbox", {"command": "true", "timeout_minutes": 1e300}, "invalid_argument"),
        ("run_in_sandbox", {"command": "true", "workspace": "/nowhere"}, "not_a_worktree"),
        ("run_tests_cloud", {"paths": ["../outside"]}, "invalid_argument"),
        ("run_in_sandbox", {}, "invalid_argument"),
        ("run_in_sandbox", {"command": 3}, "invalid_argument"),
    ],
)
def test_wrong_input_is_told_with_code_message_and_hint(
    connect: Connect, tool: str, arguments: dict[str, Any], code: str
) -> None:
    answer = connect().call(tool, arguments)
    assert answer["ok"] is False
    assert answer["error"]["code"] == code
    assert answer["error"]["message"]
    assert answer["error"]["hint"]


def test_a_command_that_does_not_exist_says_so(repository: Repository, connect: Connect) -> None:
    del repository
    wire = connect()
    answer = wire.call("run_tests_cloud", {"command": "python3 -m unittest_typo"})
    assert answer["ok"] is False
    answer = wire.call("run_in_sandbox", {"command": "no-such-program --x"})
    done = wire.finished(answer["job_id"])
    assert (done["state"], done["error"]["code"]) == ("failed", "command_not_found")
    assert "no-such-program" in " ".join(done["error"]["excerpt"])


def test_a_run_over_its_time_ends_as_timed_out_with_its_log(connect: Connect) -> None:
    wire = connect()
    command = "echo before; sleep 600 & sleep 600"
    answer = wire.call("run_in_sandbox", {"command": command, "timeout_minutes": 1 / 60})
    done = wire.finished(answer["job_id"])
    assert (done["state"], done["error"]["code"], done["ok"]) == ("timed_out", "timeout", False)
    assert "before" in done["log"]["tail"]


def test_a_cancelled_job_ends_soon_and_keeps_its_log(connect: Connect) -> None:
    wire = connect()
    answer = wire.call("run_in_sandbox", {"command": "echo begun; sleep 600"})
    job = answer["job_id"]
    while "begun" not in wire.call("read_log", {"job_id": job})["text"]:
        wire.call("wait_job", {"job_id": job, "timeout_s": 0.2})
    wire.call("cancel_job", {"job_id": job})
    done = wire.finished(job)
    assert (done["state"], done["error"]["code"]) == ("cancelled", "cancelled")
    assert "begun" in done["log"]["tail"]


def test_pages_of_a_log_join_to_the_whole_log(connect: Connect) -> None:
    wire = connect()
    answer = wire.call("run_in_sandbox", {"command": "seq 1 5000"})
    done = wire.finished(answer["job_id"])
    text, cursor = "", 0
    while cursor < done["log"]["size"]:
        found = wire.call("read_log", {"job_id": answer["job_id"], "offset": cursor})
        text, cursor = text + found["text"], found["cursor"]
    numbers = [line for line in text.splitlines() if line.isdigit()]
    assert numbers == [str(n) for n in range(1, 5001)]
    beyond = wire.call("read_log", {"job_id": answer["job_id"], "offset": 10**15})
    assert (beyond["text"], beyond["cursor"]) == ("", done["log"]["size"])


def test_no_answer_is_longer_than_8000_characters(connect: Connect) -> None:
    wire = connect()
    command = r"""for i in $(seq 1 3000); do printf '\033[31m"\\\t%s\n' "$i"; done"""
    job = wire.call("run_in_sandbox", {"command": command})["job_id"]
    wire.finished(job)
    for tool, arguments in (
        ("get_job", {}),
        ("read_log", {}),
        ("read_log", {"offset": 0}),
        ("read_log", {"search": "1", "context_lines": 10}),
    ):
        frame = wire.answer(
            wire.send("tools/call", {"name": tool, "arguments": {"job_id": job, **arguments}})
        )
        assert len(frame["result"]["content"][0]["text"]) <= 8_000, tool


def test_listeners_are_told_of_changes_in_both_eras(wire: Wire) -> None:
    answer = wire.call("run_in_sandbox", {"command": "sleep 1; echo line; sleep 1"})
    uri = f"job://{answer['job_id']}/log"
    if wire.modern:
        wire.send("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]}})
    else:
        wire.answer(wire.send("resources/subscribe", {"uri": uri}))
    wire.finished(answer["job_id"])
    updates = [f for f in wire.seen if f.get("method") == "notifications/resources/updated"]
    assert {f["params"]["uri"] for f in updates} == {uri}


def test_a_server_in_a_folder_that_is_gone_says_so(
    repository: Repository, connect: Connect
) -> None:
    kept = repository.path.rename(repository.path.parent / "kept")
    repository.path.mkdir()
    wire = connect()
    wire.call("list_jobs")  # it is up
    repository.path.rmdir()
    second = wire.call("run_in_sandbox", {"command": "true", "workspace": str(repository.path)})
    kept.rename(repository.path)
    assert second["error"]["code"] in {"not_a_worktree", "bad_config"}
