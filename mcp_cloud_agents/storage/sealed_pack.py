"""An archive as one object that tells by itself whether it is whole: a digest, then zstd.

    skippable frame     "mca1", sha256 of all that follows, bytes of the archive inside
    zstd frame          the archive

Tools of zstd pass over the first frame (RFC 8878, 3.1.2). Digest and content are one object, so
that no reader sees the one without the other.
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_HEAD = struct.Struct("<II4s32sQ")
_SKIPPABLE, _MARK = 0x184D2A50, b"mca1"
_CHUNK = 1 << 20
_LEVEL = 3
_WINDOW_BYTES = 1 << 27


class DamagedPack(Exception):
    """The file is not what was sealed; the message says in which way."""


class SealedPack:
    """Writes one: feed it, then leave the block; sealed only when that went well.

    Args:
        path: a file to make.
        limit_bytes: of the archive. What is fed beyond it is dropped, and `too_large` set.
    """

    def __init__(self, path: str, *, limit_bytes: int) -> None:
        self._path = path
        self._room = limit_bytes
        self._size = 0
        self.too_large = False

    def __enter__(self) -> SealedPack:
        import zstandard

        self._file = open(self._path, "w+b")
        self._file.write(bytes(_HEAD.size))
        compressor: Any = zstandard.ZstdCompressor(level=_LEVEL, threads=-1)
        self._writer = compressor.stream_writer(self._file, closefd=False)
        return self

    def feed(self, data: bytes) -> None:
        """More of the archive."""
        self._room -= len(data)
        self.too_large = self.too_large or self._room < 0
        if not self.too_large:
            self._size += len(data)
            self._writer.write(data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        with self._file as file:
            if error is None and not self.too_large:
                file.seek(_HEAD.size)
                digest = hashlib.file_digest(file, "sha256").digest()
                file.seek(0)
                file.write(_HEAD.pack(_SKIPPABLE, _HEAD.size - 8, _MARK, digest, self._size))


def unseal(path: str, into: str, *, limit_bytes: int) -> None:
    """Write the archive of a sealed pack to a new file.

    Raises:
        DamagedPack: it is cut off, was changed, or holds more than it says or may.
    """
    with open(path, "rb") as file:
        size = _checked(file)
        if size > limit_bytes:
            raise DamagedPack(f"it holds {size} bytes, and {limit_bytes} are allowed")
        with open(into, "xb") as out:
            _decompress(file, out, size)
            if out.tell() != size:
                raise DamagedPack(f"it holds {out.tell()} bytes instead of {size}")
            os.fchmod(out.fileno(), 0o644)


def _checked(file: Any) -> int:
    """Bytes of the archive; the file stands where its compressed form begins."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise DamagedPack("it is cut off")
    magic, length, mark, digest, size = _HEAD.unpack(head)
    if (magic, length, mark) != (_SKIPPABLE, _HEAD.size - 8, _MARK):
        raise DamagedPack("it is no sealed pack")
    if hashlib.file_digest(file, "sha256").digest() != digest:
        raise DamagedPack("its content does not have its sha256")
    file.seek(_HEAD.size)
    return int(size)


def _decompress(file: Any, out: Any, size: int) -> None:
    import zstandard

    decompressor: Any = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(file, read_across_frames=False) as reader:
            while out.tell() <= size and (data := reader.read(_CHUNK)):
                out.write(data)
    except zstandard.ZstdError as exc:
        raise DamagedPack(f"it cannot be read: {exc}") from exc
