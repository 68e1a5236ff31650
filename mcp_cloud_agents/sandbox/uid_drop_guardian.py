"""The process above one command in a container: another user, no privileges, nobody left behind.

A program of its own, run by path with `python -I -S`: it imports nothing of ours. As root it forks
the command, which becomes the jobs' user without privileges and under the seccomp filter. It waits
for the command's end, or for the end of the worker (its lifeline closes), ends every process of
that user, and tells the exit code through a pipe that the command does not have.

Every process below is adopted by it (PR_SET_CHILD_SUBREAPER), so none can leave by forking.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import select
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_CAP_AMBIENT_CLEAR_ALL, _SECCOMP_MODE_FILTER, _CAPABILITY_VERSION = 4, 2, 0x20080522
_MOST_CAPABILITIES = 64
_SWEEPS, _SWEEP_MS = 5_000, 2
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def main(order: int, status: int, lifeline: int) -> None:
    """Run the command that `order` holds as JSON; tell `status` how it ended.

    Args:
        order: descriptor of a file with `argv`, `env`, `cwd`, `uid`, `limits` and `filter`.
        status: writing end of a pipe; gets `{"exit-code": N}` once nothing is left of the command.
        lifeline: reading end of a pipe; at its end the command is killed.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    with os.fdopen(order, "rb") as file:
        job = json.loads(file.read())
    failed, fails = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _command(job, fails)
    os.close(fails)
    code = _wait(pid, lifeline)
    sweep(job["uid"])
    if not os.read(failed, 1):
        os.write(status, json.dumps({"exit-code": code}).encode() + b"\n")


def sweep(uid: int) -> None:
    """End every process of this user; returns when none is left below this one."""
    poll = select.poll()
    for _ in range(_SWEEPS):
        killer = os.fork()
        if killer == 0:
            _kill_all(uid)
        os.waitpid(killer, 0)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        poll.poll(_SWEEP_MS)


def _kill_all(uid: int) -> None:
    """kill(2): signals go by our effective user; and to us by our real and saved one.

    So the command's processes can be ended from here, and cannot end what ends them.
    """
    try:
        os.setgroups([])
        os.setresgid(uid + 1, uid + 1, uid + 1)
        os.setresuid(uid + 1, uid, uid + 1)
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os._exit(0)


def _wait(pid: int, lifeline: int) -> int:
    """Exit code of the command, 128 + n for signal n."""
    held = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(held, select.POLLIN)
    poll.register(lifeline, 0)  # POLLHUP is always told
    if not any(fd == held for fd, _ in poll.poll()):
        signal.pidfd_send_signal(held, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _command(job: dict[str, Any], fails: int) -> None:
    """Become the command; never returns."""
    try:
        os.setsid()
        _limit(job["limits"])
        _become(job["uid"])
        os.chdir(job["cwd"])
        _install(bytes.fromhex(job["filter"]), fails)
    except OSError as exc:
        os.write(2, f"the command did not start: {exc}\n".encode(errors="replace"))
        os.write(fails, b"f")
        os._exit(1)
    _execute([os.fsencode(word) for word in job["argv"]], job["env"])


def _limit(limits: dict[str, int]) -> None:
    """Resource limits; a container may allow less, and raising that needs a privilege."""
    for name, wanted in limits.items():
        number = getattr(resource, name)
        _, most = resource.getrlimit(number)
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(number, (value, value))
    try:
        with open("/proc/self/oom_score_adj", "wb") as file:
            file.write(b"1000")  # memory runs out: the command goes first, the worker reports
    except OSError:
        pass  # a hint; where /proc is read-only the kernel chooses by size


def _become(uid: int) -> None:
    for number in range(_MOST_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
            break  # past the last one, or not allowed: no_new_privs makes the rest useless
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    if _libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                continue  # of the C library's own
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _install(code: bytes, kept: int) -> None:
    """Close what is open, give up privileges for good, load the filter."""
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    text = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(text, ctypes.c_void_p).value)
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def _execute(argv: list[bytes], env: dict[str, str]) -> None:
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606  the whole point; argv is a list
    except OSError as exc:
        missing = exc.errno in (errno.ENOENT, errno.ENOTDIR)
        os.write(2, argv[0] + f": {exc.strerror}\n".encode())
        os._exit(_NOT_FOUND if missing else _NOT_EXECUTABLE)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    if sys.argv[1] == "sweep":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        sweep(int(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:4]))
