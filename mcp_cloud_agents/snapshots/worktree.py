"""Finding the git worktree that a folder belongs to."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mcp_cloud_agents.domain.errors import AgentsError, NotAWorktree
from mcp_cloud_agents.domain.job import Origin
from mcp_cloud_agents.snapshots.git import (
    SAFE_CONFIG,
    Git,
    Running,
    config_files,
    failure,
    user_env,
)
from mcp_cloud_agents.snapshots.head import BRANCHES, Head, read_head
from mcp_cloud_agents.snapshots.kept import Kept, now

_HINT = "Pass the folder of a git worktree as `workspace`, or run `git init` there first."
_QUESTIONS = (
    "--is-bare-repository",
    "--is-inside-work-tree",
    "--absolute-git-dir",
    "--path-format=absolute",
    "--git-common-dir",
    "--show-toplevel",
)


def user_git(folder: str, env: dict[str, str]) -> Git:
    """Git that reads the user's own repository.

    `safe.directory` holds for these calls alone: worktrees of another uid (containers, shared
    checkouts) are read, and the commands used run neither hooks nor filters nor a file monitor.
    """
    return Git(folder, env, (*SAFE_CONFIG, ("safe.directory", "*")))


class Locator:
    """Finds worktrees; what git said of a folder is kept while nothing about it changed.

    Args:
        env: environment of the user's git.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._known: Kept[_Folders] = Kept()

    def locate(self, workspace: str) -> Origin:
        """The worktree that holds `workspace`.

        `dirty` is True until a snapshot was compared with HEAD: a worktree is never called clean
        without a look.

        Raises:
            NotAWorktree: no repository there, a bare one, or the path does not exist.
        """
        if not os.path.isdir(workspace) or not os.access(workspace, os.X_OK):
            raise NotAWorktree(f"{workspace} is not a folder that can be entered.", hint=_HINT)
        folders = self._known.get(workspace)
        head = read_head(folders.git_dir, folders.common_dir) if folders else None
        if folders is None or head is None:
            folders, head = self._ask(workspace)
        return Origin(
            workspace=folders.top,
            git_dir=folders.git_dir,
            common_dir=folders.common_dir,
            base_commit=head.commit,
            branch=head.branch,
            dirty=True,
            folder=_below(folders.top, workspace),
        )

    def _ask(self, workspace: str) -> tuple[_Folders, Head]:
        git = user_git(workspace, self._env)
        asked_at = now()
        with (
            git.start("rev-parse", "--verify", "-q", "HEAD^{commit}") as head,
            git.start("symbolic-ref", "-q", "HEAD") as name,
        ):
            folders = _folders(git, workspace)
            commit, ref = _answer(head), _answer(name)
        self._known.put(workspace, folders, self._files(workspace, folders), asked_at=asked_at)
        return folders, Head(commit, ref.removeprefix(BRANCHES) if ref else None)

    def _files(self, workspace: str, folders: _Folders) -> list[str]:
        """All that git looks at to find a repository (git-rev-parse(1), --show-toplevel)."""
        at: str = os.path.realpath(workspace)
        files = [workspace, *config_files(self._env, folders.git_dir, folders.common_dir)]
        while True:
            files += (os.path.join(at, ".git"), os.path.join(at, "HEAD"))
            if at in (folders.top, os.path.dirname(at)):
                return files
            at = os.path.dirname(at)


@dataclass(frozen=True, slots=True)
class _Folders:
    """Real paths."""

    git_dir: str
    common_dir: str
    top: str


def top_of(folder: str) -> str | None:
    """The top of the worktree that holds `folder`, or None where there is none."""
    try:
        return Locator(user_env()).locate(folder).workspace
    except AgentsError:
        return None


def _folders(git: Git, workspace: str) -> _Folders:
    out, err, code = git.start("rev-parse", *_QUESTIONS).finish()
    answers = out.split(b"\n")[:-1]
    if answers[:1] == [b"true"]:
        raise NotAWorktree(f"{workspace} is a bare repository: it has no files.", hint=_HINT)
    if answers[1:2] == [b"false"]:
        raise NotAWorktree(f"{workspace} is inside a git directory, not a worktree.", hint=_HINT)
    if code and b"not a git repository" in err:
        raise NotAWorktree(f"{workspace} is not in a git repository.", hint=_HINT)
    if code:
        raise failure("rev-parse", err)
    try:
        git_dir, common_dir, top = (os.path.realpath(path.decode()) for path in answers[2:])
    except ValueError:  # not UTF-8, or more lines than paths
        raise NotAWorktree(
            f"The path of {workspace!a} holds a line break or is not UTF-8.",
            hint="Move the worktree to a folder with a plain name.",
        ) from None
    return _Folders(git_dir, common_dir, top)


def _below(top: str, workspace: str) -> str:
    """Where `workspace` lies below the top, links resolved, as git sees it."""
    folder = os.path.relpath(os.path.realpath(workspace), top)
    return "" if folder == os.curdir else folder


def _answer(asked: Running) -> str | None:
    """One line, or None: no commit yet, or HEAD on no branch."""
    out, _, code = asked.finish()
    return None if code else out.decode("utf-8", "replace").strip()
