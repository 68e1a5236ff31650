"""A small thin pack and its index, written without a git process (gitformat-pack(5)).

Starting `pack-objects` and `index-pack` costs more than all the rest of a resubmit after an edit.
The deltas know one thing only, that a middle changed: after an edit that is nearly as small as
what git finds.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.objects import Kind, object_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


_TYPE = {"commit": 1, "tree": 2, "blob": 3}
_REF_DELTA = 7
_MAX_COPY = 0xFFFFFF
_MAX_INSERT = 0x7F


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object to send, and an older one that the receiver has and that looks alike."""

    kind: Kind
    data: bytes
    base: bytes | None = None


@dataclass(frozen=True, slots=True)
class PackFile:
    """What goes over the wire, and what the receiver keeps."""

    thin: bytes
    """The pack as it is sent: deltas against objects that are not in it."""
    whole: bytes
    """The same, completed by those objects, as `index-pack --fix-thin` does."""
    index: bytes
    """Index of `whole`, version 2."""
    name: str
    """Hex digest for the file names: `pack-NAME.pack`, `pack-NAME.idx`."""


@dataclass(frozen=True, slots=True)
class _Record:
    """One object as it stands in a pack."""

    oid: bytes
    packed: bytes


def pack_file(object_format: str, objects: Sequence[NewObject]) -> PackFile:
    """Pack a few objects.

    Args:
        object_format: `sha1` or `sha256`.
        objects: no two of the same content.
    """
    new = [_record(object_format, each) for each in objects]
    have = {record.oid for record in new}
    bases = {
        object_id(object_format, each.kind, each.base): _plain(each.kind, each.base, 0)
        for each in objects
        if each.base is not None
    }
    added = [_Record(oid, packed) for oid, packed in bases.items() if oid not in have]
    whole = _pack(object_format, (*new, *added))
    trailer = whole[-hashlib.new(object_format).digest_size :]
    return PackFile(
        thin=_pack(object_format, new),
        whole=whole,
        index=_index(object_format, (*new, *added), trailer),
        name=trailer.hex(),
    )


def delta(old: bytes, new: bytes) -> bytes:
    """Instructions that make `new` of `old`: copy its beginning, insert a middle, copy its end."""
    start = _same_start(old, new)
    end = _same_start(old[start:][::-1], new[start:][::-1])
    middle = new[start : len(new) - end]
    return b"".join(
        (
            _length(len(old)),
            _length(len(new)),
            *_copies(0, start),
            *_inserts(middle),
            *_copies(len(old) - end, end),
        )
    )


def _record(object_format: str, wanted: NewObject) -> _Record:
    oid = object_id(object_format, wanted.kind, wanted.data)
    if wanted.base is not None and len(steps := delta(wanted.base, wanted.data)) < len(wanted.data):
        base = object_id(object_format, wanted.kind, wanted.base)
        return _Record(oid, _head(_REF_DELTA, len(steps)) + base + zlib.compress(steps))
    return _Record(oid, _plain(wanted.kind, wanted.data, zlib.Z_DEFAULT_COMPRESSION))


def _plain(kind: Kind, data: bytes, level: int) -> bytes:
    return _head(_TYPE[kind], len(data)) + zlib.compress(data, level)


def _pack(object_format: str, records: Sequence[_Record]) -> bytes:
    body = struct.pack(">4sII", b"PACK", 2, len(records))
    body += b"".join(record.packed for record in records)
    return body + hashlib.new(object_format, body).digest()


def _index(object_format: str, records: Iterable[_Record], trailer: bytes) -> bytes:
    at = 12
    rows: list[tuple[bytes, int, int]] = []
    for record in records:
        rows.append((record.oid, zlib.crc32(record.packed), at))
        at += len(record.packed)
    rows.sort()
    firsts = [oid[0] for oid, _, _ in rows]
    fanout = [bisect_right(firsts, first) for first in range(256)]
    body = b"".join(
        (
            b"\xfftOc",
            struct.pack(">I256I", 2, *fanout),
            *(oid for oid, _, _ in rows),
            struct.pack(f">{len(rows)}I", *(crc for _, crc, _ in rows)),
            struct.pack(f">{len(rows)}I", *(offset for _, _, offset in rows)),
            trailer,
        )
    )
    return body + hashlib.new(object_format, body).digest()


def _head(kind: int, size: int) -> bytes:
    """Type and size of a pack entry: four bits of the size, then seven a byte."""
    first, size = kind << 4 | size & 0xF, size >> 4
    return bytes((first | 0x80,)) + _length(size) if size else bytes((first,))


def _length(size: int) -> bytes:
    """A size, seven bits a byte, least significant first."""
    parts: list[int] = []
    while size > 0x7F:
        parts.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*parts, size))


def _copies(offset: int, size: int) -> Iterator[bytes]:
    while size:
        now = min(size, _MAX_COPY)
        numbers = offset.to_bytes(4, "little") + now.to_bytes(3, "little")
        given = [bit for bit, byte in enumerate(numbers) if byte]
        yield bytes((0x80 | sum(1 << bit for bit in given), *(numbers[bit] for bit in given)))
        offset, size = offset + now, size - now


def _inserts(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _MAX_INSERT):
        piece = data[at : at + _MAX_INSERT]
        yield bytes((len(piece),)) + piece


def _same_start(one: bytes, other: bytes) -> int:
    """How many bytes the two share at the beginning; halves, as comparing slices is quick."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
