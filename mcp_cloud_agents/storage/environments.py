"""The folder of environments: built aside, complete or absent, locked while a job uses them.

environments/
  ready/<key>/          env/ (shown to jobs at /env) and ready.json, our mark, out of their reach
  building/<random>/    env/ and tree/ of a build that runs, or that died
  locks/<key>           shared: in use; exclusive: being built or removed; never unlinked
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from dataclasses import dataclass

from mcp_cloud_agents.storage.files import read_whole, storage_errors, sync_folder, write_durably
from mcp_cloud_agents.storage.trees import remove_tree

_KEY = re.compile(r"[0-9a-f]{64}")
_MARK = "ready.json"
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is known of a complete environment."""

    source: str
    built_at: float
    """Seconds since the epoch."""
    duration_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Folders of an environment that is being made."""

    folder: str
    env: str
    tree: str
    """Does not exist yet: whoever puts the tree there makes it."""
    lock: int
    """Held while the builder lives; a build without a holder is dead and is removed."""

    def abandon(self) -> None:
        """Remove what is left of it here: all when it failed, nothing when it was completed."""
        remove_tree(self.folder)
        os.close(self.lock)


class EnvironmentFolder:
    """Environments of one state folder.

    Args:
        path: the folder; made when it is missing.
        owner: user of the jobs when it is another one than ours (the server is root).
    """

    def __init__(self, path: str, *, owner: int | None = None) -> None:
        self.path = path
        self._owner = owner
        self._mode = 0o700 if owner is None else 0o711  # others pass through, but cannot list

    def open(self) -> None:
        """Make what is missing.

        Raises:
            StateUnusable: not writable.
            NoSpace: the disk is full.
        """
        with storage_errors(self.path):
            for name in ("ready", "building", "locks"):
                folder = os.path.join(self.path, name)
                os.makedirs(folder, exist_ok=True)
                os.chmod(folder, self._mode)

    def env(self, key: str) -> str:
        """The host folder that jobs see at `/env`."""
        return os.path.join(self._ready(key), "env")

    def mark(self, key: str) -> Mark | None:
        """The mark of a complete environment; None when there is none."""
        import msgspec

        data = read_whole(os.path.join(self._ready(key), _MARK))
        try:
            return msgspec.json.decode(data, type=Mark) if data is not None else None
        except msgspec.MsgspecError:
            return None

    def try_lock(self, key: str, *, exclusive: bool) -> int | None:
        """A descriptor that holds the lock until it is closed; None when others are in the way."""
        path = os.path.join(self.path, "locks", _checked(key))
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if relock(fd, exclusive=exclusive):
            return fd
        os.close(fd)
        return None

    def begin(self) -> Build:
        """Folders for a new build, the environment empty and owned by the jobs' user."""
        building = os.path.join(self.path, "building")
        while True:  # a clean-up may take a folder in the moment before it is locked
            folder = tempfile.mkdtemp(dir=building)
            if (lock := _lock_build(folder)) is not None:
                break
        os.chmod(folder, self._mode)
        env = os.path.join(folder, "env")
        self.make(env)
        return Build(folder=folder, env=env, tree=os.path.join(folder, "tree"), lock=lock)

    def make(self, folder: str) -> None:
        """An empty folder that belongs to the jobs' user."""
        os.mkdir(folder, 0o700)
        if self._owner is not None:
            os.chown(folder, self._owner, self._owner)

    def complete(self, key: str, build: Build, mark: Mark) -> None:
        """Let the build become the environment; the caller holds the exclusive lock.

        The mark is on the disk before the name appears, so a name without a mark never counts.
        """
        import msgspec

        remove_tree(build.tree)
        target = self._ready(key)
        remove_tree(target)  # what is there has no readable mark
        write_durably(os.path.join(build.folder, _MARK), msgspec.json.encode(mark))
        os.rename(build.folder, target)
        sync_folder(os.path.dirname(target))

    def touch(self, key: str) -> None:
        """Remember that the environment was used now."""
        os.utime(os.path.join(self._ready(key), _MARK))

    def prune(self, *, keep_days: float, keep_gib: float, now: float) -> tuple[str, ...]:
        """Remove what was not used for long, then the longest unused over the size; never in use.

        Args:
            keep_days: age of the last use.
            keep_gib: size of all that stays.
            now: seconds since the epoch.

        Returns:
            Keys of the environments that were removed.
        """
        self._remove_dead_builds()
        known = sorted(self._used(), reverse=True)  # latest use first
        room, removed = keep_gib * (1 << 30), list[str]()
        for used_at, key, size_bytes in known:
            room -= size_bytes
            if (room < 0 or now - used_at > keep_days * _DAY_S) and self._remove(key):
                removed.append(key)
        return tuple(removed)

    def _ready(self, key: str) -> str:
        return os.path.join(self.path, "ready", _checked(key))

    def _used(self) -> list[tuple[float, str, int]]:
        found: list[tuple[float, str, int]] = []
        for key in os.listdir(os.path.join(self.path, "ready")):
            if not _KEY.fullmatch(key):
                continue
            mark = self.mark(key)
            if mark is None:
                found.append((0.0, key, 0))
                continue
            used_at = os.stat(os.path.join(self._ready(key), _MARK)).st_mtime
            found.append((used_at, key, mark.size_bytes))
        return found

    def _remove(self, key: str) -> bool:
        lock = self.try_lock(key, exclusive=True)
        if lock is None:
            return False
        try:
            aside = tempfile.mkdtemp(dir=os.path.join(self.path, "building"))
            os.rename(self._ready(key), os.path.join(aside, "removed"))
        finally:
            os.close(lock)
        remove_tree(aside)
        return True

    def _remove_dead_builds(self) -> None:
        """Builds whose builder is gone: each builder holds a lock on its own folder."""
        building = os.path.join(self.path, "building")
        for name in os.listdir(building):
            folder = os.path.join(building, name)
            if (held := _lock_build(folder)) is not None:
                remove_tree(folder)
                os.close(held)


def _lock_build(folder: str) -> int | None:
    """Hold a build's folder; None when its builder lives, or when it is gone."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if relock(fd, exclusive=True) and os.path.isdir(folder):
        return fd
    os.close(fd)
    return None


def relock(fd: int, *, exclusive: bool) -> bool:
    """Take or change a lock without waiting; on False nothing is held any more."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"no key of an environment: {key[:80]!r}")
    return key
