"""A container made by hand, as far as a worker can tell one from Fargate's.

The machine's own root under an overlay, with the worker image's links in it; a pid, mount and ipc
namespace; Docker's default capabilities and no others, so nothing can be mounted and no namespace
made; the root read-only, `/scratch` the one writable volume. Needs root.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mcp_cloud_agents.sandbox.shown_folders import PRIVATE, TOPS
from mcp_cloud_agents.sandbox.uid_drop import INSIDE, SCRATCH

ROOT = Path(__file__).resolve().parents[1]
# Docker's default set, which is Fargate's: capabilities(7) names without CAP_.
CAPABILITIES = (
    *("chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "net_raw", "setgid", "setuid"),
    *("setfcap", "setpcap", "net_bind_service", "sys_chroot", "audit_write"),
)
_SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$BOX"
mkdir -p "$BOX/upper/home" "$BOX/upper/scratch" "$BOX/work" "$BOX/root"
{links}
mount -t overlay overlay -o "lowerdir=/,upperdir=$BOX/upper,workdir=$BOX/work" "$BOX/root"
cd "$BOX/root"
mount --rbind /dev dev
mount -t tmpfs -o mode=1777,size=64m tmpfs dev/shm
mount -t proc proc proc
mount -t tmpfs -o mode=0755 scratch scratch
mkdir -m 0711 scratch/tests
{shown}
mount -o remount,ro,bind . 2>/dev/null || mount -o remount,ro .
exec setpriv --bounding-set=-all{capabilities} --inh-caps=-all chroot . /usr/bin/env -C / "$@"
"""


def container_argv(command: Sequence[str], box: Path, shown: Sequence[Path] = ()) -> list[str]:
    """The words that run `command` in a fresh container.

    Args:
        command: program and arguments, as inside; `env` assignments may come first.
        box: an empty folder.
        shown: folders of the machine that are there, too, below file systems of their own.
    """
    links = [f'ln -s {to} "$BOX/upper{path}"' for path, to in _links().items()]
    binds = [f"mount --rbind {shlex.quote(str(one))} .{shlex.quote(str(one))}" for one in shown]
    script = _SCRIPT.format(
        links="\n".join(links),
        shown="\n".join(binds),
        capabilities="".join(f",+{name}" for name in CAPABILITIES),
    )
    unshare = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
    return [*unshare, "/bin/sh", "-c", f"BOX={shlex.quote(str(box))}; {script}", "sh", *command]


def in_container(
    command: Sequence[str], box: Path, *, env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command in a fresh container to its end."""
    given = [f"{name}={value}" for name, value in env.items()]
    return subprocess.run(
        container_argv(["-i", *given, *command], box),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def need_container() -> None:
    """Skip the test where no such container can be made."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a container made by hand needs Linux and root")


def is_hidden(path: Path) -> bool:
    """Whether the container has a folder of its own where this one is (a checkout in /tmp)."""
    return any(path.is_relative_to(link) for link in _links())


def _links() -> dict[str, str]:
    tops = {f"/{top}": f"{INSIDE}/{top}" for top in TOPS}
    assert INSIDE.startswith(f"{SCRATCH}/")
    return {**tops, **{path: f"{INSIDE}/{name}" for name, path in PRIVATE.items()}}
