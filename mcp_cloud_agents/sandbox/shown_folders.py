"""Showing folders at fixed paths where nothing can be mounted: they are moved there for a while.

    /workspace -> /scratch/inside/workspace     a link of the image, the same for every command
    <host folder of a bind>                      renamed to /scratch/inside/workspace, and back

So a command finds its tree under one real path whatever host folder it is kept in (a virtual
environment holds absolute paths), and what is not shown stays below folders it cannot enter. What
lies outside of the worker's scratch folder is never moved: a link leads to it.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.storage.files import replace_quickly
from mcp_cloud_agents.storage.trees import remove_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Bind

TOPS = ("env", "git", "pack", "report", "store", "tools", "workspace")
PRIVATE = {"home": "/home/agent", "tmp": "/tmp"}  # noqa: S108  links of the image, like the others
"""Folders that each command gets anew."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Moved:
    """A folder that is away from where it is kept."""

    host: str
    real: str
    linked: bool
    """Whether a link at `host` leads to it meanwhile."""


class ShownFolders:
    """What one command sees beside the image.

    Args:
        inside: the folder that the image's links lead into; root's.
        scratch: the worker's folder; what lies in it may be moved.
        owner: the jobs' user.
    """

    def __init__(self, inside: str, scratch: str, owner: int) -> None:
        self._inside = inside
        self._scratch = os.path.join(scratch, "")
        self._owner = owner
        self._moved: list[_Moved] = []
        self._journal = f"{os.path.normpath(inside)}.moved"
        """What is away, for who comes after a process that was killed."""

    def show(self, binds: Sequence[Bind]) -> None:
        """Make the binds be there, in their order, and the private folders, empty.

        Raises:
            IsolationUnavailable: a bind has no place here, or nothing is at its host path.
        """
        self.recover()
        os.makedirs(self._inside, exist_ok=True)
        os.chmod(self._inside, 0o755)  # noqa: S103  what is shown is to be seen, whatever the umask
        try:
            for name in PRIVATE:
                self._fresh(name)
            for bind in binds:
                self._show(bind)
        except OSError as exc:
            self.hide()
            raise _refused(f"{exc.filename or ''}: {exc.strerror}") from exc
        except BaseException:
            self.hide()
            raise

    def hide(self) -> None:
        """Bring everything back; no process of the command is left."""
        while self._moved:
            self._bring_back(self._moved.pop())
        for name in os.listdir(self._inside):
            path = os.path.join(self._inside, name)
            if os.path.islink(path):
                os.unlink(path)
            else:
                remove_tree(path)
        if os.path.lexists(self._journal):
            os.unlink(self._journal)

    def left_by_another(self) -> bool:
        """Whether a process was killed while it showed something."""
        return not self._moved and os.path.lexists(self._journal)

    def recover(self) -> None:
        """Bring back what a process moved that was killed; no process of its command is left."""
        if not self.left_by_another():
            return
        with open(self._journal, "rb") as file:
            self._moved = [_Moved(*one) for one in json.load(file)]
        self.hide()

    def real(self, inside: str) -> str:
        """The path a command's kernel calls may name: behind the image's links.

        Raises:
            IsolationUnavailable: nothing can be shown at this path.
        """
        _, top, *rest = inside.split("/") if inside.startswith("/") else ("", "", "")
        if top not in TOPS or any(name in ("", ".", "..") for name in rest):
            raise _refused(f"nothing can be shown at {inside}, only below {', '.join(TOPS)}")
        return os.path.join(self._inside, top, *rest)

    def _show(self, bind: Bind) -> None:
        if bind.host == bind.inside:  # part of the image, such as a toolchain
            os.stat(bind.host)
            return
        real, host = self.real(bind.inside), self._where(bind.host)
        if host.startswith(self._scratch) and not os.path.islink(host):
            self._move(host, real)
        elif bind.writable:
            raise _refused(f"{bind.host} is outside of the worker's folder {self._scratch}")
        else:
            os.stat(host)
            with _Parent(self._inside, real) as parent:
                os.symlink(host, os.path.basename(real), dir_fd=parent)

    def _where(self, host: str) -> str:
        """Where a host path is now that folders above it may have been moved."""
        for moved in reversed(self._moved):
            if host.startswith(f"{moved.host}/"):
                return moved.real + host.removeprefix(moved.host)
        return host

    def _move(self, host: str, real: str) -> None:
        kept, name = os.path.basename(host), os.path.basename(real)
        linked = not host.startswith(os.path.join(self._inside, ""))
        away = _Moved(host, real, linked)
        known = [astuple(one) for one in (*self._moved, away)]
        replace_quickly(self._journal, json.dumps(known).encode())
        with (
            _Parent(self._root_of(host), host) as source,
            _Parent(self._inside, real) as target,
        ):
            os.rename(kept, name, src_dir_fd=source, dst_dir_fd=target)
        self._moved.append(away)
        if linked:  # who watches the folder's growth finds it
            os.symlink(real, host)

    def _bring_back(self, moved: _Moved) -> None:
        """Only a folder or file comes back: what a command put in its place is left and removed."""
        if moved.linked and os.path.islink(moved.host):
            os.unlink(moved.host)
        elif os.path.lexists(moved.host):
            return  # killed before it was moved
        try:
            with (
                _Parent(self._inside, moved.real) as source,
                _Parent(self._root_of(moved.host), moved.host) as target,
            ):
                name, kept = os.path.basename(moved.real), os.path.basename(moved.host)
                mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                    os.rename(name, kept, src_dir_fd=source, dst_dir_fd=target)
        except OSError:
            return  # the command took it away: whoever looks for it finds nothing

    def _root_of(self, host: str) -> str:
        inside = os.path.join(self._inside, "")
        return self._inside if host.startswith(inside) else os.path.dirname(host)

    def _fresh(self, name: str) -> None:
        path = os.path.join(self._inside, name)
        remove_tree(path)
        os.mkdir(path, 0o700)
        os.chown(path, self._owner, self._owner)


class _Parent:
    """Descriptor of the folder above a path, missing ones made, no link on the way followed.

    Below the first name the folders may be the command's own tree.
    """

    def __init__(self, root: str, path: str) -> None:
        self._root = root
        relative = os.path.relpath(os.path.dirname(path), root)
        self._names = [] if relative == "." else relative.split("/")
        self._fd = -1

    def __enter__(self) -> int:
        self._fd = os.open(self._root, _FOLDER)
        for name in self._names:
            made_by = os.fstat(self._fd).st_uid
            try:
                step = os.open(name, _FOLDER, dir_fd=self._fd)
            except FileNotFoundError:
                os.mkdir(name, dir_fd=self._fd)
                step = os.open(name, _FOLDER, dir_fd=self._fd)
                os.fchown(step, made_by, made_by)
                os.fchmod(step, 0o755)
            except BaseException:
                os.close(self._fd)
                raise
            os.close(self._fd)
            self._fd = step
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _refused(why: str) -> IsolationUnavailable:
    return IsolationUnavailable(
        f"The container cannot show what the job needs: {why}.",
        hint="Use the worker image of this version (docs/worker-image.md), and toolchains in it.",
    )
