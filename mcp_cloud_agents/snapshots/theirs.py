"""What the user's repository says about its tree: index, ignore files, the options that matter."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_cloud_agents.snapshots.git import config_files, failure
from mcp_cloud_agents.snapshots.kept import Kept, now
from mcp_cloud_agents.snapshots.listing import LISTING, fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp_cloud_agents.domain.job import Origin
    from mcp_cloud_agents.snapshots.git import Git, Running
    from mcp_cloud_agents.snapshots.screen import ScreenRules

    _Options = Mapping[bytes, bytes]
    _Head = tuple[str, str | None]

_OPTIONS = r"^(core\.(excludesfile|filemode)|include(if\..*)?\.path)$"
_MAX_RULES_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Theirs:
    """What the user's repository says, read once."""

    index: Index
    object_format: str
    head_tree: str | None
    excludes: bytes
    """Content of the user's own ignore file (core.excludesFile)."""
    exclude: bytes
    """Content of info/exclude."""
    file_mode: bool
    """Whether the exec bit on disk means anything."""

    def fingerprint(self, rules: ScreenRules) -> str:
        """sha256 of all that decides the snapshot besides the files themselves."""
        digest = hashlib.sha256(repr((rules, self.file_mode)).encode())
        for part in (self.index.digest, self.exclude, self.excludes):
            digest.update(b"%d\n" % len(part) + part)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Index:
    """The user's index."""

    listing: bytes = field(repr=False)
    """Output of `ls-files -s -t -z`."""
    digest: bytes
    """sha256 of it."""


class TheirReader:
    """Asks the user's git, with the user's configuration; nothing is written.

    What git answered is kept while the files it came from stay the same: a process costs more
    than a look at them.

    Args:
        env: environment of the user's git.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._indexes: Kept[Index] = Kept()
        self._options: Kept[_Options] = Kept()
        self._heads: Kept[_Head] = Kept()

    def read(self, user: Git, origin: Origin) -> Theirs:
        """Read it all.

        Args:
            user: git at the top of the worktree.
            origin: the worktree.
        """
        with ExitStack() as started:  # side by side
            asked_index = self._index(user, origin, started)
            asked_options = self._options_of(user, origin, started)
            asked_head = self._head(user, origin, started)
            index, options, head = asked_index(), asked_options(), asked_head()
        default = os.path.join(self._env["XDG_CONFIG_HOME"], "git", "ignore")
        named = os.fsdecode(options.get(b"core.excludesfile", os.fsencode(default)))
        return Theirs(
            index=index,
            object_format=head[0],
            head_tree=head[1],
            excludes=_content(os.path.join(origin.workspace, named)),
            exclude=_content(os.path.join(origin.common_dir, "info", "exclude")),
            file_mode=options.get(b"core.filemode", b"true").lower() not in _NO,
        )

    def _index(self, user: Git, origin: Origin, started: ExitStack) -> Callable[[], Index]:
        known = self._indexes.get(origin.git_dir)
        if known is not None:
            return lambda: known
        asked_at = now()
        running = started.enter_context(user.start(*LISTING))

        def finish() -> Index:
            listing = running.output(strict=True)
            index = Index(listing, hashlib.sha256(listing).digest())
            files = (os.path.join(origin.git_dir, "index"),)
            return self._indexes.put(origin.git_dir, index, files, asked_at=asked_at)

        return finish

    def _options_of(self, user: Git, origin: Origin, started: ExitStack) -> Callable[[], _Options]:
        known = self._options.get(origin.git_dir)
        if known is not None:
            return lambda: known
        asked_at = now()
        asking = user.start("config", "-z", "--type=path", "--get-regexp", _OPTIONS)
        running = started.enter_context(asking)

        def finish() -> _Options:
            out, _, _ = running.finish()
            options = dict(record.split(b"\n", 1) for record in fields(out) if b"\n" in record)
            if any(key.startswith(b"include") for key in options):  # then it stands in more files
                return options
            files = config_files(self._env, origin.git_dir, origin.common_dir)
            return self._options.put(origin.git_dir, options, files, asked_at=asked_at)

        return finish

    def _head(self, user: Git, origin: Origin, started: ExitStack) -> Callable[[], _Head]:
        where = f"{origin.git_dir}\0{origin.base_commit}"
        known = self._heads.get(where)
        if known is not None:
            return lambda: known
        rev = () if origin.base_commit is None else (f"{origin.base_commit}^{{tree}}",)
        running = started.enter_context(user.start("rev-parse", "--show-object-format", *rev))
        return lambda: self._heads.put(where, _head(running), (), asked_at=now())


def _head(asked: Running) -> _Head:
    """Object format, and the tree of HEAD unless its commit is missing."""
    out, err, code = asked.finish()
    object_format, *tree = out.decode().split()[:2] or [""]
    if not object_format:
        raise failure("rev-parse", err)
    return object_format, tree[0] if tree and not code else None


_NO = frozenset({b"false", b"no", b"off", b"0"})


def _content(path: str) -> bytes:
    """Content of a file of the user, which may be a link (dotfiles often are), or not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us
    except OSError:
        return b""
    try:
        return _all_of(fd) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _all_of(fd: int) -> bytes:
    with os.fdopen(fd, "rb", closefd=False) as file:
        return file.read(_MAX_RULES_BYTES)
