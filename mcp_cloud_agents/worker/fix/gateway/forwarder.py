"""Runs inside the sandbox: gives a command a TCP port on its own loopback that is the gateway.

    python3 -I forwarder.py SOCKET COMMAND…

`{gateway-port}` in the command and in the environment's values becomes the port's number.
The agents speak TCP alone, and the sandbox has no network but its loopback. Standard library only,
and nothing of this package: it is shown to the sandbox as one file. Exit code: the command's;
`NO_LOOPBACK` where this isolation has none, 127 where the command cannot be started.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading

NO_LOOPBACK = 97
_PORT = "{gateway-port}"
_CHUNK = 65_536
_AT_ONCE = 32


def main(arguments: list[str]) -> int:
    """Forward as long as the command runs; its exit code."""
    path, *command = arguments
    try:
        door = socket.create_server(("127.0.0.1", 0), backlog=_AT_ONCE)
    except OSError as exc:
        sys.stderr.write(f"no loopback in this sandbox: {exc.strerror}\n")
        return NO_LOOPBACK
    port = str(door.getsockname()[1])
    threading.Thread(target=_serve, args=(door, path), daemon=True).start()
    inherited = os.environ  # noqa: TID251  this is the sandbox's
    environ = {name: value.replace(_PORT, port) for name, value in inherited.items()}
    try:
        done = subprocess.run(
            [word.replace(_PORT, port) for word in command], env=environ, check=False
        )
    except OSError as exc:
        sys.stderr.write(f"{command[0]}: {exc.strerror}\n")
        return 127
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _serve(door: socket.socket, path: str) -> None:
    room = threading.BoundedSemaphore(_AT_ONCE)
    while True:
        room.acquire()
        client, _ = door.accept()
        threading.Thread(target=_forward, args=(client, path, room), daemon=True).start()


def _forward(client: socket.socket, path: str, room: threading.BoundedSemaphore) -> None:
    try:
        with client, socket.socket(socket.AF_UNIX) as gateway, contextlib.suppress(OSError):
            gateway.connect(path)
            back = threading.Thread(target=_copy, args=(gateway, client), daemon=True)
            back.start()
            _copy(client, gateway)
            back.join()
    finally:
        room.release()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
