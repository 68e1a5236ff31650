"""The worker's process: `python -m mcp_cloud_agents.worker JOB_FOLDER READY_FD`, for one job.

A third word is a pipe with the keys of its models (`fix.keys`).

The first stage forks and exits, so that the worker is nobody's child: it outlives the server, the
client and the terminal. What it does then is in `claim`, then in `supervise`. With `--spare DOOR_FD
JOB_UID SERVER_PID` it first waits for the job, see `spare`.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Detach, take the job, then supervise it."""
    if os.fork():
        os._exit(0)
    gc.disable()  # imports make objects that live for ever: nothing to collect among them
    if sys.argv[1] == "--spare":
        from mcp_cloud_agents.worker.spare import wait_for_order

        order = wait_for_order(int(sys.argv[2]), int(sys.argv[3]) if sys.argv[3] else None)
        folder, ready, handed = order.folder, order.ready, order.keys
    else:
        order, folder, ready = None, sys.argv[1], int(sys.argv[2])
        handed = int(sys.argv[3]) if len(sys.argv) > 3 else None
    from mcp_cloud_agents.worker.claim import claim  # after the fork: the parent waits

    claimed = claim(folder, ready)
    from mcp_cloud_agents.worker.supervise import supervise  # after the claim: the submit waits

    gc.freeze()
    gc.enable()
    sandboxes = order.sandboxes_for(claimed.host.owner) if order else None
    supervise(claimed, sandboxes, handed)


if __name__ == "__main__":
    main()
