"""Writing objects: once or over others, in one piece or in parts, with checksums.

A write-once request whose answer is lost is sent again by the SDK, and then finds its own object
in the way. So each write leaves a random word in the object's metadata, and knows it again.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed, StoreUnavailable
from mcp_cloud_agents.storage.s3_calls import tries
from mcp_cloud_agents.storage.s3_errors import EXISTS, MISSING, PAST_THE_END, RACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_cloud_agents.ports.store import Data
    from mcp_cloud_agents.storage.s3_calls import Answered, Json, S3Calls

_ASK_FIRST_BYTES = 64 << 10
"""From here on it is worth a question whether it is there, before it is sent in vain."""
_MAX_PARTS = 10_000
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Upload:
    """One blob on its way."""

    key: str
    replace: bool
    size: int
    read: Callable[[int, int], bytes]
    """Bytes at an offset, of a length."""
    writer: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def condition(self) -> Json:
        """That nothing may be in the way."""
        return {} if self.replace else {"IfNoneMatch": "*"}


class S3Uploads:
    """Writes objects of one bucket.

    Args:
        calls: of the bucket.
        part_bytes: what is larger goes in parts of this size.
    """

    def __init__(self, calls: S3Calls, part_bytes: int) -> None:
        self._calls = calls
        self._part_bytes = part_bytes

    def send(self, key: str, data: Data, *, replace: bool) -> bool:
        """Write; whether this call did. See `put_new` and `put` of the port."""
        upload = _upload(key, data, replace=replace)
        if not replace and upload.size > _ASK_FIRST_BYTES and self._writer(key) is not None:
            return False
        step = self._whole if upload.size <= self._part_bytes else self._in_parts
        for again, _ in enumerate(tries()):
            found = step(upload)
            if not found.failed:
                return True
            sent_twice = again or found.tries or found.failed not in EXISTS
            if sent_twice and self._writer(key) == upload.writer:
                return True
            if found.failed in EXISTS:
                return False
        raise StoreUnavailable(
            f"Others kept writing s3://{self._calls.bucket}/{key} at the same time.",
            hint="Call again.",
        )

    def _whole(self, upload: _Upload) -> Answered:
        content = upload.read(0, upload.size)
        return self._calls.ask(
            "put_object",
            upload.key,
            fine=EXISTS | RACE,
            Body=content,
            ChecksumSHA256=_digest(content),
            Metadata={"writer": upload.writer},
            **upload.condition,
        )

    def _in_parts(self, upload: _Upload) -> Answered:
        made = self._calls.ask(
            "create_multipart_upload",
            upload.key,
            ChecksumAlgorithm="SHA256",
            Metadata={"writer": upload.writer},
        )
        upload_id: str = made.head["UploadId"]
        done = False
        try:
            parts = self._send_parts(upload, upload_id)
            found = self._calls.ask(
                "complete_multipart_upload",
                upload.key,
                fine=EXISTS | RACE,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **upload.condition,
            )
            done = not found.failed
            return found
        finally:
            if not done:  # what is left lying costs money until the bucket's rule removes it
                with suppress(BackendFailed):
                    self._calls.ask("abort_multipart_upload", upload.key, UploadId=upload_id)

    def _send_parts(self, upload: _Upload, upload_id: str) -> list[Json]:
        size = max(self._part_bytes, -(-upload.size // _MAX_PARTS))

        def send(number: int, content: bytes) -> Json:
            checksum = _digest(content)
            sent = self._calls.ask(
                "upload_part",
                upload.key,
                UploadId=upload_id,
                PartNumber=number,
                Body=content,
                ChecksumSHA256=checksum,
            )
            return {"PartNumber": number, "ETag": sent.head["ETag"], "ChecksumSHA256": checksum}

        done: list[Json] = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for numbers in _groups(-(-upload.size // size)):
                content = [upload.read((number - 1) * size, size) for number in numbers]
                done += pool.map(send, numbers, content)
        return done

    def _writer(self, key: str) -> str | None:
        """Who wrote the object that is there; None when there is none."""
        found = self._calls.read(key, {"Range": "bytes=0-0"}, fine=MISSING | PAST_THE_END)
        if found.failed in PAST_THE_END:  # it is empty; only the whole has its metadata
            found = self._calls.read(key, {}, fine=MISSING)
        if found.failed:
            return None
        return str(found.head.get("Metadata", {}).get("writer", ""))


def _upload(key: str, data: Data, *, replace: bool) -> _Upload:
    if isinstance(data, bytes):
        return _Upload(key, replace, len(data), lambda at, size: data[at : at + size])
    start = data.tell()
    end = data.seek(0, os.SEEK_END)

    def read(at: int, size: int) -> bytes:
        data.seek(start + at)
        return data.read(size)

    return _Upload(key, replace, end - start, read)


def _groups(parts: int) -> Iterator[range]:
    """Numbers of the parts, from 1, a few at a time: no more are in memory."""
    for first in range(1, parts + 1, _AT_ONCE):
        yield range(first, min(first + _AT_ONCE, parts + 1))


def _digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
