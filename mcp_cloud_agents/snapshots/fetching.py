"""A snapshot out of a shared store into a git dir of the worker's. What comes is checked.

<into>/
  refs/snapshots/<commit>   written last: the snapshot is here with all its objects
  incoming-<random>/        packs on their way; those of a killed fetch go with the next
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed, NoSpace
from mcp_cloud_agents.snapshots.git import PRIVATE_CONFIG, RAW_ATTRIBUTES, Git, private_env
from mcp_cloud_agents.snapshots.manifests import (
    MAX_MANIFEST_BYTES,
    ZSTD,
    Manifest,
    StoredPack,
    manifest_key,
    pack_key,
    read,
)
from mcp_cloud_agents.storage.files import replace_quickly, storage_errors
from mcp_cloud_agents.storage.lock import locked
from mcp_cloud_agents.storage.trees import remove_tree

if TYPE_CHECKING:
    from typing import BinaryIO

    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.snapshots.git import Running

MAX_BYTES = 16 << 30
"""Of all packs of a snapshot together, compressed or not."""
_REFS = "refs/snapshots"
_AT_ONCE = 4
_PIECE = 1 << 20
_WINDOW_BYTES = 128 << 20
"""Memory that a frame of zstd may ask for."""
_LENIENT = ",".join(
    f"{name}=ignore"
    for name in (
        *("gitmodulesBlob", "gitmodulesLarge", "gitmodulesMissing", "gitmodulesName"),
        *("gitmodulesParse", "gitmodulesPath", "gitmodulesSymlink", "gitmodulesUpdate"),
        *("gitmodulesUrl", "zeroPaddedFilemode"),
    )
)
"""Of `--strict` (git-fsck(1), FSCK MESSAGES) what a person's tree may well hold, as a test's data:
no submodule is ever initialised here. Unknown names end git, so only those of 2.38 are named."""


def fetch(
    store: Store, repository: str, commit: str, into: str, *, max_bytes: int = MAX_BYTES
) -> None:
    """Bring one snapshot with all its objects; nothing when it is there.

    Args:
        store: where from.
        repository: name of the repository in the store (`Shipper.repository_key`).
        commit: the snapshot.
        into: bare git dir; made when it is missing. Several fetches at once are fine.
        max_bytes: of all its packs together.

    Raises:
        BackendFailed: it is not in the store, or was damaged; submitting again helps.
        StoreUnavailable, StoreDenied: of the store.
        NoSpace: the disk is full.
    """
    where = manifest_key(repository, commit)
    os.makedirs(os.path.dirname(into), exist_ok=True)
    with storage_errors(into), locked(f"{into}.lock"):
        git = _git(into)
        if _is_here(git, into, commit):
            return
        data = store.get(where, limit=MAX_MANIFEST_BYTES)
        if data is None:
            raise _unusable(store, where, "it is not there")
        try:
            manifest = read(data, commit)
        except ValueError as exc:
            raise _unusable(store, where, str(exc)) from exc
        if sum(pack.size_bytes + pack.unpacked_bytes for pack in manifest.packs) > max_bytes:
            raise _unusable(store, where, f"its packs are over {max_bytes} bytes")
        _create(git, into, manifest.object_format)
        _take_in(store, repository, manifest, git, into)
        if not _has_tree(git, commit):
            raise _unusable(store, where, "its packs lack the snapshot")
        git.run("update-ref", f"{_REFS}/{commit}", commit)


def _git(into: str) -> Git:
    """Commands run under another uid when this program is root, and read what it writes."""
    umask = 0o022 if os.geteuid() == 0 else 0o077
    config = (*PRIVATE_CONFIG, ("core.fsync", "none"))
    return Git(os.path.dirname(into), private_env(into), config, umask)


def _create(git: Git, into: str, object_format: str) -> None:
    """The git dir, without a template; an unfinished one is finished."""
    git.run("init", "-q", "--bare", "--template=", f"--object-format={object_format}", into)
    os.makedirs(os.path.join(into, "info"), exist_ok=True)
    replace_quickly(os.path.join(into, "info", "attributes"), RAW_ATTRIBUTES.encode())


def _is_here(git: Git, into: str, commit: str) -> bool:
    return os.path.exists(os.path.join(into, *_REFS.split("/"), commit)) and _has_tree(git, commit)


def _has_tree(git: Git, commit: str) -> bool:
    return git.start("cat-file", "-e", f"{commit}^{{tree}}").said_yes()


def _missing(manifest: Manifest, git: Git, into: str) -> tuple[StoredPack, ...]:
    """Packs after the last one with which a snapshot is complete that is here already."""
    packs = manifest.packs
    for known in reversed(range(len(packs))):
        if _is_here(git, into, packs[known].commit):
            return packs[known + 1 :]
    return packs


def _take_in(store: Store, repository: str, manifest: Manifest, git: Git, into: str) -> None:
    """Download side by side, index one after the other: thin ones need those before."""
    for name in os.listdir(into):
        if name.startswith("incoming-"):
            remove_tree(os.path.join(into, name))
    packs = _missing(manifest, git, into)
    with (
        tempfile.TemporaryDirectory(prefix="incoming-", dir=into) as folder,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):

        def download(pack: StoredPack) -> str:
            return _download(store, repository, pack, folder)

        for pack, path in zip(packs, pool.map(download, packs), strict=True):
            try:
                _index(git, pack, path)
            except NoSpace:
                raise
            except (AgentsError, ValueError) as exc:
                said = exc.message if isinstance(exc, AgentsError) else str(exc)
                raise _unusable(store, pack_key(repository, pack), said) from exc
            os.unlink(path)


def _download(store: Store, repository: str, pack: StoredPack, folder: str) -> str:
    """Path of a pack whose bytes are those that the manifest names."""
    key, path = pack_key(repository, pack), os.path.join(folder, pack.sha256)
    if not store.download(key, path, limit=pack.size_bytes):
        raise _unusable(store, key, "it is not there")
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != pack.sha256:
            raise _unusable(store, key, "its bytes are not those that were sent")
    return path


def _index(git: Git, pack: StoredPack, path: str) -> None:
    """Let git check the pack and every object in it, and keep it."""
    argv = ("index-pack", "--stdin", "--fix-thin", f"--strict={_LENIENT}")
    with open(path, "rb") as file:
        if pack.compression != ZSTD:
            git.start(*argv, stdin=file.fileno()).output()
            return
        with git.start(*argv) as running:
            try:
                _decompress(file, running, pack.unpacked_bytes)
            except BrokenPipeError as exc:
                running.output()  # git has had enough, and says why
                raise ValueError("git did not read all of it") from exc
            running.output()


def _decompress(file: BinaryIO, running: Running, size: int) -> None:
    """Feed git what the frame holds.

    Raises:
        ValueError: it is damaged, or not of the size that the manifest names.
    """
    import zstandard

    target = running.process.stdin
    assert target is not None  # noqa: S101  it was started with a pipe
    decompressor: Any = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(file, closefd=False) as plain:
            while piece := plain.read(_PIECE):
                size -= len(piece)
                if size < 0:
                    break
                target.write(piece)
    except zstandard.ZstdError as exc:
        raise ValueError(f"it cannot be decompressed: {exc}") from exc
    if size:
        raise ValueError("decompressed, it is not of the size that was sent")


def _unusable(store: Store, key: str, why: str) -> BackendFailed:
    folder = key.rpartition("/")[0]
    return BackendFailed(
        f"The snapshot cannot be restored: {store.name}/{key}: {why.rstrip('.')}.",
        hint="Submit the job again, which sends what is missing. If the same is said then, remove "
        f"{store.name}/{folder}/ and submit once more.",
    )
