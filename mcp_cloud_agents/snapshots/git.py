"""Running git: an environment of our own, a configuration that runs no foreign code, one error map.

Nothing of the caller's environment reaches git: an inherited GIT_DIR or GIT_INDEX_FILE would
redirect every command to another repository.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from subprocess import PIPE

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed, NoSpace, UnreadableTree

TIMEOUT_S = 600.0
"""No git command of ours takes longer, not even the first pack of a large tree on a slow disk."""

PATIENCE_S = 3.0
"""After this long we look for what may hold git up."""

RAW_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding !diff !merge\n"
"""For info/attributes, which outranks every .gitattributes: bytes stay as they are on disk."""

SAFE_CONFIG: tuple[tuple[str, str], ...] = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("protocol.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)
PRIVATE_CONFIG: tuple[tuple[str, str], ...] = (
    *SAFE_CONFIG,
    ("core.attributesFile", "/dev/null"),
    # 200 MB of random bytes: 3 s like this, 14 s with zlib
    ("core.compression", "0"),
    ("core.bigFileThreshold", "16m"),
)
_RULES = frozenset({".gitignore", ".gitattributes"})
_AUTHOR = {
    f"GIT_{who}_{key}": value
    for who in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "snapshot"), ("EMAIL", "snapshot@invalid"), ("DATE", "@0 +0000"))
}
_PRIVATE = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


class GitTooSlow(BackendFailed):
    """A git command took longer than any should; it would again."""


class TreeMoved(UnreadableTree):
    """A file changed while it was read; a second look usually helps."""


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git commands in one folder, under one environment."""

    cwd: str
    env: Mapping[str, str]
    config: tuple[tuple[str, str], ...] = SAFE_CONFIG
    umask: int = 0o077
    owner: tuple[int, int] | None = None
    """The uid and gid that it runs as, which only root can choose; None: this process's."""

    def run(self, *args: str, stdin: bytes = b"", strict: bool = False) -> bytes:
        """Standard output of a command that must succeed.

        Args:
            args: the git command line after `git`.
            stdin: bytes for its standard input.
            strict: take any word on stderr for a failure; `ls-files` skips what it cannot read
                with no more than a warning.

        Raises:
            NoSpace, UnreadableTree, BackendFailed: what its messages mean.
        """
        return self.start(*args).output(stdin, strict=strict)

    def start(self, *args: str, stdin: int = PIPE, stdout: int = PIPE) -> Running:
        """Start a command, to run beside others; finish it, or leave it by `with`."""
        options = [part for key, value in self.config for part in ("-c", f"{key}={value}")]
        uid, gid = self.owner or (None, None)
        process = subprocess.Popen(
            [git_program(), *options, *args],
            cwd=self.cwd,
            env=dict(self.env),
            umask=self.umask,
            user=uid,
            group=gid,
            extra_groups=None if gid is None else [],
            stdin=stdin,
            stdout=stdout,
            stderr=PIPE,
        )
        return Running(args[0], self.cwd, process)


@dataclass(frozen=True, slots=True)
class Running:
    """A git command that was started."""

    verb: str
    cwd: str
    process: subprocess.Popen[bytes] = field(repr=False)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:  # something else failed first
            self.process.kill()
            self.process.communicate()

    def finish(self, stdin: bytes = b"") -> tuple[bytes, bytes, int]:
        """Feed it, wait for it; stdout, stderr and the exit code."""
        given = stdin if self.process.stdin else None
        try:
            out, err = self._communicate(given)
        except subprocess.TimeoutExpired as exc:
            self.process.kill()
            self.process.communicate()
            raise GitTooSlow(
                f"git {self.verb} took longer than {TIMEOUT_S:.0f} s.",
                hint="Check the disk that holds the worktree, then call again.",
            ) from exc
        return out or b"", err, self.process.returncode

    def _communicate(self, given: bytes | None) -> tuple[bytes | None, bytes]:
        try:
            return self.process.communicate(given, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            if (path := pipe_for_rules(self.cwd)) is not None:
                self.process.kill()
                self.process.communicate()
                raise _no_rules(path) from None
        return self.process.communicate(timeout=TIMEOUT_S)

    def said_yes(self) -> bool:
        """Whether it succeeded; any failure is a no."""
        return self.finish()[2] == 0

    def output(self, stdin: bytes = b"", *, strict: bool = False) -> bytes:
        """Standard output, when it succeeded."""
        out, err, code = self.finish(stdin)
        if code or (strict and err):
            raise failure(self.verb, err)
        return out


def git_program() -> str:
    """Absolute path of git."""
    found = shutil.which("git")
    if found is None:
        raise BackendFailed("The git program was not found.", hint="Install git 2.38 or newer.")
    return found


def pipe_for_rules(top: str) -> str | None:
    """A file of rules below `top` that git waits for, because it is a pipe or a device."""
    for folder, _, names in os.walk(top):
        for name in _RULES & set(names):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
                return os.path.relpath(path, top)
    return None


def _no_rules(path: str) -> UnreadableTree:
    return UnreadableTree(
        f"{path} is a pipe or a device, and git waits for it for ever.",
        hint=f"Remove {path}, or make it a regular file; then call again.",
    )


def user_env(home: str | None = None, config_home: str | None = None) -> dict[str, str]:
    """Environment for reading the user's repository with the user's configuration.

    Args:
        home: the person's home folder; None: this process's.
        config_home: the person's XDG_CONFIG_HOME; None: `.config` in the home folder.
    """
    home = os.path.expanduser("~") if home is None else home
    config_home = os.path.join(home, ".config") if config_home is None else config_home
    return _base() | {"HOME": home, "XDG_CONFIG_HOME": config_home}


def config_files(env: Mapping[str, str], git_dir: str, common_dir: str) -> tuple[str, ...]:
    """Where the configuration of a repository stands (git-config(1), FILES), includes apart."""
    prefix = os.path.dirname(os.path.dirname(git_program()))
    return (
        "/etc/gitconfig",
        os.path.join(prefix, "etc", "gitconfig"),
        os.path.join(env["HOME"], ".gitconfig"),
        os.path.join(env["XDG_CONFIG_HOME"], "git", "config"),
        os.path.join(common_dir, "config"),
        os.path.join(git_dir, "config.worktree"),
    )


def private_env(git_dir: str, work_tree: str | None = None) -> dict[str, str]:
    """Environment for a git dir of ours: no other configuration, author and date fixed."""
    where = {"GIT_DIR": git_dir} | ({"GIT_WORK_TREE": work_tree} if work_tree else {})
    return _base() | _AUTHOR | _PRIVATE | {"HOME": os.path.dirname(git_dir)} | where


def _base() -> dict[str, str]:
    return {
        "PATH": f"{os.path.dirname(git_program())}:/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


_FULL = re.compile("No space left on device|Disk quota exceeded|disk quota exceeded")
_MOVED = re.compile(r'open\("(.*)"\): No such file|(?:short read|file changed)[^\n]*?([^\s]*)\n')
_NESTED = re.compile(r"error: (.*): is a directory - add (?:individual )?files", re.DOTALL)
_UNREADABLE = re.compile(
    r"""error:\ open\("(?P<file>.*)"\):\ (?:Permission|Operation|Input|Is)
      | could\ not\ open\ directory\ '(?P<folder>.*)':
      | unable\ to\ access\ '(?P<rules>.*)':
      | ^(?:error:\ )?(?P<path>(?!fatal|error|warning).*):\ Permission\ denied$
      | (?:fatal:\ Unable\ to\ process\ path|Ignoring\ path)\ (?P<last>.*)""",
    re.VERBOSE | re.MULTILINE,
)


def failure(verb: str, stderr: bytes) -> AgentsError:
    """What a failed git command means for the caller."""
    said = stderr.decode("utf-8", "replace")
    if _FULL.search(said):
        return NoSpace("The disk is full.", hint="Free some space, then call again.")
    if found := _NESTED.search(said):
        return UnreadableTree(
            f"{found[1]} is a nested git repository without a commit, which git cannot carry.",
            hint=f"Commit inside it, remove its .git, or add `/{found[1]}/` to .gitignore.",
        )
    if _MOVED.search(said):
        return TreeMoved(
            f"A file changed while it was read: {said.strip()[:300]}",
            hint="Call again when nothing writes to the worktree.",
        )
    if found := _UNREADABLE.search(said):
        path = next((text for text in found.groups() if text), "?")
        return UnreadableTree(
            f"git cannot take {path}: {said.strip()[:300]}",
            hint=f"Make it readable (`chmod u+rwX {path}`), rename it, or add it to .gitignore.",
        )
    return BackendFailed(
        f"git {verb} failed: {said.strip()[:500] or 'no message'}",
        hint="Run `git status` in the worktree; if that works, call again.",
    )
