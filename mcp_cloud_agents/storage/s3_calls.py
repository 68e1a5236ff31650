"""Calls of one bucket: with its name and owner, errors translated, broken answers read again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mcp_cloud_agents.storage.s3_errors import BROKEN, Call, code_of, s3_errors, tries_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = dict[str, Any]
_Method = Callable[..., Json]
_TRIES = 4
_FIRST_WAIT_S = 0.1


class S3Client(Protocol):
    """What we use of boto3's client, which has no types of its own."""

    get_object: _Method
    put_object: _Method
    list_objects_v2: _Method
    delete_objects: _Method
    create_multipart_upload: _Method
    upload_part: _Method
    complete_multipart_upload: _Method
    abort_multipart_upload: _Method


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call gave."""

    head: Json = field(default_factory=Json)
    data: bytes = b""
    failed: str = ""
    """The code of a failure that the caller expects; empty when it worked."""
    tries: int = 0
    """How often the SDK had to send the request again."""


class S3Calls:
    """The calls.

    Args:
        client: of boto3.
        bucket: its name.
        owner: account it has to be of; None: anybody's.
    """

    def __init__(self, client: S3Client, bucket: str, owner: str | None) -> None:
        self._client = client
        self.bucket = bucket
        self._always: Json = {"Bucket": bucket}
        if owner is not None:
            self._always["ExpectedBucketOwner"] = owner

    def ask(
        self, method: str, key: str, *, fine: frozenset[str] = frozenset(), **more: Any
    ) -> Answered:
        """One call about one object.

        Args:
            method: of the client.
            key: of the object.
            fine: codes of failures to hand back instead of raising.
            more: its other arguments.

        Raises:
            StoreUnavailable, StoreDenied, BackendFailed: another failure.
        """
        from botocore.exceptions import ClientError

        with s3_errors(Call(self.bucket, method, key)):
            try:
                return Answered(getattr(self._client, method)(Key=key, **self._always, **more))
            except ClientError as exc:
                if code_of(exc) not in fine:
                    raise
                return Answered(failed=code_of(exc), tries=tries_of(exc))

    def read(self, key: str, asked: Json, *, fine: frozenset[str]) -> Answered:
        """GetObject with its body; a body that breaks off is asked for again.

        The SDK tries again until the headers are there, and no further.
        """
        from botocore.exceptions import BotoCoreError

        with s3_errors(Call(self.bucket, "get_object", key)):
            for last in tries():
                found = self.ask("get_object", key, fine=fine, **asked)
                if found.failed:
                    return found
                try:
                    return Answered(found.head, found.head["Body"].read())
                except BotoCoreError as exc:
                    if last or code_of(exc) not in BROKEN:
                        raise
        raise AssertionError("the last try returns or raises")

    def list(self, **asked: Any) -> Json:
        """One page of ListObjectsV2."""
        with s3_errors(Call(self.bucket, "list_objects_v2")):
            return self._client.list_objects_v2(**self._always, **asked)

    def delete(self, keys: Sequence[str]) -> None:
        """DeleteObjects, at most 1,000; it answers 200 also when some stay."""
        from botocore.exceptions import ClientError

        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with s3_errors(Call(self.bucket, "delete_objects", keys[0])):
            answer = self._client.delete_objects(Delete=wanted, **self._always)
            for error in answer.get("Errors", ()):
                raise ClientError({"Error": error}, "DeleteObjects")


def tries() -> Iterator[bool]:
    """One turn a try, with longer and longer waits between; True: it is the last."""
    pause = threading.Event()
    for number in range(_TRIES):
        if number:
            pause.wait(_FIRST_WAIT_S * 2 ** (number - 1))
        yield number == _TRIES - 1
