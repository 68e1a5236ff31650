"""`run`: one confined command from start to end, with a driver that runs it unconfined."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.domain.sandbox import Confinement, IsolationLevel, Limits, Probe
from mcp_cloud_agents.worker.run import Ran, Watch, run

LIMITS = Limits(memory_mib=256, disk_mib=16)


@dataclass
class PlainProcess:
    """A process group without a sandbox."""

    process: subprocess.Popen[bytes]
    out_of_memory: bool = False
    kills: int = 0
    pidfd: int = field(init=False)

    def __post_init__(self) -> None:
        self.pidfd = os.pidfd_open(self.process.pid)

    def fileno(self) -> int:
        return self.pidfd

    def pids(self) -> tuple[int, ...]:
        return () if self.process.poll() is not None else (self.process.pid,)

    def kill(self) -> None:
        self.kills += 1
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def oom_killed(self) -> bool:
        return self.out_of_memory

    def died(self) -> bool:
        return False

    def wait(self) -> int | None:
        code = self.process.wait(30)
        os.close(self.pidfd)
        return code if code >= 0 else 128 - code


@dataclass
class Plain:
    """Runs commands as they are."""

    level = IsolationLevel.SOFT
    parallel = True
    out_of_memory: bool = False
    started: list[PlainProcess] = field(default_factory=list)

    def probe(self) -> Probe:
        return Probe(level=self.level, driver="plain", works=True)

    def start(self, argv: Sequence[str], confinement: Confinement, *, output: int) -> PlainProcess:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=confinement.cwd,
            start_new_session=True,
        )
        self.started.append(PlainProcess(process, self.out_of_memory))
        return self.started[-1]


class Missing(Plain):
    """Its program is not there."""

    def start(self, argv: Sequence[str], confinement: Confinement, *, output: int) -> PlainProcess:
        raise IsolationUnavailable("The program is missing.", hint="Install it.")


Box = Callable[..., tuple[Ran, bytes]]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Runs a shell script; arguments are those of `Watch`."""

    def run_script(script: str, sandbox: Plain | None = None, **watch: object) -> tuple[Ran, bytes]:
        said = bytearray()
        confinement = Confinement(binds=(), limits=LIMITS, cwd=str(tmp_path))
        ran = run(
            sandbox or Plain(),
            ["/bin/sh", "-c", script],
            confinement,
            sink=said.extend,
            watch=Watch(**{"timeout_s": 30, **watch}),  # pyright: ignore[reportArgumentType]  the tests' own words
        )
        return ran, bytes(said)

    return run_script


def test_output_and_exit_code_of_a_command_are_kept(box: Box) -> None:
    ran, said = box("echo out; echo err >&2; exit 7")
    assert (ran.exit_code, ran.stopped, said) == (7, None, b"out\nerr\n")


def test_a_command_may_close_its_output_long_before_its_end(box: Box, tmp_path: Path) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            (tmp_path / "go").touch()

    script = "echo said; exec >&- 2>&-; while [ ! -e go ]; do :; done; exit 5"
    ran, said = box(script, tick=tick)
    assert (ran.exit_code, ran.stopped, said) == (5, None, b"said\n")


def test_a_flood_of_output_starves_neither_tick_nor_deadline(tmp_path: Path) -> None:
    ticks: list[int] = []
    sizes: list[int] = []
    ran = run(
        Plain(),
        ["/bin/cat", "/dev/zero"],
        Confinement(binds=(), limits=LIMITS, cwd=str(tmp_path)),
        sink=lambda data: sizes.append(len(data)),
        watch=Watch(timeout_s=0.5, tick=lambda: ticks.append(1)),
    )
    assert (ran.exit_code, ran.stopped) == (137, CauseKind.TIMEOUT)
    assert len(ticks) > 3
    assert sum(sizes) > 1 << 20


def test_every_byte_of_a_large_output_arrives_in_order(box: Box) -> None:
    ran, said = box("seq 1 200000")
    assert ran.exit_code == 0
    assert said == b"".join(b"%d\n" % number for number in range(1, 200_001))


def test_output_that_was_written_just_before_the_end_is_kept(box: Box) -> None:
    for _ in range(50):
        assert box("printf last")[1] == b"last"


def test_a_child_that_holds_the_pipe_delays_the_end_for_a_moment_only(box: Box) -> None:
    sandbox = Plain()
    ran, said = box("sleep 600 & echo main", sandbox)
    assert (ran.exit_code, ran.stopped, said) == (0, None, b"main\n")
    assert ran.duration_s < 10


def test_a_deadline_that_has_passed_already_ends_the_command_at_once(box: Box) -> None:
    ran, _ = box("sleep 600", timeout_s=0.0)
    assert (ran.exit_code, ran.stopped) == (137, CauseKind.TIMEOUT)


def test_a_cancelled_command_is_not_called_timed_out(box: Box) -> None:
    ran, _ = box("sleep 600", timeout_s=0.0, cancelled=lambda: True)
    assert ran.stopped is CauseKind.CANCELLED


def test_a_command_killed_by_the_kernel_for_memory_is_called_so(box: Box) -> None:
    ran, _ = box("exit 1", Plain(out_of_memory=True))
    assert (ran.exit_code, ran.stopped) == (1, CauseKind.OOM)


def test_a_signal_to_this_process_interrupts_no_wait(box: Box) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        ran, said = box(f"for i in 1 2 3; do kill -USR1 {os.getpid()}; done; echo all; exit 3")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (ran.exit_code, said) == (3, b"all\n")
    assert seen


def test_the_command_is_ended_when_its_output_cannot_be_kept(tmp_path: Path) -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device", data)

    sandbox = Plain()
    confinement = Confinement(binds=(), limits=LIMITS, cwd=str(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        run(
            sandbox,
            ["/bin/sh", "-c", "echo x; sleep 600"],
            confinement,
            sink=full,
            watch=Watch(timeout_s=30),
        )
    (process,) = sandbox.started
    assert process.process.returncode == -signal.SIGKILL


def test_nothing_is_started_when_there_is_nothing_to_watch(tmp_path: Path) -> None:
    sandbox = Plain()
    confinement = Confinement(binds=(), limits=LIMITS, cwd=str(tmp_path))
    with pytest.raises(FileNotFoundError):
        run(
            sandbox,
            ["/bin/true"],
            confinement,
            sink=lambda data: None,
            watch=Watch(timeout_s=30, disk=(str(tmp_path / "gone"),)),
        )
    assert sandbox.started == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_no_descriptor_is_left_whatever_the_end(box: Box, tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for number in range(200):
        box("exit 1" if number % 2 else "exec >&-")
        with pytest.raises(IsolationUnavailable):
            box("true", Missing())
    box("sleep 600", timeout_s=0.0, disk=(str(tmp_path),))
    assert set(os.listdir("/proc/self/fd")) == before
