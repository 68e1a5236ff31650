"""`trust` and `untrust`: what a person says about a repository's configuration, byte by byte.

There is no option that agrees in advance: a model that may run this program must not be able to
trust on its own. Where no terminal is, a secret's `workspaces` says the same in the person's file.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.agents.trust import config_digest, configuration_of
from mcp_cloud_agents.agents.trust_text import change_text, content_text
from mcp_cloud_agents.bootstrap.places import job_owner
from mcp_cloud_agents.cli.actor import at_a_terminal
from mcp_cloud_agents.cli.person import agrees
from mcp_cloud_agents.cli.session import FAILED, say, tell, write
from mcp_cloud_agents.domain.errors import AgentsError, NotAllowed, NotAWorktree
from mcp_cloud_agents.domain.rendering import counted, render_text
from mcp_cloud_agents.ports.audit import Action, Entry
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.snapshots.genuine import is_genuine
from mcp_cloud_agents.storage.sqlite_trust import SqliteTrust
from mcp_cloud_agents.storage.state_folder import StateFolder

if TYPE_CHECKING:
    from mcp_cloud_agents.settings import Settings
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

Where = Annotated[
    str, typer.Argument(metavar="PATH", help="A folder of the worktree; default: this one.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A repository and its configuration as it is in the worktree now."""

    workspace: str
    common_dir: str
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """Of all its files."""
        return config_digest(self.files)


def trust(
    path: Where = ".",
    *,
    listed: Annotated[bool, typer.Option("--list", help="Only list what is trusted.")] = False,
) -> None:
    """Trust a repository's .cloud-agents as it is now: shows it, and asks at the terminal.

    Any change of a byte in it ends the trust. Exit code 1: you did not agree.
    """
    try:
        settings = load(cwd=os.path.abspath(path))
        store = trust_store(settings)
        if listed:
            _list(store)
            return
        found = configured(settings, path)
        agreed = _trust(settings, store, found)
    except AgentsError as exc:
        tell(exc)
    if not agreed:
        say("not trusted; nothing was changed")
        raise typer.Exit(FAILED)


def untrust(path: Where = ".") -> None:
    """Trust nothing of a repository any more, whatever was trusted before."""
    try:
        settings = load(cwd=os.path.abspath(path))
        store = trust_store(settings)
        common_dir = _common_dir(settings, path)
        if not store.everything(common_dir):
            say(f"nothing of {render_text(common_dir)} was trusted")
            return
        _note(settings, Action.UNTRUSTED, common_dir=common_dir)
        number = store.forget(common_dir)
    except AgentsError as exc:
        tell(exc)
    say(f"no longer trusted: {counted(number, 'configuration')} of {render_text(common_dir)}")


def trust_store(settings: Settings) -> SqliteTrust:
    """What is trusted on this machine. Raises StateUnusable, NoSpace."""
    state = StateFolder(settings.state_dir)
    state.open(shared=job_owner(settings) is not None)
    return SqliteTrust(state.trust)


def configured(settings: Settings, path: str) -> Configured:
    """The configuration in the worktree that holds `path`, as a job would be sent it.

    Raises:
        NotAWorktree, UnreadableTree, BadConfig: it cannot be looked at.
        NotAllowed: the repository does not know of this worktree.
    """
    snapshots = snapshots_of(settings)
    origin = snapshots.locate(os.path.abspath(path))
    if not is_genuine(origin):
        raise NotAllowed(
            f"{origin.workspace} says it is a worktree of {origin.common_dir}, which does not "
            "know of it.",
            hint="Clone the repository anew, or make the worktree by `git worktree add`; or name "
            "the folder in `workspaces` of a secret in config.toml.",
        )
    files = configuration_of(snapshots, snapshots.take(origin))
    return Configured(workspace=origin.workspace, common_dir=origin.common_dir, files=files)


def _trust(settings: Settings, store: SqliteTrust, found: Configured) -> bool:
    """Whether it is trusted now."""
    if store.of(found.common_dir, found.digest):
        say(f"trusted already: {found.digest}")
        return True
    before = store.everything(found.common_dir)
    shown = change_text(before[0].files, found.files) if before else content_text(found.files)
    if not agrees(f"{shown}\n", _question(settings, found)):
        return False
    _note(settings, Action.TRUSTED, common_dir=found.common_dir, found=found)
    store.trust(found.common_dir, found.files)
    say(f"trusted: {found.digest}")
    return True


def _question(settings: Settings, found: Configured) -> str:
    names = [name for name, table in settings.secrets.items() if not table.workspaces]
    secrets = (
        "Code of this repository, on every branch with this configuration, may then see: "
        f"{', '.join(names)}.\n"
    )
    shown = secrets if names else ""
    return f"{shown}Trust this configuration of {render_text(found.workspace)}?"


def _list(store: SqliteTrust) -> None:
    found = store.everything()
    for one in found:
        when = datetime.fromtimestamp(one.at).astimezone().isoformat(timespec="seconds")
        write(f"{one.digest}\t{when}\t{render_text(one.common_dir)}\n")
    if not found:
        say("nothing is trusted")


def _common_dir(settings: Settings, path: str) -> str:
    """Of the repository at `path`, or `path` itself: the repository may be gone."""
    try:
        return snapshots_of(settings).locate(os.path.abspath(path)).common_dir
    except NotAWorktree:
        return os.path.realpath(path)


def snapshots_of(settings: Settings) -> GitSnapshots:
    """Files that may not be sent are left out here and refuse nothing: nothing is sent."""
    from mcp_cloud_agents.snapshots.screen import ScreenRules
    from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

    return GitSnapshots(settings.state_dir, ScreenRules(leave_out=True))


def _note(
    settings: Settings, action: Action, *, common_dir: str, found: Configured | None = None
) -> None:
    """Written before it is done. Raises AuditUnusable."""
    from mcp_cloud_agents.bootstrap.books import audit_for

    entry = Entry(
        at=time.time(),
        action=action,
        actor=at_a_terminal(),
        workspace=found.workspace if found else "",
        details=(
            ("repository", common_dir),
            *((("configuration", found.digest),) if found else ()),
        ),
    )
    audit_for(settings).append(entry)
