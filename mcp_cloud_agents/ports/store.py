"""Blobs by key, shared between machines. The contract is in `tests/contracts/test_store.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from mcp_cloud_agents.domain.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

Data = bytes | BinaryIO
"""Content to write; a file is seekable, and is read from its position to its end."""

_MAX_KEY_BYTES = 1_024
"""The limit of S3 (Amazon S3 User Guide, "Naming Amazon S3 objects")."""
_MAX_PART_BYTES = 200
"""File systems have 255; what we put beside a name while it is written needs some."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A blob that is there."""

    key: str
    size_bytes: int


class Store(Protocol):
    """Blobs by key. Every method blocks, and can be called from any thread, process or machine.

    A key is text of parts between "/" (`check_key`); a key that is also the folder of another one
    is not allowed. A reader sees a blob whole, as one writer wrote it, or not at all; what was
    written is seen by whoever asks afterwards. All methods raise:

        InvalidArgument: the key is none.
        StoreUnavailable: no answer now; calling again is safe, also after a write.
        StoreDenied: somebody has to change something first.
        NoSpace: the disk is full.
    """

    @property
    def name(self) -> str:
        """What a person calls it, and different for different stores: `s3://bucket`, a path."""
        ...

    def put_new(self, key: str, data: Data) -> bool:
        """Write once; durable when it returns.

        Returns:
            Whether this call wrote it. False: it existed, and is as it was.
        """
        ...

    def put(self, key: str, data: Data) -> None:
        """Write or replace; durable when it returns."""
        ...

    def get(self, key: str, *, offset: int = 0, limit: int | None = None) -> bytes | None:
        """At most `limit` bytes from `offset` on; b"" past the end, None when it is not there."""
        ...

    def size(self, key: str) -> int | None:
        """Bytes of the blob; None when it is not there."""
        ...

    def list(self, prefix: str, *, after: str = "") -> tuple[Listed, ...]:
        """All blobs whose keys begin with `prefix` and are greater than `after`, sorted by key."""
        ...

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Names between `prefix`, which ends with "/" or is empty, and the next "/", sorted."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove; what is not there is fine."""
        ...

    def download(self, key: str, path: str, *, limit: int | None = None) -> bool:
        """Copy at most the first `limit` bytes into a file, which appears whole or not at all.

        Returns:
            False when the blob is not there.
        """
        ...


def check_key(key: str) -> str:
    """The key, when it is one, whoever made it.

    Raises:
        InvalidArgument: it is too long, or a part is empty, `.`, `..`, or has control characters.
    """
    parts = key.split("/")
    if (
        not _encodable(key)
        or len(key.encode()) > _MAX_KEY_BYTES
        or any(part in ("", ".", "..") or len(part.encode()) > _MAX_PART_BYTES for part in parts)
        or any(ord(char) < 0x20 or ord(char) == 0x7F for char in key)
    ):
        raise InvalidArgument(
            f"{key[:80]!r} cannot be the key of a blob.",
            hint="Use parts of at most 200 bytes between slashes, without control characters.",
        )
    return key


def _encodable(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # a lone surrogate, of a name that is no UTF-8
        return False
    return True
