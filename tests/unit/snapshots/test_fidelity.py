"""Random trees there and back: what a job gets is the worktree, byte for byte."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.worker.boxed_git import BoxedGit
from mcp_cloud_agents.worker.restore import restore

if TYPE_CHECKING:
    from collections.abc import Generator

    from conftest import Worktree

    from mcp_cloud_agents.domain.job import Snapshot

JOB_UID = 62_000 if os.geteuid() == 0 else None
_PARTS = [
    b"a",
    b"b",
    b"dir",
    b"new\nline",
    b"sp ace",
    "ü".encode(),
    b"bad\xff\xfe",
    b"-x",
    b'"q"',
    b"*",
]
_paths = st.lists(st.sampled_from(_PARTS), min_size=1, max_size=3).map(b"/".join)
_contents = st.one_of(
    st.sampled_from([b"", b"text\n", b"crlf\r\n", b"\x00\xff binary", b"x" * 70_000]),
    st.binary(max_size=50),
)


@dataclass(frozen=True)
class Write:
    """Put a file there."""

    path: bytes
    data: bytes
    executable: bool


@dataclass(frozen=True)
class Link:
    """Put a symbolic link there."""

    path: bytes
    target: bytes


@dataclass(frozen=True)
class Remove:
    """Remove what is there."""

    path: bytes


@dataclass(frozen=True)
class Rename:
    """Move what is there."""

    path: bytes
    to: bytes


@dataclass(frozen=True)
class Git:
    """Something a person does to the index."""

    args: tuple[str, ...]


_steps = st.one_of(
    st.builds(Write, _paths, _contents, st.booleans()),
    st.builds(Link, _paths, st.sampled_from([b"nowhere", b"a", b"../a", b"dir", b"/etc/hosts"])),
    st.builds(Remove, _paths),
    st.builds(Rename, _paths, _paths),
    st.sampled_from([Git(("add", "-A")), Git(("add", "-u")), Git(("reset", "-q"))]),
)
_Step = Write | Link | Remove | Rename | Git


def do(repo: Worktree, step: _Step) -> None:
    top = os.fsencode(repo.top)
    with suppress(OSError):  # a path below a file, a folder moved into itself: nothing happens
        match step:
            case Write(path, data, executable):
                target = clear(top, path)
                with open(target, "wb") as file:
                    file.write(data)
                os.chmod(target, 0o755 if executable else 0o644)
            case Link(path, to):
                os.symlink(to, clear(top, path))
            case Remove(path):
                clear(top, path)
            case Rename(path, to):
                os.rename(os.path.join(top, path), os.path.join(top, to))
            case Git(args):
                repo.git(*args)


def clear(top: bytes, path: bytes) -> bytes:
    """Remove what is at the path, make its folders; never outside of the worktree."""
    target = os.path.join(top, path)
    parent = os.path.dirname(target)
    os.makedirs(parent, exist_ok=True)
    if not os.path.realpath(parent).startswith(top):
        raise NotADirectoryError
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    elif os.path.lexists(target):
        os.unlink(target)
    return target


def files_of(top: Path) -> dict[bytes, tuple[str, bytes]]:
    """Every file and link below a folder, the git dir excepted."""
    found: dict[bytes, tuple[str, bytes]] = {}
    root = os.fsencode(top)
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name != b".git"]
        for name in (*files, *names):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[os.path.relpath(path, root)] = ("link", os.readlink(path))
            elif stat.S_ISREG(mode):
                kind = "executable" if mode & stat.S_IXUSR else "file"
                found[os.path.relpath(path, root)] = (kind, Path(os.fsdecode(path)).read_bytes())
    return found


@contextmanager
def fresh_folder() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mca-test-")).resolve()
    folder.chmod(0o711)
    (folder / "state").mkdir(mode=0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restored(repo: Worktree, snapshot: Snapshot, name: str) -> dict[bytes, tuple[str, bytes]]:
    job = repo.state.parent / name
    job.mkdir(mode=0o711)
    git = BoxedGit(
        sandbox=Bubblewrap(),
        git_dir=str(job / "git"),
        store=str(repo.state / "repositories" / f"{snapshot.repository}.git"),
        workspace=str(job / "workspace"),
        owner=JOB_UID,
    )
    restore(git, snapshot)
    return files_of(job / "workspace")


@pytest.mark.slow
@settings(max_examples=30, deadline=None, database=None, derandomize=True)
@given(
    base=st.lists(_steps, max_size=8),
    before=st.lists(_steps, max_size=8),
    after=st.lists(_steps, min_size=1, max_size=8),
)
def test_any_tree_comes_back_byte_for_byte(
    new_worktree: type[Worktree], base: list[_Step], before: list[_Step], after: list[_Step]
) -> None:
    with fresh_folder() as folder:
        repo = new_worktree(folder)
        for step in base:
            do(repo, step)
        repo.commit({})
        for turn, steps in enumerate((before, after)):
            for step in steps:
                do(repo, step)
            snapshot, there = repo.take(), files_of(repo.top)
            assert restored(repo, snapshot, f"job{turn}") == there
            assert snapshot.files == len(there)
            cold = repo.snapshots(state=f"cold{turn}")
            assert cold.take(cold.locate(str(repo.top))).tree == snapshot.tree
