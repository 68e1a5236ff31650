"""What bubblewrap tells over its status pipe: in pieces, late, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from mcp_cloud_agents.sandbox.confined_process import ConfinedProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")

Tell = Callable[..., ConfinedProcess]


@pytest.fixture
def tell() -> Iterator[Tell]:
    """Starts a process in bubblewrap's place; `say(text)` in its code writes to the status pipe."""
    started: list[ConfinedProcess] = []

    def start(code: str, *words: str) -> ConfinedProcess:
        reading, writing = os.pipe()
        prelude = f"import os, signal, sys\nsay = lambda text: os.write({writing}, text.encode())\n"
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", prelude + code, *words], pass_fds=[writing]
        )
        os.close(writing)
        confined = ConfinedProcess(process, reading)
        started.append(confined)
        return confined

    yield start
    for confined in started:
        confined.kill()
        confined.wait()


def test_a_line_that_arrives_in_pieces_is_read_whole(tell: Tell) -> None:
    confined = tell("""
child = os.fork() or signal.pause()
say('{"child-'); say('pid": '); say(f'{child}, "more": 1'); say('}\\n')
_, status = os.waitpid(child, 0)
say('{"exit-'); say('code": 137}\\n')
""")
    assert confined._init in confined.pids()
    confined.kill()
    assert confined.wait() == 137
    assert confined.pids() == ()


def test_without_any_line_the_command_never_started(tell: Tell) -> None:
    confined = tell("sys.exit(1)")
    assert confined._init is None
    assert confined.wait() is None


def test_a_child_without_an_exit_code_never_started(tell: Tell) -> None:
    confined = tell("""
child = os.fork()
if child == 0:
    os._exit(1)
say(f'{{"child-pid": {child}}}\\n')
os.waitpid(child, 0)
""")
    assert confined.wait() is None


def test_a_pid_that_is_no_child_of_it_is_never_killed(tell: Tell) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as bystander:
        confined = tell(
            "say(f'{{\"child-pid\": {sys.argv[1]}}}\\n'); signal.pause()", str(bystander.pid)
        )
        assert confined._init is None
        confined.kill()
        assert confined.wait() is None
        assert bystander.poll() is None
        bystander.kill()
