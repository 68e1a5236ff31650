"""The worker in a container: `python -m mcp_cloud_agents.worker.aws`, for one attempt at one job.

Composition root. Exit code 0 means that the job has a result, whatever it says; another one that
it has none yet. Batch tries again where that may help: after `TRY_AGAIN`, or a lost machine.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys

from mcp_cloud_agents.domain.errors import AgentsError, StoreUnavailable
from mcp_cloud_agents.domain.sandbox import JOB_UID
from mcp_cloud_agents.sandbox.choose import drivers
from mcp_cloud_agents.sandbox.uid_drop import UidDrop
from mcp_cloud_agents.storage.job_objects import TRY_AGAIN
from mcp_cloud_agents.storage.s3_client import s3_client
from mcp_cloud_agents.storage.s3_store import S3Store
from mcp_cloud_agents.telemetry.logs import log_to_stderr
from mcp_cloud_agents.worker.aws.attempt import STORE_WITHIN_S, attempt
from mcp_cloud_agents.worker.aws.order import Order
from mcp_cloud_agents.worker.aws.patience import patiently

_log = logging.getLogger(__name__)
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36  # prctl(2)
_NOTHING_TO_DO = 2


def main() -> int:
    """Do what the environment says; the exit code."""
    log_to_stderr(logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    os.umask(0o077)
    _guard()
    environ = os.environ  # noqa: TID251  a container's settings are its environment
    owner = JOB_UID if os.geteuid() == 0 else None
    try:
        order = Order.read(environ)
    except AgentsError as exc:
        _log.error("no_order: %s %s", exc.message, exc.hint)
        return _NOTHING_TO_DO
    try:
        client = patiently(s3_client, within_s=STORE_WITHIN_S)
    except StoreUnavailable as exc:
        _log.error("no_store: %s %s", exc.message, exc.hint)
        return TRY_AGAIN
    store = S3Store(client, order.bucket)
    sandboxes = (*drivers(job_uid=owner), UidDrop())
    return attempt(order, store, sandboxes, owner, environ=environ)


def _guard() -> None:
    """Nobody looks into this process's memory, and what its commands leave is its own to end."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
