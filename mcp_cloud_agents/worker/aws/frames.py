"""The live log: what comes into the spool goes to stdout at once, as frames.

stdout of a container is a pipe to the log driver, which may be slow: a thread of its own writes to
it, so that neither a command nor the durable log waits for CloudWatch.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mcp_cloud_agents.storage.files import write_all
from mcp_cloud_agents.storage.log_frames import encode

if TYPE_CHECKING:
    from mcp_cloud_agents.worker.aws.spool import Spool

_CHUNK = 65_536
_PARTIAL_S = 0.2
"""So long a line may be without its end before it is sent in parts."""
_IDLE_S = 1.0


class Frames:
    """Sends a spool as frames.

    Args:
        spool: of this attempt.
        base: offset of its first byte in the job's log.
        output: descriptor to write lines to.
    """

    def __init__(self, spool: Spool, *, base: int, output: int) -> None:
        self._spool = spool
        self._base = base
        self._output = output
        self._sent = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Send the rest; given up after the time, as nobody may read the other end."""
        self._closing.set()
        self._spool.wake()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()
            data = self._spool.read(self._sent, _CHUNK)
            whole = data[: data.rfind(b"\n") + 1]
            partial = data and not whole and not closing and len(data) < _CHUNK
            if partial and self._spool.wait_beyond(self._sent + len(data), _PARTIAL_S):
                continue
            if data:
                self._send(whole or data)
            elif closing:
                return
            else:
                self._spool.wait_beyond(self._sent, _IDLE_S)

    def _send(self, data: bytes) -> None:
        lines = encode(self._base + self._sent, data)
        self._sent += len(data)
        try:
            write_all(self._output, "".join(f"{line}\n" for line in lines).encode())
        except OSError:
            return  # nobody reads it: S3 has the log
