"""Our object store to a shared one: a full pack first, thin ones after, never twice the same.

The packs are written before the manifest that names them, each once under the name of its content.
So whoever finds a manifest finds all; what a killed shipper leaves is a pack that nobody names, and
the next one either makes the same bytes (and finds them there) or goes past it.

<id>.git/                       the local object store (store.py)
  shipping.lock                 one shipper at a time: the second finds what the first has sent
  shared-key                    the repository's name in shared stores, found out once
  shipped-<hash of the store>   last snapshot that is there; a hint: it is looked at before use
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BufferedRandom
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed
from mcp_cloud_agents.domain.job import Snapshot
from mcp_cloud_agents.ports.store import Store
from mcp_cloud_agents.snapshots.git import user_env
from mcp_cloud_agents.snapshots.manifests import (
    MAX_MANIFEST_BYTES,
    ZSTD,
    Manifest,
    StoredPack,
    manifest_key,
    pack_key,
    read,
    written,
)
from mcp_cloud_agents.snapshots.store import Repository
from mcp_cloud_agents.snapshots.worktree import user_git
from mcp_cloud_agents.storage.files import read_whole, replace_quickly, storage_errors
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Generator

    from mcp_cloud_agents.snapshots.git import Git
    from mcp_cloud_agents.snapshots.store import Stores

_MAX_CHAIN = 20
"""Packs of one snapshot: a worker fetches and indexes each of them."""
_SMALL_BYTES = 64 << 10
"""Thin packs that weigh less together are never a reason to send all again."""
_LEVEL = 3
"""Of zstd: 67 MB of sources in 0.4 s; git's own deflate takes 2.2 s and is no smaller."""
_WAIT_S = 3_600.0
_ASK_AT_ONCE = 8
_KEY = re.compile(r"[0-9a-f]{32}")
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A pack that is ready to go."""

    file: BufferedRandom
    pack: StoredPack


class Shipper:
    """Brings snapshots into a shared store; blocks. Any number of processes may ship at once.

    Args:
        stores: our object stores, which have the snapshots.
        store: where to.
    """

    def __init__(self, stores: Stores, store: Store) -> None:
        self._stores = stores
        self._store = store

    def repository_key(self, snapshot: Snapshot) -> str:
        """Name of the snapshot's repository in shared stores: the same for all of its clones.

        It is a hash of the smallest root commit of HEAD; the local id where there is no commit.
        """
        path = os.path.join(self._stores.get(snapshot.repository).path, "shared-key")
        known = (read_whole(path, limit=64) or b"").decode("ascii", "replace")
        if _KEY.fullmatch(known):
            return known
        root = _smallest_root(snapshot)
        if root is None:
            return snapshot.repository
        named = f"{snapshot.object_format}\0{root}".encode()
        found = hashlib.sha256(named).hexdigest()[:32]
        replace_quickly(path, found.encode())
        return found

    def ship(self, snapshot: Snapshot, *, afresh: bool = False) -> int:
        """Bring one snapshot, durably.

        Args:
            snapshot: of our object stores.
            afresh: send all of it again and replace what is there: when it was damaged.

        Returns:
            Bytes of the packs sent; 0 when all was there.

        Raises:
            StoreUnavailable: calling again is safe, and goes on with what is there.
            StoreDenied, NoSpace, BackendFailed: the store refuses, the disk is full, the snapshot
                is gone from our store.
        """
        repository = self._stores.get(snapshot.repository)
        lock = os.path.join(repository.path, "shipping.lock")
        with storage_errors(repository.path):
            errand = _Errand(repository, self._store, self.repository_key(snapshot), snapshot)
            sent = 0
            if afresh or not errand.is_done():  # else many jobs on one tree need not queue up
                with locked(lock, wait_s=_WAIT_S):
                    sent = errand.run(afresh=afresh)
            errand.remember()
        return sent


@dataclass(frozen=True, slots=True)
class _Errand:
    """One snapshot on its way."""

    repository: Repository
    store: Store
    key: str
    snapshot: Snapshot

    def is_done(self) -> bool:
        """Whether the store has all of it."""
        return self._complete(self.snapshot.commit) is not None

    def run(self, *, afresh: bool) -> int:
        """See `Shipper.ship`."""
        commit = self.snapshot.commit
        if not afresh and self._complete(commit) is not None:
            return 0
        base = None if afresh else self._base()
        with ExitStack() as files:
            chain, parcel = self._packed(base, files)
            sent = self._send(parcel, afresh=afresh)
        manifest = Manifest(object_format=self.snapshot.object_format, packs=(*chain, parcel.pack))
        where, data = manifest_key(self.key, commit), written(manifest)
        # one that is there and names what is gone (else we were done above) is replaced
        if afresh or (not self.store.put_new(where, data) and self._complete(commit) is None):
            self.store.put(where, data)
        return sent

    def remember(self) -> None:
        """The next thin pack can be based on this snapshot."""
        replace_quickly(self._memory, self.snapshot.commit.encode())

    @property
    def _memory(self) -> str:
        name = hashlib.sha256(f"{self.store.name}\0{self.key}".encode()).hexdigest()[:16]
        return os.path.join(self.repository.path, f"shipped-{name}")

    def _complete(self, commit: str) -> Manifest | None:
        """The manifest of a snapshot when each of its packs is in the store, by name and size."""
        data = self.store.get(manifest_key(self.key, commit), limit=MAX_MANIFEST_BYTES)
        try:
            manifest = read(data or b"", commit)
        except ValueError:
            return None
        with ThreadPoolExecutor(_ASK_AT_ONCE) as pool:
            there = pool.map(self._is_there, manifest.packs)
        return manifest if all(there) else None

    def _is_there(self, pack: StoredPack) -> bool:
        return self.store.size(pack_key(self.key, pack)) == pack.size_bytes

    def _base(self) -> Manifest | None:
        """Of the last snapshot shipped, when both sides still have it."""
        known = (read_whole(self._memory, limit=128) or b"").decode("ascii", "replace")
        if not _OBJECT.fullmatch(known) or not self.repository.has(known):
            return None
        return self._complete(known)

    def _packed(
        self, base: Manifest | None, files: ExitStack
    ) -> tuple[tuple[StoredPack, ...], _Parcel]:
        """The packs to build on, and a new one: thin as long as that pays, else full.

        A chain that is too long or too heavy is not sent anew at once: first a pack that is thin
        against its beginning alone is tried, which holds all changes since, each once.
        """
        chain = base.packs if base is not None else ()
        for known in dict.fromkeys((chain, chain[:1])):
            if known and len(known) < _MAX_CHAIN and self.repository.has(known[-1].commit):
                parcel = self._thin(known[-1].commit, self._new_file(files))
                thin = sum(pack.size_bytes for pack in (*known[1:], parcel.pack))
                if thin <= max(known[0].size_bytes // 2, _SMALL_BYTES):
                    return known, parcel
        return (), self._full(self._new_file(files))

    def _new_file(self, files: ExitStack) -> BufferedRandom:
        return files.enter_context(tempfile.TemporaryFile(dir=self.repository.path))

    def _thin(self, base: str, file: BufferedRandom) -> _Parcel:
        """Deltas need an edge: without parents git finds none, so a throw-away child goes along."""
        git = self.repository.git
        git = replace(git, config=(*git.config, ("pack.compression", "6")))
        with _scratch(git, self.repository.objects) as aside:
            tree, commit = self.snapshot.tree, self.snapshot.commit
            made = aside.run("commit-tree", tree, "-m", "carrier", "-p", base)
            revisions = f"{made.decode().strip()}\n{commit}\n^{base}\n"
            how = ("--thin", "--delta-base-offset", "--no-reuse-object")
            _pack_objects(aside, revisions, file, how)
        return self._parcel(file)

    def _full(self, file: BufferedRandom) -> _Parcel:
        """All objects stored, in one frame of zstd."""
        with tempfile.TemporaryFile(dir=self.repository.path) as plain:
            _pack_objects(self.repository.git, f"{self.snapshot.commit}\n", plain, ("--window=0",))
            size = plain.seek(0, os.SEEK_END)
            plain.seek(0)
            _compress(plain, file, size)
        parcel = self._parcel(file)
        return replace(parcel, pack=replace(parcel.pack, compression=ZSTD, unpacked_bytes=size))

    def _parcel(self, file: BufferedRandom) -> _Parcel:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        pack = StoredPack(sha256=sha256, size_bytes=size, commit=self.snapshot.commit)
        return _Parcel(file, pack)

    def _send(self, parcel: _Parcel, *, afresh: bool) -> int:
        """The pack into the store; bytes that went there."""
        where = pack_key(self.key, parcel.pack)
        parcel.file.seek(0)
        if not afresh:
            if self.store.put_new(where, parcel.file):
                return parcel.pack.size_bytes
            if self._is_there(parcel.pack):
                return 0
            parcel.file.seek(0)
        self.store.put(where, parcel.file)
        return parcel.pack.size_bytes


def _smallest_root(snapshot: Snapshot) -> str | None:
    """Of the commits that HEAD was made of; None when there is none, or the worktree is gone."""
    base = snapshot.origin.base_commit
    if base is None or not os.path.isdir(snapshot.origin.workspace):
        return None
    git = user_git(snapshot.origin.workspace, user_env())
    try:
        roots = git.run("rev-list", "--max-parents=0", base, "--").decode().split()
    except AgentsError:
        return None
    return min(filter(_OBJECT.fullmatch, roots), default=None)


@contextmanager
def _scratch(git: Git, objects: str) -> Generator[Git]:
    """Git that reads the repository and writes objects nowhere that lasts."""
    with tempfile.TemporaryDirectory(prefix="mca-carrier-") as folder:
        os.mkdir(os.path.join(folder, "info"))
        replace_quickly(os.path.join(folder, "info", "alternates"), os.fsencode(f"{objects}\n"))
        fast = (*git.config, ("core.fsync", "none"))
        yield replace(git, env={**git.env, "GIT_OBJECT_DIRECTORY": folder}, config=fast)


def _pack_objects(git: Git, revisions: str, file: BufferedRandom, options: tuple[str, ...]) -> None:
    argv = ("pack-objects", "--revs", "--stdout", "-q", *options)
    try:
        git.start(*argv, stdout=file.fileno()).output(revisions.encode())
    except BackendFailed as exc:
        raise BackendFailed(
            f"The snapshot could not be packed: {exc.message}",
            hint="Call again: a snapshot that was cleaned up is taken anew.",
        ) from exc


def _compress(plain: BufferedRandom, file: BufferedRandom, size: int) -> None:
    import zstandard

    compressor: Any = zstandard.ZstdCompressor(level=_LEVEL, threads=-1)
    compressor.copy_stream(plain, file, size=size)
