"""The tests' small worker without boto3, whose import alone takes half a second a process.

A thousand of them run in one measurement, on the cores that the server under measurement has too.
What it writes is what the small worker writes; its requests go to the emulator's S3 as they are.
"""

from __future__ import annotations

import http.client
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit

from mcp_cloud_agents.ports.store import Listed
from mcp_cloud_agents.storage.job_objects import JobObjects
from tests.unit.backends.aws_batch.small_worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.ports.store import Data, Store

_ROOT = str(Path(__file__).parents[2])
_START = (
    f"import sys; sys.path.insert(0, {_ROOT!r}); import tests.bench.cloud_worker as w; w.main()"
)
COMMAND = (sys.executable, "-I", "-c", _START)
_LISTED = re.compile(rb"<Key>([^<]+)</Key>.*?<Size>(\d+)</Size>", re.DOTALL)
_WHOLE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=worker/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
"""The emulator holds no signature against anything; without one nobody may read an object."""
_MISSING, _EXISTS, _PAST_THE_END = 404, 412, 416


class PlainStore:
    """The part of `ports.store.Store` that a worker's objects need."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        self.name = f"s3://{bucket}"
        self._bucket = bucket
        self._connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)

    def put_new(self, key: str, data: Data) -> bool:
        return self._ask("PUT", key, data, {"If-None-Match": "*"})[0] != _EXISTS

    def put(self, key: str, data: Data) -> None:
        self._ask("PUT", key, data)

    def get(self, key: str, *, offset: int = 0, limit: int | None = None) -> bytes | None:
        if limit == 0:
            return None if self.size(key) is None else b""
        end = "" if limit is None else offset + limit - 1
        status, _, found = self._ask("GET", key, b"", {"Range": f"bytes={offset}-{end}"})
        return None if status == _MISSING else b"" if status == _PAST_THE_END else found

    def size(self, key: str) -> int | None:
        status, told, _ = self._ask("GET", key, b"", {"Range": "bytes=0-0"})
        if status == _MISSING:
            return None
        whole = _WHOLE.match(told)
        return int(whole[1]) if whole else 0

    def list(self, prefix: str, *, after: str = "") -> tuple[Listed, ...]:
        query = f"?list-type=2&prefix={quote(prefix)}&start-after={quote(after)}"
        _, _, page = self._ask("GET", query)
        return tuple(Listed(key.decode(), int(size)) for key, size in _LISTED.findall(page))

    def _ask(
        self, method: str, key: str, data: Data = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        """Status, Content-Range and body."""
        body = data if isinstance(data, bytes) else data.read()
        path = f"/{self._bucket}{'' if key.startswith('?') else '/'}{key}"
        self._connection.request(method, path, body, {**_SIGNED, **(headers or {})})
        with self._connection.getresponse() as answer:
            found = answer.read()
        expected = answer.status < 300 or answer.status in (_MISSING, _EXISTS, _PAST_THE_END)
        assert expected, (answer.status, found)
        return answer.status, answer.headers.get("Content-Range", ""), found


def main() -> None:
    """One attempt, as the small worker's own `main`."""
    bucket, _, key = os.getenv("JOB_SPEC", "").removeprefix("s3://").partition("/")
    store = cast("Store", PlainStore(os.getenv("AWS_ENDPOINT_URL", ""), bucket))
    objects = JobObjects(store, key.split("/")[1])
    ours = os.getenv("AWS_BATCH_JOB_ID", "")
    if objects.result() is None and objects.take(ours) == ours:
        sys.exit(Worker(objects).run(objects.spec().command))
