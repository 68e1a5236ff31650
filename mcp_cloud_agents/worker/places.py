"""Where one job's things are on this machine, and the folders it gets for its run."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from mcp_cloud_agents.worker.collect_files import NotKept, open_inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Host paths a worker works with."""

    job: str
    repositories: str
    environments: str
    uv: str
    """The uv program."""
    owner: int | None
    """Uid that sandboxed commands have on the host; None: the worker's own."""
    setup_env: tuple[tuple[str, str], ...] = ()
    breakers: str = ""
    """Folder of what is remembered of models that fail; empty: nothing is."""
    tree: str = "/workspace"
    """Real path of the tree as commands see it: where reports say that files are."""

    def path(self, name: str) -> str:
        """Something in the job's folder."""
        return os.path.join(self.job, name)

    def store(self, repository: str) -> str:
        """The object store of a repository."""
        return os.path.join(self.repositories, f"{repository}.git")

    def make_report_folder(self) -> int:
        """The folder that the run may write its report to; the descriptor to read it by."""
        path = self.path("report")
        os.mkdir(path, 0o700)
        if self.owner is not None:
            os.chown(path, self.owner, self.owner)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def copy_tool(self, source: str, name: str) -> str:
        """A folder of ours where the jobs' user can read it, wherever we are installed."""
        target = self.path(os.path.join("tools", name))
        if os.path.isdir(target):  # by an earlier run of the same job
            return target
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        for folder, _, files in os.walk(self.path("tools")):
            os.chmod(folder, 0o755)  # noqa: S103  programs of ours, no secrets: jobs read them
            for file in files:
                os.chmod(os.path.join(folder, file), 0o644)
        return target


class ReportFolder:
    """What a run wrote, read as hostile data: no link is followed, no size is trusted."""

    def __init__(self, root: int) -> None:
        self.root = root

    def read(self, name: str, limit: int, offset: int = 0) -> bytes | None:
        """At most `limit` bytes of a regular file; None when there is none that may be read."""
        try:
            fd = open_inside(self.root, name)
        except (OSError, NotKept):
            return None
        try:
            return os.pread(fd, limit, offset)
        finally:
            os.close(fd)
