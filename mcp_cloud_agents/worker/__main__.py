"""The worker's process: `python -m mcp_cloud_agents.worker JOB_FOLDER READY_FD`.

The first stage forks and exits, so that the worker is nobody's child: it outlives the server, the
client and the terminal. What it does then is in `claim`, then in `supervise`.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Detach, take the job, then supervise it."""
    folder, ready = sys.argv[1], int(sys.argv[2])
    if os.fork():
        os._exit(0)
    gc.disable()  # imports make objects that live for ever: nothing to collect among them
    from mcp_cloud_agents.worker.claim import claim  # after the fork: the parent waits

    claimed = claim(folder, ready)
    from mcp_cloud_agents.worker.supervise import supervise  # after the claim: the submit waits

    gc.freeze()
    gc.enable()
    supervise(claimed)


if __name__ == "__main__":
    main()
