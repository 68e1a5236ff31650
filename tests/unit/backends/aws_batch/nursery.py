"""Small workers without their start-up time: forks of one process that has all imported.

    python -m tests.unit.backends.aws_batch.nursery SOCKET        once
    python -I -S cradle.py SOCKET                                 for each container

A container's process is the cradle. It hands its environment, folder and output over; the fork
works, and ends when the cradle does, whatever ended that.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from typing import Any, cast

from tests.unit.backends.aws_batch import small_worker


def warm() -> None:
    """Read the SDK's models once, with nobody's credentials."""
    import boto3

    nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
    cast("Any", boto3).client("s3", region_name="us-east-1", **nobody)


def work(cradle: socket.socket) -> int:
    """In the fork: become what the cradle is, and do its job; the exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, fds, _, _ = socket.recv_fds(cradle, 4, 1)
    given = json.loads(_exactly(cradle, int.from_bytes(size, "big")))
    os.dup2(fds[0], 1)
    os.dup2(fds[0], 2)
    os.chdir(given["cwd"])
    os.environ.clear()  # noqa: TID251  it becomes another process
    os.environ.update(given["env"])  # noqa: TID251  same
    threading.Thread(target=_end_with, args=(cradle,), daemon=True).start()
    code = 1
    try:
        code = small_worker.main()
    finally:
        sys.stdout.flush()
        cradle.sendall(bytes([code]))
    return code


def _end_with(cradle: socket.socket) -> None:
    cradle.recv(1)
    os._exit(1)


def _exactly(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += source.recv(size - len(found))
    return found


def main(path: str) -> None:
    warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries them
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(256)
        os.write(1, b"ready\n")
        while True:
            cradle, _ = door.accept()
            with cradle:
                if os.fork() == 0:
                    door.close()
                    sys.exit(work(cradle))


if __name__ == "__main__":
    main(sys.argv[1])
