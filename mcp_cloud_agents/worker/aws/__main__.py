"""The worker in a container: `python -m mcp_cloud_agents.worker.aws`, for one attempt at one job.

Composition root. Exit code 0 means that the job has a result, whatever it says; another one that
it has none yet, so that Batch sees a failure and tries again where its strategy says so.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys

from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.domain.sandbox import JOB_UID
from mcp_cloud_agents.sandbox.choose import drivers
from mcp_cloud_agents.sandbox.uid_drop import UidDrop
from mcp_cloud_agents.storage.s3_client import s3_client
from mcp_cloud_agents.storage.s3_store import S3Store
from mcp_cloud_agents.telemetry.logs import log_to_stderr
from mcp_cloud_agents.worker.aws.attempt import attempt
from mcp_cloud_agents.worker.aws.order import Order

_log = logging.getLogger(__name__)
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36  # prctl(2)
_NOTHING_TO_DO = 2


def main() -> int:
    """Do what the environment says; the exit code."""
    log_to_stderr(logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    os.umask(0o077)
    _guard()
    owner = JOB_UID if os.geteuid() == 0 else None
    try:
        order = Order.read(os.environ)  # noqa: TID251  a container's settings are its environment
    except AgentsError as exc:
        _log.error("no_order: %s %s", exc.message, exc.hint)
        return _NOTHING_TO_DO
    store = S3Store(s3_client(), order.bucket)
    return attempt(order, store, (*drivers(job_uid=owner), UidDrop()), owner)


def _guard() -> None:
    """Nobody looks into this process's memory, and what its commands leave is its own to end."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
