"""Our own object stores, one a repository: what jobs restore from, whatever the user does to his.

repositories/
  ids/<sha256 of common dir and object format>    the repository's random id
  <id>.git/                                       a bare repository, complete in itself
    refs/snapshots/<commit>                       keeps one snapshot
    latest                                        the last commit sent, to base a thin pack on
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.snapshots.git import (
    PRIVATE_CONFIG,
    RAW_ATTRIBUTES,
    Git,
    private_env,
)
from mcp_cloud_agents.snapshots.pack_file import pack_file
from mcp_cloud_agents.snapshots.pack_index import in_packs
from mcp_cloud_agents.storage.files import (
    read_whole,
    replace_quickly,
    storage_errors,
    sync_folder,
    write_durably,
)
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from mcp_cloud_agents.snapshots.pack_file import NewObject

_MAX_PACKS = 50
_CHUNK = 1 << 16
_ID = re.compile(r"[0-9a-f]{32}")
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Repository:
    """One object store, open for use."""

    id: str
    path: str
    git: Git

    @property
    def objects(self) -> str:
        """Its object folder, as an alternate for others."""
        return os.path.join(self.path, "objects")

    @property
    def packs(self) -> str:
        """The folder of its packs: all of its objects are in packs."""
        return os.path.join(self.objects, "pack")

    def has(self, commit: str) -> bool:
        """Whether the snapshot was stored completely: its ref is written last."""
        return self._has_ref(commit) and in_packs(self.packs, bytes.fromhex(commit))

    def _has_ref(self, commit: str) -> bool:
        if os.path.isfile(os.path.join(self.path, *_ref(commit).split("/"))):
            return True
        packed = read_whole(os.path.join(self.path, "packed-refs")) or b""
        return b" %s\n" % _ref(commit).encode() in packed

    def receive(self, objects: Sequence[NewObject], *, commit: str, object_format: str) -> int:
        """Store a few objects, durably; the caller holds the writer's lock.

        Args:
            objects: what makes the snapshot of those that are here, the commit included.
            commit: the snapshot.
            object_format: of the repository.

        Returns:
            Bytes of the thin pack that carries them; 0 when the commit was there.
        """
        if self.has(commit):
            return 0
        pack = pack_file(object_format, objects)
        path = os.path.join(self.packs, f"pack-{pack.name}")
        mode = 0o444 & ~self.git.umask
        with storage_errors(self.path):
            write_durably(f"{path}.pack", pack.whole, mode=mode)
            write_durably(f"{path}.idx", pack.index, mode=mode)
            ref = os.path.join(self.path, *_ref(commit).split("/"))
            write_durably(ref, f"{commit}\n".encode(), mode=0o666 & ~self.git.umask)
        self.remember_latest(commit)
        return len(pack.thin)

    def remember_latest(self, commit: str) -> None:
        """The next thin pack can be based on this commit."""
        replace_quickly(os.path.join(self.path, "latest"), commit.encode())


class Stores:
    """All object stores below one folder.

    Args:
        folder: `repositories/` of the state folder.
        shared: whether jobs run under another uid, who must be able to read (the server is root).
            Names are random, and the folder is not listable for others.
    """

    def __init__(self, folder: str, *, shared: bool) -> None:
        self._folder = folder
        self._mode = 0o711 if shared else 0o700
        self._umask = 0o022 if shared else 0o077

    def get(self, repository: str) -> Repository:
        """The store with this id.

        Raises:
            BackendFailed: there is none (cleaned up).
        """
        path = self._path(repository)
        if not _ID.fullmatch(repository) or not os.path.isdir(path):
            raise BackendFailed(
                f"The snapshot store {repository} is gone.", hint="Submit the job again."
            )
        return self._open(repository)

    def of(self, common_dir: str, object_format: str) -> Repository:
        """The store of a repository of the user, made when there is none."""
        named = hashlib.sha256(os.fsencode(common_dir) + b"\0" + object_format.encode())
        path = os.path.join(self._folder, "ids", named.hexdigest()[:32])
        known = read_whole(path, limit=64)
        if known is not None and os.path.isdir(self._path(known.decode())):
            return self._open(known.decode())
        self._make(os.path.dirname(path), 0o700)
        with locked(f"{path}.lock"):
            known = read_whole(path, limit=64)
            found = secrets.token_hex(16) if known is None else known.decode()
            self._create(found, object_format)
            write_durably(path, found.encode())
        return self._open(found)

    @contextmanager
    def writing(self, repository: Repository) -> Generator[None]:
        """One writer at a time."""
        with locked(os.path.join(self._folder, "ids", f"{repository.id}.lock")):
            yield

    def _create(self, repository: str, object_format: str) -> None:
        path = self._path(repository)
        if os.path.isdir(path):
            return
        new = f"{path}.new.{secrets.token_hex(4)}"
        git = Git(self._folder, private_env(new), PRIVATE_CONFIG, self._umask)
        form = f"--object-format={object_format}"
        git.run("init", "-q", "--bare", "--template=", form, new)
        for name in ("info", "refs/snapshots"):
            os.makedirs(os.path.join(new, name), exist_ok=True)
        replace_quickly(os.path.join(new, "info", "attributes"), RAW_ATTRIBUTES.encode())
        os.rename(new, path)
        sync_folder(self._folder)

    def _make(self, folder: str, mode: int) -> None:
        if not os.path.isdir(self._folder):
            os.makedirs(self._folder, exist_ok=True)
            os.chmod(self._folder, self._mode)
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=mode, exist_ok=True)

    def _path(self, repository: str) -> str:
        return os.path.join(self._folder, f"{repository}.git")

    def _open(self, repository: str) -> Repository:
        path = self._path(repository)
        config = (*PRIVATE_CONFIG, ("core.fsync", "all"))
        return Repository(repository, path, Git(path, private_env(path), config, self._umask))


def send(sender: Git, repository: Repository, *, tree: str, commit: str, full: bool) -> int:
    """Carry one commit into the store, durably; the caller holds the writer's lock.

    A thin pack needs a carrier: between two commits without parents git finds no edge and packs
    everything (23 MB instead of 550 bytes), so a throw-away child of the last one sent goes along.

    Args:
        sender: git on the private git dir that has the commit.
        repository: where to.
        tree: the commit's tree.
        commit: the snapshot.
        full: base it on nothing that was sent before.

    Returns:
        Bytes of the pack stream; 0 when the commit was there.
    """
    if repository.has(commit):
        return 0
    carrier = None if full else _carrier(sender, repository, tree)
    if carrier is None:
        size = _carry(sender, repository, _revisions(commit), ("--window=0",))
    else:
        revisions = _revisions(carrier.commit, commit, f"^{carrier.base}")
        size = _carry(sender, repository, revisions, ("--thin", "--delta-base-offset"))
    repository.git.run("update-ref", _ref(commit), commit)
    sync_folder(repository.packs)
    sync_folder(os.path.join(repository.path, "refs", "snapshots"))
    repository.remember_latest(commit)
    return size


def compact(repository: Repository) -> bool:
    """Make one pack of many, keeping every snapshot; whether it was time to.

    Readers that had an old pack open look again when it is gone; git does so by itself.
    """
    packs = os.listdir(repository.packs)
    if sum(name.endswith(".pack") for name in packs) <= _MAX_PACKS:
        return False
    repository.git.run("repack", "-a", "-d", "-q", "--window=0")
    repository.git.run("pack-refs", "--all")
    return True


@dataclass(frozen=True, slots=True)
class _Carrier:
    """A throw-away commit and its parent, which was sent before."""

    base: str
    commit: str


def _ref(commit: str) -> str:
    return f"refs/snapshots/{commit}"


def _revisions(*names: str) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _carrier(sender: Git, repository: Repository, tree: str) -> _Carrier | None:
    """A child of the last commit sent, when both sides still have that one."""
    base = (read_whole(os.path.join(repository.path, "latest"), limit=128) or b"").decode()
    if not _OBJECT.fullmatch(base) or not repository.has(base):
        return None
    with (  # side by side: most of a small send is the start of processes
        sender.start("cat-file", "-e", f"{base}^{{tree}}") as here,
        sender.start("commit-tree", tree, "-m", "carrier", "-p", base) as child,
    ):
        commit, _, failed = child.finish()
        if failed or not here.said_yes():
            return None
    return _Carrier(base, commit.decode().strip())


def _carry(sender: Git, repository: Repository, revisions: bytes, options: tuple[str, ...]) -> int:
    """Pack on one side, index on the other; the bytes that went between."""
    with tempfile.TemporaryFile(dir=repository.path) as pack:
        packing = ("pack-objects", "--revs", "--stdout", "-q", *options)
        sender.start(*packing, stdout=pack.fileno()).output(revisions)
        size = os.fstat(pack.fileno()).st_size
        os.lseek(pack.fileno(), 0, os.SEEK_SET)
        repository.git.start("index-pack", "--stdin", "--fix-thin", stdin=pack.fileno()).output()
        return size
