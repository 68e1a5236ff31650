"""Snapshots in a shared store: which packs make one, in which order.

packs/<repository>/
  <sha256 of its bytes>.pack     a git pack, full or thin, perhaps compressed; written once
  <commit>.json                  the packs of that snapshot, base first; written after them
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from mcp_cloud_agents.domain.errors import BackendFailed

MANIFEST_VERSION = 1
MAX_PACKS = 64
"""More than any shipper makes: what a manifest may ask a worker to fetch."""
MAX_MANIFEST_BYTES = 1 << 16
ZSTD = "zstd"

_REPOSITORY = re.compile(r"[0-9a-f]{32}")
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPack:
    """One pack, as its manifest names it."""

    sha256: str
    """Of the bytes in the store."""
    size_bytes: int
    """In the store."""
    commit: str
    """The snapshot that is complete with this pack and those before it."""
    compression: str = ""
    """`zstd`: of the whole pack, whose objects are stored; else each object is deflated."""
    unpacked_bytes: int = 0
    """Of the pack itself when it is compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of `<commit>.json`."""

    object_format: str
    """`sha1` or `sha256`."""
    packs: tuple[StoredPack, ...]
    """In the order in which they must be indexed: later ones may be thin against earlier ones."""
    version: int = MANIFEST_VERSION


def manifest_key(repository: str, commit: str) -> str:
    """Where the manifest of a snapshot is.

    Raises:
        BackendFailed: one of the names is none.
    """
    if not _REPOSITORY.fullmatch(repository) or not _OBJECT.fullmatch(commit):
        raise BackendFailed(
            f"{repository[:80]!r}, {commit[:80]!r} name no snapshot.", hint="Submit the job again."
        )
    return f"packs/{repository}/{commit}.json"


def pack_key(repository: str, pack: StoredPack) -> str:
    """Where a pack is."""
    return f"packs/{repository}/{pack.sha256}.pack"


def written(manifest: Manifest) -> bytes:
    """The manifest as it is stored."""
    return msgspec.json.encode(manifest)


def read(data: bytes, commit: str) -> Manifest:
    """A manifest from the store.

    Args:
        data: its bytes, of anybody.
        commit: the snapshot it is to be of.

    Raises:
        ValueError: it is damaged, of a newer version, or of another snapshot; says which.
    """
    try:
        version = msgspec.json.decode(data, type=_Versioned).version
        if version > MANIFEST_VERSION:
            raise ValueError(f"a newer version of this program wrote it (layout {version})")
        found = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as exc:
        raise ValueError(str(exc)) from exc
    digits = {"sha1": 40, "sha256": 64}.get(found.object_format)
    different = {pack.sha256 for pack in found.packs}
    if digits != len(commit) or not 1 <= len(different) == len(found.packs) <= MAX_PACKS:
        raise ValueError("its object format or number of packs cannot be")
    if not all(map(_plausible, found.packs)) or found.packs[-1].commit != commit:
        raise ValueError("its packs are not of this snapshot")
    return found


def _plausible(pack: StoredPack) -> bool:
    return bool(
        _SHA256.fullmatch(pack.sha256)
        and _OBJECT.fullmatch(pack.commit)
        and pack.size_bytes > 0
        and pack.unpacked_bytes >= 0
        and pack.compression in ("", ZSTD)
    )


@dataclass(frozen=True, slots=True)
class _Versioned:
    """What every version has."""

    version: int
