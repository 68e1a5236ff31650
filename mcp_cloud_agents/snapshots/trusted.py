"""Whether a person trusted the configuration in exactly this snapshot of this repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.agents.trust import config_digest, configuration_of
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.ports.snapshots import Snapshots
from mcp_cloud_agents.ports.trust import Trust
from mcp_cloud_agents.snapshots.genuine import is_genuine

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedSnapshots:
    """Asks for one snapshot at a time. Blocks (git processes, a database)."""

    snapshots: Snapshots
    trust: Trust

    def __call__(self, snapshot: Snapshot) -> bool:
        """Whether it is trusted; what cannot be looked at whole never is.

        Raises:
            StateUnusable, NoSpace: nobody can say.
            BackendFailed: the snapshot is gone.
        """
        if not is_genuine(snapshot.origin):
            return False
        try:
            files = configuration_of(self.snapshots, snapshot)
        except BadConfig:
            return False
        return self.trust.of(snapshot.origin.common_dir, config_digest(files))
