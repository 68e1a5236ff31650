"""`.cloud-agents/policy.toml` of a repository: untrusted, so it can only tighten the person's.

It has the format of the person's file. What it decides is combined by `governance.policy.combine`,
where the stricter of the two stands: an `allow` of a repository allows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.governance.policy_text import parse_policy

if TYPE_CHECKING:
    from mcp_cloud_agents.governance.policy import Policy

FILE = ".cloud-agents/policy.toml"
MAX_BYTES = 16_384
"""Less than a person's: it is read and held against every job of strangers' repositories."""


def read_repository_policy(data: bytes) -> Policy:
    """The policy of the file's content in the snapshot.

    Raises:
        BadConfig: the message names file, line and column; the job is refused.
    """
    return parse_policy(data, file=FILE, max_bytes=MAX_BYTES)[0]
