"""A task of AWS Batch as a container: becomes `docker run` with its own environment handed over.

`docker_task.py run WORD… IMAGE`. Signals and the exit code are docker's own to pass on. However it
ends, its container goes too: a process of the side waits for that, even for SIGKILL.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence

MINE = ("PATH", "HOME", "TMPDIR", "HOSTNAME", "DOCKER_HOST")  # of this machine, not of the task
_KEEPER = 'read -r _; exec docker rm --force --volumes "$1"'


def become(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Turn this process into the client of a container.

    Args:
        words: arguments of `docker`, the image last.
        environ: the task's, and what the client needs.
    """
    *run, image = words
    name = f"mca-task-{secrets.token_hex(8)}"
    keep(name, environ)
    handed = [word for one in environ if one not in MINE for word in ("--env", one)]
    argv = ["docker", *run, "--name", name, *handed, image]
    os.execvpe("docker", argv, environ)  # noqa: S606  no shell is wanted


def keep(name: str, environ: Mapping[str, str]) -> None:
    """Have the container removed when this process, whatever it became, is gone.

    Its own session and an environment without the task's, by which the emulator ends left-overs.
    """
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "sh", name],
        env={one: environ[one] for one in MINE if one in environ},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert keeper.stdin is not None
    os.set_inheritable(keeper.stdin.fileno(), True)  # closed by the end of whoever has it


if __name__ == "__main__":
    become(sys.argv[1:], os.environ)  # noqa: TID251  a task's settings are its environment
