"""The state folder: where everything of ours lives on this machine, with the layout's version.

state/
  VERSION             the layout's version; a newer one is refused, never guessed at
  records.sqlite      the index of jobs
  ledger.sqlite       money that is held back or spent
  turns/              locks of the ledger that a team shares
  approvals.sqlite    questions to a person, and answers
  trust.sqlite        configurations of repositories that a person trusted
  audit/              what was decided and done (audit_folder.py)
  jobs/<id>/          one job (job_folder.py)
  tidied              when old things were last removed
  stopped             no job is started while it is there (stop_flag.py)
  queue/              tickets of jobs that wait or run
  breakers/           what is remembered of places and models that fail (circuit_file.py)
  snapshots/          private git dirs, one a worktree
  repositories/       our object stores, one a repository
  environments/       what set-up phases made, by key
  tools/              programs of ours that jobs may read
"""

from __future__ import annotations

import os

from mcp_cloud_agents.domain.errors import StateUnusable
from mcp_cloud_agents.storage.files import read_whole, storage_errors, write_durably

LAYOUT_VERSION = 1
_PRIVATE = ("jobs", "queue", "snapshots", "breakers")
_SHARED = ("repositories", "environments", "tools")


class StateFolder:
    """Paths below one state folder."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.jobs = os.path.join(path, "jobs")
        self.queue = os.path.join(path, "queue")
        self.breakers = os.path.join(path, "breakers")
        self.snapshots = os.path.join(path, "snapshots")
        self.repositories = os.path.join(path, "repositories")
        self.environments = os.path.join(path, "environments")
        self.tools = os.path.join(path, "tools")
        self.records = os.path.join(path, "records.sqlite")
        self.ledger = os.path.join(path, "ledger.sqlite")
        self.approvals = os.path.join(path, "approvals.sqlite")
        self.trust = os.path.join(path, "trust.sqlite")
        self.turns = os.path.join(path, "turns")
        self.audit = os.path.join(path, "audit")
        self.tidied = os.path.join(path, "tidied")

    def open(self, *, shared: bool) -> None:
        """Create what is missing and check the version.

        Args:
            shared: whether jobs run under another user (the server is root) who must be able to
                pass through to what he may see.

        Raises:
            StateUnusable: not writable, or written by a newer version of this program.
            NoSpace: the disk is full.
        """
        with storage_errors(self.path):
            mode = 0o711 if shared else 0o700
            os.makedirs(self.path, mode=mode, exist_ok=True)
            self._check_version()
            for name in (*_PRIVATE, *_SHARED):
                folder = os.path.join(self.path, name)
                if not os.path.isdir(folder):
                    os.makedirs(folder, exist_ok=True)
                    os.chmod(folder, mode)

    def _check_version(self) -> None:
        path = os.path.join(self.path, "VERSION")
        found = read_whole(path, limit=64)
        if found is None:
            write_durably(path, f"{LAYOUT_VERSION}\n".encode())
            return
        text = found.decode("ascii", "replace").strip()
        if not text.isdigit() or int(text) > LAYOUT_VERSION:
            raise StateUnusable(
                f"The state folder {self.path} has layout version {text[:20]!r}; "
                f"this program knows up to {LAYOUT_VERSION}.",
                hint="Upgrade mcp-cloud-agents, or set state_dir to another folder.",
            )
