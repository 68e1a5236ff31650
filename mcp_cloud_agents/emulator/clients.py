"""boto3 for the emulator's own use and its tests: the one place here that imports it."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, cast

_making = threading.Lock()


def aws_client(service: str, endpoint: str, region: str, **more: Any) -> Any:
    """A client of the emulator, with keys that are none.

    boto3 has no types of its own, and the stubs lag behind (no TerminateJobs): hence `Any`.
    """
    keys = more.pop("key", "emulator"), more.pop("secret", "emulator"), more.pop("token", None)
    with _making:  # sessions are not safe for threads, clients are
        return _session(region, *keys).client(service, endpoint_url=endpoint, **more)


@cache
def _session(region: str, key: str, secret: str, token: str | None) -> Any:
    import boto3

    return cast("Any", boto3).Session(
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name=region,
    )
