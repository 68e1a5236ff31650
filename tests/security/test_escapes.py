"""Attacks out of the sandbox: on the host's files, on processes, by descriptors and mounts."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Bind
from tests.sandbox_box import PYTHON, Box, Ended, own, readable

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux", reason="full isolation is what bubblewrap gives"
)
HELD = Ended(exit_code=0, output="held\n")


def readable_secret(folder: Path) -> Path:
    """A file that every user of the host may read."""
    secret = folder / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o644)
    folder.chmod(0o755)
    return secret


def test_attack_read_a_host_file(box: Box, open_path: Path) -> None:
    secret = readable_secret(open_path)
    ended = box.run("/bin/sh", "-c", f"cat {secret} /etc/shadow /etc/hostname /root/.ssh/*; ls /")
    assert "s3cret" not in ended.output
    assert ended.output.endswith(
        "bin\ndev\netc\nhome\nlib\nlib64\nproc\nrun\nsbin\ntmp\nusr\nvar\nworkspace\n"
    )


@pytest.mark.parametrize("way", ["/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/oldroot"])
def test_attack_reach_the_host_through_proc(box: Box, open_path: Path, way: str) -> None:
    secret = readable_secret(open_path)
    assert box.run("/bin/cat", f"{way}{secret}").exit_code == 1


def test_attack_follow_a_link_of_the_workspace_to_the_host(box: Box, open_path: Path) -> None:
    secret = readable_secret(open_path)
    (box.workspace / "link").symlink_to(secret)
    (box.workspace / "up").symlink_to("../../../../../../..")
    ended = box.run("/bin/sh", "-c", f"cat link; cat up{secret}; cat ../..{secret}")
    assert "s3cret" not in ended.output


@pytest.mark.parametrize(
    "file", ["environ", "mem", "maps", "cmdline", "fd", "task/1/mem", "task/1/environ", "auxv"]
)
def test_attack_look_into_the_first_process(box: Box, file: str) -> None:
    assert box.run("/bin/ls", f"/proc/1/{file}").exit_code == 2


def test_attack_write_the_memory_of_the_unfiltered_first_process(box: Box) -> None:
    code = """
import os
for pid in os.listdir("/proc"):
    if pid == "1":
        for way in ("/proc/1/mem", "/proc/1/task/1/mem", "/proc/self/../1/mem"):
            try:
                open(way, "r+b")
            except FileNotFoundError:
                continue
            raise SystemExit(f"{way} is open")
os.mkdir("/workspace/proc")
assert os.system("mount -t proc proc /workspace/proc 2>/dev/null || umount /proc/1 2>&-") != 0
print("held")
"""
    assert box.python(code) == HELD


def test_attack_find_a_process_without_a_filter(box: Box) -> None:
    code = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        lines = dict(line.split(":\\t", 1) for line in open(f"/proc/{pid}/status"))
    except FileNotFoundError:
        assert pid == "1", pid
        continue
    found = [lines[name].strip() for name in ("Seccomp", "NoNewPrivs", "CapEff", "CapBnd")]
    assert found == ["2", "1", "0" * 16, "0" * 16], (pid, found)
print("held")
"""
    assert box.python(code) == HELD


def test_attack_see_other_processes(box: Box) -> None:
    code = """
import os
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
assert set(pids) == {1, os.getpid()}, pids
for pid in range(3, 4_000):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        continue
    raise SystemExit(f"process {pid} is in reach")
print("held")
"""
    assert box.python(code) == HELD


def test_attack_read_the_host_s_environment(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent.sock")
    ended = box.run("/bin/sh", "-c", "env; cat /proc/*/environ /proc/*/task/*/environ")
    assert "s3cret" not in ended.output
    assert "agent.sock" not in ended.output


def test_attack_see_the_host_s_paths_in_a_command_line(box: Box) -> None:
    ended = box.run("/bin/sh", "-c", "cat /proc/*/cmdline; cat /proc/mounts | cut -d ' ' -f 2")
    assert str(box.workspace) not in ended.output


def test_attack_write_outside_the_workspace(box: Box) -> None:
    folders = "/ /dev /dev/pts /etc /home /proc /run /usr /usr/bin /var /usr/local /proc/1"
    script = f"for f in {folders}; do touch $f/x 2>/dev/null && echo $f; done; echo held"
    assert box.run("/bin/sh", "-c", script) == HELD


def test_attack_write_an_open_file_of_the_system(box: Box) -> None:
    code = """
import os
for path in ("/usr/bin/env", "/bin/sh", "/etc/passwd", "/etc/ld.so.cache", "/proc/self/exe"):
    try:
        os.open(path, os.O_WRONLY)
    except OSError:
        continue
    raise SystemExit(f"{path} is writable")
print("held")
"""
    assert box.python(code) == HELD


def test_attack_be_root_on_the_host(box: Box) -> None:
    (box.workspace / "suid").write_bytes(Path("/bin/true").read_bytes())
    started = box.start(["/bin/sh", "-c", "chmod 6755 suid; chown 0:0 suid; echo up; sleep 600"])
    while (line := started.line()) != "up\n":
        assert "not permitted" in line or "Invalid argument" in line
    owners = {os.stat(f"/proc/{pid}").st_uid for pid in started.confined.pids()}
    started.close()
    assert 0 not in owners
    assert (box.workspace / "suid").stat().st_uid in (*owners, os.geteuid())


def test_attack_forge_the_exit_code(box: Box) -> None:
    code = """
import os
for fd in range(3, 1_024):
    for line in (b'{ "exit-code": 0 }\\n', (1).to_bytes(8, "little")):
        try:
            os.write(fd, line)
        except OSError:
            continue
print('{ "exit-code": 0 }', flush=True)
os._exit(7)
"""
    ended = box.python(code)
    assert ended == Ended(exit_code=7, output='{ "exit-code": 0 }\n')


def test_attack_use_a_descriptor_that_was_left_open(box: Box, open_path: Path) -> None:
    secret = readable_secret(open_path)
    fd = os.open(secret, os.O_RDWR)
    os.set_inheritable(fd, True)
    try:
        ended = box.run("/bin/sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done")
    finally:
        os.close(fd)
    assert set(ended.output.split()) <= {"0", "1", "2", "3"}  # 3: the shell reads the folder
    (line,) = box.run("/bin/sh", "-c", "readlink /proc/$$/fd/0").output.splitlines()
    assert line == "/dev/null"


def test_attack_truncate_the_log(box: Box) -> None:
    code = """
import os
print("kept", flush=True)
for act in (lambda: os.ftruncate(1, 0), lambda: os.lseek(1, 0, 0), lambda: open("/proc/self/fd/1")):
    try:
        act()
    except OSError:
        continue
os.close(1)
"""
    assert box.python(code).output.startswith("kept\n")


def test_attack_swap_a_folder_of_the_system(box: Box) -> None:
    code = """
import os
for folder in ("/usr", "/etc", "/dev", "/dev/shm", "/proc", "/proc/1", "/tmp", "/workspace"):
    away, over = lambda path: os.rename(path, "/tmp/x"), lambda path: os.rename("/tmp", path)
    for act in (os.rmdir, away, over):
        try:
            act(folder)
        except OSError:
            continue
        raise SystemExit(f"{folder} is gone")
print("held")
"""
    assert box.python(code) == HELD


@pytest.mark.parametrize(
    "inside", ["/workspace/../etc", "workspace/x", "/workspace//x", "/workspace/./x", "/"]
)
def test_attack_a_bind_at_a_path_that_is_not_plain(box: Box, open_path: Path, inside: str) -> None:
    shown = open_path / "shown"
    shown.mkdir()
    binds = (*box.confinement().binds, Bind(host=str(shown), inside=inside))
    with pytest.raises(IsolationUnavailable, match="mount point"):
        box.run("/bin/true", binds=binds)


def _with_bind(box: Box, host: Path, inside: str) -> Ended:
    binds = (*box.confinement().binds, Bind(host=str(host), inside=inside))
    return box.run("/bin/true", binds=binds)


def _with_tmpfs(box: Box, host: Path, inside: str) -> Ended:
    del host
    return box.run("/bin/true", tmpfs=(inside,))


@pytest.mark.parametrize("mount", [_with_bind, _with_tmpfs])
@pytest.mark.parametrize("below", ["", "/deeper/still"])
def test_attack_a_link_of_the_workspace_where_a_folder_is_mounted(
    box: Box, open_path: Path, mount: Callable[[Box, Path, str], Ended], below: str
) -> None:
    """While bubblewrap mounts, the host is at /oldroot: a link there would write to the host."""
    outside = open_path / "outside"
    outside.mkdir()
    own(outside)
    (box.workspace / "modules").symlink_to(f"/oldroot{outside}")
    with pytest.raises(IsolationUnavailable, match="mount point"):
        mount(box, open_path / "workspace", f"/workspace/modules{below}")
    assert list(outside.iterdir()) == []


def test_attack_outlive_the_supervisor(box: Box) -> None:
    script = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from tests.sandbox_box import Box
box = Box(sandbox=Bubblewrap(), workspace=Path({str(box.workspace)!r}))
code = "import os, time; os.fork() or os.setsid(); print('up', flush=True); time.sleep(600)"
started = box.start([{PYTHON!r}, "-I", "-c", code])
assert started.line() + started.line() == "up\\nup\\n"
print(*started.confined.pids(), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 3
    assert [pid for pid in pids if alive(pid)] == []


def alive(pid: int) -> bool:
    """Whether a process has not ended within 10 s."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return not readable(fd)
    finally:
        os.close(fd)
