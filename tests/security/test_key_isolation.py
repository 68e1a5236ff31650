"""Attacks of a fixing subagent's commands on the model's key and on the money behind it.

The key lies in this process, as it does in a candidate's; commands run in the same sandbox as an
agent's do, with the gateway's socket and the token of their job, and with root's or a person's
other processes around them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from mcp_cloud_agents.domain.fix import Budget, Spent
from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.worker.fix.gateway import forwarder
from tests.gateway_client import KEY, Desk, a_request, gateway_to, route_to
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server
from tests.sandbox_box import PYTHON, Box, Ended

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="/proc is what is attacked")
HALF = KEY[: len(KEY) // 2]
"""The attacks carry no whole key, or they would find themselves."""
ASK = """
import json, os, sys, urllib.request, urllib.error
def ask(path="/v1/messages", token=os.environ.get("TOKEN", ""), method="POST", headers=(), **body):
    url = os.environ["GATEWAY"] + path
    data = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}], **body}
    asked = urllib.request.Request(url, json.dumps(data).encode(), method=method)
    for name, value in (("x-api-key", token), *headers):
        asked.add_header(name, value)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
"""


@dataclass(kw_only=True)
class Cell:
    """A box that has the gateway, as an agent's has."""

    box: Box
    desk: Desk
    models: ModelServer
    folder: Path

    def run(self, *argv: str) -> Ended:
        """Run a command behind the forwarder."""
        program = self.folder / "forwarder.py"
        program.write_bytes(Path(forwarder.__file__).read_bytes())
        program.chmod(0o644)
        shown = (
            Bind(host=self.desk.gateway.path, inside="/tools/gateway.sock"),
            Bind(host=str(program), inside="/tools/forwarder.py"),
        )
        words = (PYTHON, "-I", "-S", "/tools/forwarder.py", "/tools/gateway.sock", *argv)
        env = (("GATEWAY", "http://127.0.0.1:{gateway-port}"), ("TOKEN", self.desk.gateway.token))
        binds = (*self.box.confinement().binds, *shown)
        return self.box.run(*words, binds=binds, env=env)

    def attack(self, code: str, *args: str) -> str:
        """Run Python code with `ask`; what it printed."""
        ended = self.run(PYTHON, "-I", "-c", ASK + code, *args)
        assert ended.exit_code == 0, ended.output
        return ended.output


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with model_server({"good": Script(turns=(Turn(text="hi", usage=(1_000, 100)),))}) as server:
        yield server


@pytest.fixture
def cell(box: Box, open_path: Path, models: ModelServer) -> Iterator[Cell]:
    route = route_to(f"{models.url}/good")
    budget = Budget(usd_micros=200_000, requests=1_000)
    with gateway_to(route, folder=open_path, budget=budget, output=2_000) as desk:
        yield Cell(box=box, desk=desk, models=models, folder=open_path)


def test_a_command_reaches_the_model_and_its_answer_holds_no_key(cell: Cell) -> None:
    said = cell.attack("print(*ask())")
    assert said.startswith("200 ")
    assert cell.models.requests[0].key == KEY
    assert KEY not in said


def test_reading_the_environment_of_every_process_finds_no_key(cell: Cell) -> None:
    said = cell.attack(
        """
import glob
for place in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
    try:
        print(place, open(place, "rb").read())
    except OSError as exc:
        print(place, exc.strerror)
"""
    )
    assert KEY not in said
    assert "TOKEN=" in said  # it does see itself


def test_reading_the_memory_of_every_process_finds_no_key(cell: Cell) -> None:
    found = cell.attack(
        """
import glob, re
half, own = sys.argv[1].encode(), os.environ["TOKEN"].encode()
for place in glob.glob("/proc/[0-9]*"):
    try:
        maps = open(place + "/maps").read().splitlines()
        memory = open(place + "/mem", "rb", 0)
    except OSError as exc:
        print("closed", place)
        continue
    for line in maps:
        start, end = (int(one, 16) for one in line.split()[0].split("-"))
        try:
            memory.seek(start)
            data = memory.read(end - start)
        except (OSError, ValueError, OverflowError):
            continue
        if own in data:
            print("the token is there")
        for at in re.finditer(re.escape(half) + b"-?[0-9a-z]+", data):
            if at.group() != half:
                print("FOUND", at.group())
""",
        HALF,
    )
    assert KEY not in found
    assert "FOUND b'sk" not in found
    assert "the token is there" in found  # it does see its own memory


def test_reading_every_file_that_there_is_finds_no_key(cell: Cell) -> None:
    """Also where the candidate's own process has it: the folder of the key file, the meter."""
    secret = cell.folder / "key"
    secret.write_text(KEY)
    secret.chmod(0o644)
    ended = cell.run(
        "/bin/sh",
        "-c",
        f"cat {secret} {cell.folder}/spent.json; ls {cell.folder};"
        f" grep -rlsF -e '{HALF}' /workspace /tools /tmp /home /run /var /etc /dev/shm /env;"
        " ls -la /tools /proc/self/fd /proc/self/root/",
    )
    assert KEY not in ended.output
    assert "No such file" in ended.output
    assert "/workspace" not in ended.output


def test_attaching_a_debugger_to_the_holder_of_the_key_is_impossible(cell: Cell) -> None:
    said = cell.attack(
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for pid in (int(sys.argv[1]), 1, os.getppid()):
    attached = libc.ptrace(16, pid, 0, 0)
    print("attach", attached, os.strerror(ctypes.get_errno()))
    try:
        os.kill(pid, 0)
        print("signal", pid)
    except OSError as exc:
        print("signal", exc.strerror)
""",
        str(os.getpid()),
    )
    assert said.count("attach -1") == 3
    assert f"signal {os.getpid()}" not in said


def test_the_hosts_loopback_and_network_are_out_of_reach(cell: Cell) -> None:
    """The provider (here on the host's loopback) is reached through the gateway alone."""
    port = cell.models.server_address[1]
    said = cell.attack(
        """
import socket
for address in (("127.0.0.1", int(sys.argv[1])), ("169.254.169.254", 80), ("1.1.1.1", 443)):
    try:
        socket.create_connection(address, 2)
        print("REACHED", address)
    except OSError as exc:
        print("closed", exc)
print(ask()[0])
""",
        str(port),
    )
    assert "REACHED" not in said
    assert said.endswith("200\n")


def test_abstract_and_other_unix_sockets_of_the_host_are_out_of_reach(cell: Cell) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("\0mca-test-abstract")
        door.listen()
        said = cell.attack(
            """
import socket
for address in ("\\0mca-test-abstract", "/run/docker.sock", "/var/run/docker.sock"):
    try:
        socket.socket(socket.AF_UNIX).connect(address)
        print("REACHED", address)
    except OSError as exc:
        print("closed", exc)
"""
        )
    assert "REACHED" not in said


def test_hooks_and_filters_that_a_command_leaves_behind_never_run_with_the_key(
    cell: Cell,
) -> None:
    """They fire when somebody runs git on the tree outside; ours does so in a sandbox alone."""
    cell.run(
        "/bin/sh",
        "-c",
        "cd /workspace && git init -q . && git config core.fsmonitor 'env > /tmp/leak; false'"
        " && git config filter.x.clean 'env > /tmp/leak; cat' && echo '* filter=x' > .gitattributes"
        " && printf '#!/bin/sh\\nenv > /tmp/leak\\n' > .git/hooks/pre-commit"
        " && chmod +x .git/hooks/pre-commit && echo x > a",
    )
    ended = cell.run("/bin/sh", "-c", "cd /workspace && git add a; git status; cat /tmp/leak")
    assert KEY not in ended.output
    assert KEY not in "".join(
        path.read_text(errors="replace") for path in cell.box.workspace.rglob("*") if path.is_file()
    )


def test_a_stolen_token_is_worth_nothing_after_the_job(
    cell: Cell, box: Box, models: ModelServer, open_path: Path
) -> None:
    """Neither at its own gateway, which is gone, nor at that of another job."""
    stolen = cell.desk.gateway.token
    other = open_path / "other"
    other.mkdir()
    other.chmod(0o711)
    with ExitStack() as stack:
        desk = stack.enter_context(gateway_to(route_to(f"{models.url}/good"), folder=other))
        there = Cell(box=box, desk=desk, models=models, folder=other)
        said = there.attack("print(*ask(token=sys.argv[1]))", stolen)
        assert said.startswith("401 ")
        path = desk.gateway.path
    assert not Path(path).exists()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError, match="No such file"):
        client.connect(path)
    assert models.requests == []


@pytest.mark.parametrize(
    ("attack", "status"),
    [
        ("token=''", 401),
        ("token='x' * 43", 401),
        ("token=os.environ['TOKEN'][:-1]", 401),
        ("model='claude-opus-4-5'", 403),
        ("path='/v1/responses', input='hi', model='gpt-5'", 403),
        ("path='/v1/messages/batches'", 404),
        ("path='/v1/files'", 404),
        ("path='/v1/messages?beta=true&x=1'", 404),
        ("path='/v1/messages/../models'", 404),
        ("method='GET'", 405),
        ("method='DELETE'", 405),
        ("headers=(('content-encoding', 'gzip'),)", 400),
        ("messages=[{'role': 'user', 'content': [{'type': 'document'}]}]", 400),
    ],
)
def test_anything_but_a_request_to_the_jobs_own_model_is_refused(
    cell: Cell, attack: str, status: int
) -> None:
    said = cell.attack(f"print(*ask({attack}))")
    assert said.startswith(f"{status} "), said
    assert KEY not in said
    assert cell.models.requests == []
    assert cell.desk.meter.spent == Spent()


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("POST http://example.com/v1/messages HTTP/1.1", "gateway"),
        ("POST //example.com/v1/messages HTTP/1.1", "gateway"),
        ("CONNECT example.com:443 HTTP/1.1", "gateway"),
        ("POST /v1/messages HTTP/1.1", "example.com"),
    ],
)
def test_naming_another_host_does_not_send_the_key_there(cell: Cell, line: str, host: str) -> None:
    """An absolute URL is refused; a Host header is not looked at."""
    said = cell.attack(
        """
import socket
body = json.dumps({"model": "claude-sonnet-4-5", "messages": []})
where = os.environ["GATEWAY"].rpartition(":")[2]
with socket.create_connection(("127.0.0.1", int(where)), 10) as s:
    head = [sys.argv[1], "host: " + sys.argv[2], "x-forwarded-host: example.com",
            "x-api-key: " + os.environ["TOKEN"], "content-length: " + str(len(body)), "", body]
    s.sendall("\\r\\n".join(head).encode())
    print(s.makefile("rb").read().decode())
""",
        line,
        host,
    )
    expected = "200" if host == "example.com" else "404"
    assert said.startswith(f"HTTP/1.1 {expected} "), said
    assert len(cell.models.requests) == (1 if expected == "200" else 0)
    assert KEY not in said


def test_smuggling_a_second_request_behind_the_first_one_reaches_nobody(cell: Cell) -> None:
    said = cell.attack(
        """
import socket
body = json.dumps({"model": "claude-sonnet-4-5", "messages": []})
where = int(os.environ["GATEWAY"].rpartition(":")[2])
def head(*more):
    begin = ("POST /v1/messages HTTP/1.1", "x-api-key: " + os.environ["TOKEN"])
    return "\\r\\n".join([*begin, *more, "", ""])
for first in (head("content-length: 0", "transfer-encoding: chunked") + "0\\r\\n\\r\\n",
              head("content-length: " + str(len(body))) + body):
    with socket.create_connection(("127.0.0.1", where), 10) as s:
        s.sendall((first + head("content-length: " + str(len(body))) + body).encode())
        try:
            print(s.makefile("rb").read().decode().count("HTTP/1.1"))
        except ConnectionError:  # it was closed over what it did not read
            print(1)
"""
    )
    assert said == "1\n1\n"
    assert len(cell.models.requests) == 1


def test_an_oversized_answer_cannot_be_asked_for(cell: Cell) -> None:
    cell.attack(
        "print(*ask(max_tokens=10**9, thinking={'type': 'enabled', 'budget_tokens': 9**9}))"
    )
    assert cell.models.requests[0].body["max_tokens"] == 2_000
    assert "thinking" not in cell.models.requests[0].body  # half of that is too little for any


def test_a_body_without_end_is_not_read(cell: Cell) -> None:
    said = cell.attack("print(*ask(headers=(('content-length', str(10**12)),)))")
    assert said.startswith(("400 ", "413 "))
    assert cell.desk.meter.spent == Spent()


def test_commands_that_race_for_the_last_money_never_get_more_than_there_is(cell: Cell) -> None:
    said = cell.attack(
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(16) as pool:
    answers = list(pool.map(lambda _: ask(max_tokens=2000)[0], range(120)))
print(json.dumps({str(status): answers.count(status) for status in set(answers)}))
"""
    )
    answers = json.loads(said)
    assert set(answers) <= {"200", "402"}
    assert answers["402"] > 0
    spent = cell.desk.meter.spent
    assert spent.usd_micros == 4_500 * len(cell.models.requests) == 4_500 * answers["200"]
    assert spent.usd_micros <= 200_000
    on_disk = json.loads((cell.folder / "spent.json").read_bytes())
    assert on_disk["usd_micros"] == spent.usd_micros


def test_connections_that_say_nothing_do_not_keep_the_gateway_from_closing(
    models: ModelServer, open_path: Path
) -> None:
    route = route_to(f"{models.url}/good")
    with ExitStack() as held, gateway_to(route, folder=open_path) as desk:
        reply = desk.post("/v1/messages", a_request("/v1/messages"))
        assert reply.status == 200
        for _ in range(12):
            client = held.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(10)
            client.connect(desk.gateway.path)
            client.sendall(b"POST /v1/mess")
        until(lambda: len(desk.gateway._server._open) == 8)
        closing = Thread(target=desk.gateway.__exit__, args=(None, None, None))
        closing.start()
        closing.join(20)
        assert not closing.is_alive()


def until(there: Callable[[], bool]) -> None:
    """Look again and again, for half a minute at most."""
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline, "it did not come to pass"
        os.sched_yield()


def test_the_forwarder_is_a_file_of_its_own_that_needs_nothing_of_ours() -> None:
    done = subprocess.run(
        [PYTHON, "-I", "-S", forwarder.__file__, "/nowhere", "/bin/echo", "{gateway-port}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={},
    )
    assert done.stdout.strip().isdigit()
