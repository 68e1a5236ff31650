"""Folders of untrusted content, looked at and removed: no link followed, any mode, any depth."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_REMOVE_TIMEOUT_S = 120


def remove_tree(folder: str) -> None:
    """Remove a folder of untrusted content, whatever its permissions and depth.

    Nobody may be writing to it. What cannot be removed even so stays; `prune` comes again.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):  # folders without permissions, or nested past the limit
        for program in (("/bin/chmod", "-R", "u+rwX"), ("/bin/rm", "-rf")):
            _run_quietly(program, folder)


def _run_quietly(program: Sequence[str], folder: str) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [*program, "--", folder],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_REMOVE_TIMEOUT_S,
        )


def is_plain_folder(top: str, relative: str) -> bool:
    """Whether `relative` leads from `top` through real folders, without any symbolic link."""
    path = top
    for name in relative.split("/"):
        path = os.path.join(path, name)
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return False
        if name in ("", ".", "..") or not stat.S_ISDIR(mode):
            return False
    return True


def size_of(folder: str) -> int:
    """Bytes on disk below `folder`; links are not followed, what cannot be read counts nothing."""
    total, todo = 0, [folder]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except OSError:
            continue
    return total
