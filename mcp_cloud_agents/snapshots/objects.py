"""Git objects as bytes (gitformat-pack(5), "Object format" of gitprotocol): ids, trees, commits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind = Literal["blob", "tree", "commit"]

_WHO = b"snapshot <snapshot@invalid> 0 +0000"
"""The same author and date as `git.private_env` gives to git: equal trees give equal commits."""


def object_id(object_format: str, kind: Kind, data: bytes) -> bytes:
    """The binary id of an object: 20 bytes for `sha1`, 32 for `sha256`."""
    digest = hashlib.new(object_format, b"%s %d\0" % (kind.encode(), len(data)))
    digest.update(data)
    return digest.digest()


def snapshot_commit(tree: str) -> bytes:
    """The parentless commit of a tree, as `git commit-tree -m snapshot` writes it."""
    return b"tree %s\nauthor %s\ncommitter %s\n\nsnapshot\n" % (tree.encode(), _WHO, _WHO)


def tree_entries(tree: bytes, oid_bytes: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Mode (`100644`, `40000`, ...), name and binary id of each entry of a tree object.

    Raises:
        ValueError: it is no tree.
    """
    at = 0
    while at < len(tree):
        space = tree.index(b" ", at)
        end = tree.index(b"\0", space)
        oid = tree[end + 1 : end + 1 + oid_bytes]
        if len(oid) != oid_bytes:
            raise ValueError("a tree object is cut short")
        yield tree[at:space], tree[space + 1 : end], oid
        at = end + 1 + oid_bytes


def with_entries(
    tree: bytes, oid_bytes: int, changed: Mapping[bytes, tuple[bytes, bytes]]
) -> bytes:
    """The tree with other modes and ids for some names; files stay files, so the order stays.

    Raises:
        KeyError: one of the names is not in it.
    """
    left = dict(changed)
    parts: list[bytes] = []
    for mode, name, oid in tree_entries(tree, oid_bytes):
        new_mode, new_oid = left.pop(name, (mode, oid))
        parts.append(b"%s %s\0%s" % (new_mode, name, new_oid))
    if left:
        raise KeyError(next(iter(left)))
    return b"".join(parts)
