"""Looking an object up in the packs of a folder, without a git process (gitformat-pack(5))."""

from __future__ import annotations

import mmap
import os
import struct

_FANOUT_AT = 8
_ROWS_AT = _FANOUT_AT + 256 * 4
_MAGIC = b"\xfftOc\0\0\0\2"


def in_packs(folder: str, oid: bytes) -> bool:
    """Whether one of the packs in `folder` holds the object.

    Args:
        folder: `objects/pack` of a repository.
        oid: binary id.
    """
    return any(
        _holds(os.path.join(folder, name), oid) for name in _names(folder) if name.endswith(".idx")
    )


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _holds(index: str, oid: bytes) -> bool:
    """Whether a pack that is there, with an index of version 2, has the object."""
    try:
        size = os.stat(index.removesuffix(".idx") + ".pack").st_size
        with open(index, "rb") as file:
            if not size or os.fstat(file.fileno()).st_size < _ROWS_AT:
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return data[: len(_MAGIC)] == _MAGIC and _search(data, oid)
    except FileNotFoundError:  # repacked meanwhile
        return False


def _search(data: mmap.mmap, oid: bytes) -> bool:
    first = oid[0]
    low = _fanout(data, first - 1) if first else 0
    high = _fanout(data, first)
    while low < high:
        middle = (low + high) // 2
        at = _ROWS_AT + middle * len(oid)
        found = data[at : at + len(oid)]
        if found == oid:
            return True
        if found < oid:
            low = middle + 1
        else:
            high = middle
    return False


def _fanout(data: mmap.mmap, first: int) -> int:
    return int(struct.unpack_from(">I", data, _FANOUT_AT + first * 4)[0])
