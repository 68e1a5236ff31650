"""A Docker Engine, the worker image in it, and the image as a task under Fargate's restrictions.

The engine is the one that `docker` finds, or as root one started here. The base is made by
debootstrap from this machine's own mirror; `MCA_WORKER_IMAGE` names an image that is already there.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.container import CAPABILITIES, ROOT

NAME = "mca-worker:test"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
TASK = Path(__file__).with_name("docker_task.py")
# As Fargate would have it; the network is loopback here, where the emulated AWS is.
AS_IN_FARGATE = (
    *("run", "--rm", "--init", "--read-only", "--network", "host", "--cap-drop", "ALL"),
    *(word for name in CAPABILITIES for word in ("--cap-add", name.upper())),
    *("--memory", "1g"),
)


class Engine:
    """A Docker Engine that answers."""

    def __init__(self, host: str | None) -> None:
        self.env = {"PATH": os.defpath + ":/usr/local/bin:/usr/sbin:/sbin", "HOME": "/root"}
        if host:
            self.env["DOCKER_HOST"] = host

    def run(self, *words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        return run(["docker", *words], self.env, timeout_s)

    def answers(self) -> bool:
        return self.run("info").returncode == 0

    def labelled(self, label: str) -> list[str]:
        """Ids of the containers that have a label, also of those that ended."""
        found = self.run("ps", "--all", "--quiet", "--filter", f"label={label}")
        assert found.returncode == 0, found.stderr
        return found.stdout.split()


def run(
    argv: list[str], env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """A command to its end, whatever that is."""
    return subprocess.run(
        argv,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


class Task:
    """The worker image as a program, as the emulator's `Options.images` wants it."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.label = f"mca-test={secrets.token_hex(8)}"
        given = [f"{name}={value}" for name, value in engine.env.items()]
        program = ("/usr/bin/env", *given, sys.executable, "-I", str(TASK))
        self.argv = [*program, *AS_IN_FARGATE, "--label", self.label, image]

    def containers(self) -> list[str]:
        """Ids of those that there are."""
        return self.engine.labelled(self.label)


@contextmanager
def a_task(engine: Engine, image: str) -> Generator[Task]:
    """Removes containers that are left in the end."""
    task = Task(engine, image)
    try:
        yield task
    finally:
        if left := task.containers():
            engine.run("rm", "--force", "--volumes", *left)


@contextmanager
def an_engine() -> Generator[Engine]:
    """One that answers; skips where there is none and none can be started."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    found = Engine(os.getenv("DOCKER_HOST"))
    if found.answers():
        yield found
        return
    daemon = shutil.which("dockerd", path=f"{os.defpath}:/usr/sbin:/sbin")
    if daemon is None or os.geteuid() != 0:
        pytest.skip("no Docker Engine answers, and none can be started here (dockerd, root)")
    with (
        tempfile.TemporaryDirectory(prefix="mca-docker-", dir="/var/tmp") as folder,
        _started(daemon, Path(folder)) as engine,
    ):
        yield engine


@contextmanager
def _started(daemon: str, folder: Path) -> Generator[Engine]:
    """An engine of our own, with nothing of the machine's."""
    host = f"unix://{folder}/socket"
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    words = [f"--{name}={folder / place}" for name, place in places.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([daemon, "--host", host, *words], stdout=log, stderr=log)
        try:
            engine, pause = Engine(host), threading.Event()
            for _ in range(60):
                if engine.answers():
                    break
                if process.poll() is not None:
                    pytest.skip(f"dockerd ends: {(folder / 'log').read_text()[-300:]}")
                pause.wait(0.5)
            else:
                pytest.skip("dockerd does not answer within 30 s")
            yield engine
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            for mounted in _mounts_below(folder):  # it leaves its network namespace behind
                subprocess.run(["umount", "--lazy", mounted], check=True)


def _mounts_below(folder: Path) -> list[str]:
    """Mount points, the deepest first (proc_pid_mountinfo(5), field 5)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def a_worker_image(engine: Engine) -> str:
    """Its name; built here unless one is given."""
    if given := os.getenv("MCA_WORKER_IMAGE"):
        return given
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    env = engine.env | {"MIRROR": _mirror(), "BUILD_ARGS": "--network host", "DOCKER_BUILDKIT": "0"}
    if Path(CERTIFICATES).exists():
        env["CERTIFICATES"] = CERTIFICATES
    done = run([str(ROOT / "scripts/build_worker_image.sh"), NAME], env, 800)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return NAME


def _mirror() -> str:
    """Where this machine gets its packages from."""
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt").glob("sources.list.d/*")]
    for source in sources:
        found = re.search(r"^(?:URIs: *|deb )(http\S+debian/?)\s", source.read_text(), re.MULTILINE)
        if found:
            return found[1]
    pytest.skip("the machine's own Debian mirror was not found")
