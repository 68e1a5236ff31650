"""Finding the git worktree that a folder belongs to."""

from __future__ import annotations

import os

from mcp_cloud_agents.domain.errors import AgentsError, NotAWorktree
from mcp_cloud_agents.domain.job import Origin
from mcp_cloud_agents.snapshots.git import SAFE_CONFIG, Git, Running, failure, user_env

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


def locate(workspace: str, env: dict[str, str]) -> Origin:
    """The worktree that holds `workspace`.

    `dirty` is True until a snapshot was compared with HEAD: a worktree is never called clean
    without a look.

    Raises:
        NotAWorktree: no repository there, a bare one, or the path does not exist.
    """
    if not os.path.isdir(workspace) or not os.access(workspace, os.X_OK):
        raise NotAWorktree(f"{workspace} is not a folder that can be entered.", hint=_HINT)
    git = user_git(workspace, env)
    with (
        git.start("rev-parse", "--verify", "-q", "HEAD^{commit}") as head,
        git.start("symbolic-ref", "-q", "--short", "HEAD") as name,
    ):
        git_dir, common_dir, top = _folders(git, workspace)
        commit, branch = _answer(head), _answer(name)
    return Origin(
        workspace=top,
        git_dir=git_dir,
        common_dir=common_dir,
        base_commit=commit,
        branch=branch,
        dirty=True,
    )


def top_of(folder: str) -> str | None:
    """The top of the worktree that holds `folder`, or None where there is none."""
    try:
        return locate(folder, user_env()).workspace
    except AgentsError:
        return None


def _folders(git: Git, workspace: str) -> tuple[str, str, str]:
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
    return git_dir, common_dir, top


def _answer(asked: Running) -> str | None:
    """One line, or None: no commit yet, or HEAD on no branch."""
    out, _, code = asked.finish()
    return None if code else out.decode("utf-8", "replace").strip()
