"""Every implementation of the port `Store`, empty, for tests; also as a program that writes once.

`python -m tests.stores KIND PLACE KEY CONTENT` prints whether its `put_new` was the one that wrote.
"""

from __future__ import annotations

import logging
import secrets
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from mcp_cloud_agents.storage.folder_store import FolderStore
from mcp_cloud_agents.storage.s3_store import S3Store

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.store import Store

ROOT = Path(__file__).parent.parent
KINDS = ("folder", "s3")
MakeStore = Callable[[], "Store"]


def client(endpoint: str, **config: Any) -> Any:
    """A client of S3 with keys that are none."""
    import boto3
    from botocore.config import Config

    session = cast("Any", boto3).Session(
        aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    retries = {"mode": "standard", "total_max_attempts": 4}
    wanted = Config(**{"signature_version": "s3v4", "retries": retries, **config})
    return session.client("s3", endpoint_url=endpoint, config=wanted)


@contextmanager
def s3_server() -> Generator[str]:
    """moto on 127.0.0.1: its endpoint. Skips where moto is not installed.

    One request at a time: under threads moto looks and writes in two steps, so of two writers
    with `If-None-Match` both may win, which S3 rules out.
    """
    reason = "needs moto: pip install 'moto[server]==5.2.5'"
    moto = pytest.importorskip("moto.moto_server.werkzeug_app", reason=reason)
    serving = pytest.importorskip("werkzeug.serving", reason=reason)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app, turn = moto.DomainDispatcherApplication(moto.create_backend_app), threading.Lock()

    def serve(environ: Any, start_response: Any) -> list[bytes]:
        with turn:
            return list(app(environ, start_response))

    handler = moto.MotoRequestHandler
    server = serving.make_server("127.0.0.1", 0, serve, threaded=True, request_handler=handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def at(kind: str, place: str, **options: Any) -> Store:
    """The store at a place: a folder, or `endpoint/bucket`."""
    if kind == "folder":
        return FolderStore(place)
    endpoint, bucket = place.rsplit("/", 1)
    return S3Store(_shared_client(endpoint), bucket, **options)


@cache
def _shared_client(endpoint: str) -> Any:
    """Making one takes a while."""
    return client(endpoint, max_pool_connections=24)


def new_place(kind: str, folder: Path, endpoint: Callable[[], str]) -> str:
    """Where an empty store is."""
    if kind == "folder":
        return str(folder / f"store-{secrets.token_hex(4)}")
    place = f"{endpoint()}/test-{secrets.token_hex(8)}"
    _shared_client(place.rsplit("/", 1)[0]).create_bucket(Bucket=place.rsplit("/", 1)[1])
    return place


if __name__ == "__main__":
    kind, place, key, content = sys.argv[1:]
    store = at(kind, place)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(f"{store.put_new(key, content.encode())}\n")
