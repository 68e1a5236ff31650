"""A job's change as a commit on a new branch; working tree and index of the user are not touched.

The commit is made in the private git dir, where no hook, filter or attribute of the user is in
force, from trees; its objects are carried over as a pack, and one ref is created. So a file that
git would convert on the way into a commit (a filter, line ends) cannot be put there as it is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BranchUnusable
from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.snapshots.apply.reader import Reader
from mcp_cloud_agents.snapshots.apply.steps import LINK
from mcp_cloud_agents.snapshots.git import Git, failure
from mcp_cloud_agents.snapshots.listing import fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcp_cloud_agents.snapshots.apply.steps import Step

_CONVERTS = ("filter", "ident", "working-tree-encoding", "text", "eol", "crlf")
_ANYBODY = ("mcp-cloud-agents", "mcp-cloud-agents@invalid")
_WITH_USER_UMASK = -1
_LONGEST = 240
"""Bytes of a file's name, `.lock` included (NAME_MAX is 255)."""


@dataclass(frozen=True, slots=True)
class Branches:
    """The branches of a user's repository.

    Attributes:
        private: git on the private git dir.
        user: git on the user's repository, which runs no hook.
        reader: of the private git dir.
        owner: uid and gid that write into the repository; None: those of this process.
    """

    private: Git
    user: Git
    reader: Reader
    owner: tuple[int, int] | None = None

    def check_name(self, name: str) -> None:
        """Raises BranchUnusable: git takes no branch of this name."""
        plain = not name.startswith(("-", "refs/")) and "\0" not in name and "@{" not in name
        fits = all(len(part.encode(errors="replace")) <= _LONGEST for part in name.split("/"))
        asked = ("check-ref-format", "--branch", name)
        if not plain or not fits or not self.user.start(*asked).said_yes():
            raise BranchUnusable(
                f"{render(name.encode(errors='replace'))[:100]!r} is no name for a branch.",
                hint="Use letters, digits, '-', '_', '.' and '/'; see git-check-ref-format(1).",
                paths=(),
            )

    def commit_of(self, name: str) -> str | None:
        """The commit that a branch is at; None when there is none of this name."""
        asked = ("rev-parse", "--verify", "-q", f"refs/heads/{name}^{{commit}}")
        out, _, failed = self.user.start(*asked).finish()
        return None if failed else out.decode().strip()

    def holds(self, commit: str, tree: str, parent: str) -> bool:
        """Whether a commit is this change already."""
        out = self.user.run("rev-parse", f"{commit}^{{tree}}", f"{commit}^@").decode()
        return out.split() == [tree, parent]

    def check_conversions(self, steps: Sequence[Step]) -> None:
        """Raises BranchUnusable: git would convert some of the files."""
        entries = {step.path: step.new for step in steps if step.new and step.new.mode != LINK}
        if not entries:
            return
        asked = "".join(f"{path}\0" for path in entries).encode()
        out = self.user.run("check-attr", "-z", "--stdin", *_CONVERTS, stdin=asked)
        found = fields(out)
        automatic = self._config("core.autocrlf", "false") != "false"
        bad: dict[str, str] = {}
        by_lines: set[str] = set(entries) if automatic else set()
        for path, name, value in zip(found[::3], found[1::3], found[2::3], strict=True):
            if value in (b"unspecified", b"unset"):
                continue
            if name in (b"text", b"eol", b"crlf"):
                by_lines.add(path.decode())
            else:
                bad[path.decode()] = f"{name.decode()}={render(value)}"
        for path in by_lines - bad.keys():
            if b"\r\n" in self.reader.content(entries[path].oid):
                bad[path] = "line ends"
        if bad:
            raise _converted(bad.items())

    def add(self, name: str, *, tree: str, parent: str, message: str) -> str:
        """Make the commit and the branch; the commit's id.

        Raises:
            BranchUnusable: somebody made a branch of this name meanwhile.
        """
        author = self._config("user.name", _ANYBODY[0]), self._config("user.email", _ANYBODY[1])
        who = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in zip(("NAME", "EMAIL"), author, strict=True)
        }
        kept = {key: value for key, value in self.private.env.items() if not key.endswith("_DATE")}
        named = replace(self.private, env={**kept, **who})
        made = named.run("commit-tree", tree, "-p", parent, "-F", "-", stdin=message.encode())
        commit = made.decode().strip()
        wanted = f"{commit}\n^{parent}\n".encode()
        pack = self.private.run("pack-objects", "--revs", "--stdout", "-q", stdin=wanted)
        env = {**self.user.env, **who}
        if self.owner is not None:  # he cannot read our configuration
            env |= {"GIT_CONFIG_GLOBAL": os.devnull}
        user = replace(self.user, umask=_WITH_USER_UMASK, env=env, owner=self.owner)
        _, said, failed = user.start("unpack-objects", "-q").finish(pack)
        if b"insufficient permission" in said:
            raise _not_writable()
        if failed:
            raise failure("unpack-objects", said)
        why = ("-m", "mcp-cloud-agents: a job's patch")
        absent = "0" * len(commit)
        _, said, failed = user.start(
            "update-ref", *why, f"refs/heads/{name}", commit, absent
        ).finish()
        if failed and (b"cannot create" in said or self.commit_of(name) is not None):
            raise taken(name)
        if failed:
            raise failure("update-ref", said)
        return commit

    def _config(self, key: str, default: str) -> str:
        out, _, failed = self.user.start("config", "--get", key).finish()
        return default if failed else out.decode("utf-8", "replace").strip() or default


def taken(name: str) -> BranchUnusable:
    """The refusal of a name that is in use."""
    return BranchUnusable(
        f"The name {name[:100]} is taken by another branch, which is not this patch.",
        hint="Pass another name as `branch` (--branch NAME), or delete that branch.",
        paths=(),
    )


def _not_writable() -> BranchUnusable:
    return BranchUnusable(
        "The repository's objects cannot be written: some folders of .git/objects are another "
        "user's, or read-only.",
        hint="Nothing was changed. Mend it (`sudo chown -R $(id -u) .git`) and call again, or use "
        'mode="worktree".',
        paths=(),
    )


def _converted(bad: Iterable[tuple[str, str]]) -> BranchUnusable:
    paths = tuple(sorted(bad))
    shown = ", ".join(f"{path} ({why})" for path, why in paths[:5])
    return BranchUnusable(
        f"git converts these files on their way into a commit, and no filter is run here: {shown}.",
        hint='Use mode="worktree" and commit the files yourself.',
        paths=paths,
    )
