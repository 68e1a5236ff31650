"""Which host folders another user can reach."""

from __future__ import annotations

import os
import stat


def barred(path: str, uid: int) -> str | None:
    """The first folder on the way to `path` that user `uid` cannot enter, the last included."""
    folder = "/"
    for name in ("", *path.strip("/").split("/")):
        folder = os.path.join(folder, name)
        try:
            status = os.stat(folder)
        except OSError:
            return folder
        needed = stat.S_IXUSR if status.st_uid == uid else stat.S_IXOTH
        if not status.st_mode & needed:
            return folder
    return None


def within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it, by name."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
