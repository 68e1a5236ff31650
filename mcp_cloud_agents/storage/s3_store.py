"""The port `Store` in a bucket of S3."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import StoreUnavailable
from mcp_cloud_agents.ports.store import Listed, check_key
from mcp_cloud_agents.storage.downloads import appearing
from mcp_cloud_agents.storage.s3_calls import S3Calls, tries
from mcp_cloud_agents.storage.s3_errors import EXISTS, MISSING, PAST_THE_END
from mcp_cloud_agents.storage.s3_uploads import S3Uploads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mcp_cloud_agents.ports.store import Data
    from mcp_cloud_agents.storage.s3_calls import Answered, Json, S3Client

_PART_BYTES = 8 << 20
_PAGE = 1_000
"""Keys in one answer of ListObjectsV2, and in one request of DeleteObjects, at most."""
_AT_ONCE = 4
_RANGE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")


class S3Store:
    """Blobs as objects; see the port for the contract.

    Threads may share one. What may pass is tried again by the client, as it is configured; here
    only what it cannot try itself: a body that breaks off, and races between writers.

    Args:
        client: of boto3, for S3.
        bucket: its name.
        owner: account that the bucket has to be of (12 digits); None: anybody's.
        part_bytes: what is larger is sent and fetched in parts of this size.
        page: keys in one answer of a listing.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        owner: str | None = None,
        part_bytes: int = _PART_BYTES,
        page: int = _PAGE,
    ) -> None:
        self.name = f"s3://{bucket}"
        self._calls = S3Calls(client, bucket, owner)
        self._uploads = S3Uploads(self._calls, part_bytes)
        self._part_bytes = part_bytes
        self._page = page

    def put_new(self, key: str, data: Data) -> bool:
        """See the port."""
        return self._uploads.send(check_key(key), data, replace=False)

    def put(self, key: str, data: Data) -> None:
        """See the port."""
        self._uploads.send(check_key(key), data, replace=True)

    def get(self, key: str, *, offset: int = 0, limit: int | None = None) -> bytes | None:
        """See the port."""
        check_key(key)
        if limit == 0:
            return None if self.size(key) is None else b""
        asked: Json = {}
        if offset or limit is not None:
            asked["Range"] = _range(offset, None if limit is None else offset + limit)
        found = self._calls.read(key, asked, fine=MISSING | PAST_THE_END)
        if found.failed in MISSING:
            return None
        return found.data

    def size(self, key: str) -> int | None:
        """See the port.

        By GetObject: HeadObject has no body, so it cannot tell why it refuses, nor a bucket that
        is not there from a blob that is not.
        """
        asked = {"Range": _range(0, 1)}
        found = self._calls.read(check_key(key), asked, fine=MISSING | PAST_THE_END)
        if found.failed in MISSING:
            return None
        return 0 if found.failed in PAST_THE_END else _whole(found)

    def list(self, prefix: str, *, after: str = "") -> tuple[Listed, ...]:
        """See the port."""
        asked = {"StartAfter": after} if after else {}
        found = [
            Listed(one["Key"], one["Size"])
            for page in self._pages(prefix, asked)
            for one in page.get("Contents", ())
        ]
        return tuple(found)

    def folders(self, prefix: str) -> tuple[str, ...]:
        """See the port."""
        found = [
            one["Prefix"][len(prefix) :].rstrip("/")
            for page in self._pages(prefix, {"Delimiter": "/"})
            for one in page.get("CommonPrefixes", ())
        ]
        return tuple(sorted(found, key=str.encode))

    def delete(self, keys: Iterable[str]) -> None:
        """See the port."""
        wanted = sorted({check_key(key) for key in keys})
        for at in range(0, len(wanted), _PAGE):
            self._calls.delete(wanted[at : at + _PAGE])

    def download(self, key: str, path: str, *, limit: int | None = None) -> bool:
        """See the port."""
        for _ in tries():
            asked = {"Range": _range(0, self._part_bytes)}
            first = self._calls.read(check_key(key), asked, fine=MISSING | PAST_THE_END)
            if first.failed in MISSING:
                return False
            try:
                with appearing(path) as fd:
                    self._fetch(key, first, fd, limit)
            except _Replaced:
                continue
            return True
        raise StoreUnavailable(
            f"{self.name}/{key} was replaced again and again while it was fetched.",
            hint="Call again.",
        )

    def _fetch(self, key: str, first: Answered, fd: int, limit: int | None) -> None:
        """All of an object, in parts, several at once: one stream does not fill the line."""
        size = len(first.data) if first.failed else _whole(first)
        wanted = size if limit is None else min(size, limit)
        _write_at(fd, first.data[:wanted], 0)

        def fetch(offset: int) -> None:
            part = {
                "Range": _range(offset, min(offset + self._part_bytes, wanted)),
                "IfMatch": first.head["ETag"],
            }
            found = self._calls.read(key, part, fine=EXISTS | MISSING)
            if found.failed:
                raise _Replaced
            _write_at(fd, found.data, offset)

        offsets = range(self._part_bytes, wanted, self._part_bytes)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(fetch, offsets):
                pass

    def _pages(self, prefix: str, asked: Json) -> Iterator[Json]:
        more: Json = {}
        while True:
            page = self._calls.list(Prefix=prefix, MaxKeys=self._page, **asked, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}


class _Replaced(Exception):
    """The object is another one than a moment ago."""


def _range(begin: int, end: int | None) -> str:
    """An HTTP range, whose end is included."""
    return f"bytes={begin}-" + ("" if end is None else str(end - 1))


def _whole(found: Answered) -> int:
    """Size of the object that a range was read of."""
    told = _RANGE.fullmatch(found.head.get("ContentRange", ""))
    return int(told[1]) if told else len(found.data)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
