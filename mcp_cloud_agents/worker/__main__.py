"""The worker's process: `python -m mcp_cloud_agents.worker JOB_FOLDER READY_FD`.

The first stage forks and exits, so that the worker is nobody's child: it outlives the server, the
client and the terminal. What it does then is in `supervise`.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Detach, then supervise the job."""
    folder, ready = sys.argv[1], int(sys.argv[2])
    if os.fork():
        os._exit(0)
    from mcp_cloud_agents.worker.supervise import supervise  # after the fork: the parent waits

    supervise(folder, ready)


if __name__ == "__main__":
    main()
