"""The values of one job in a container: of its environment, and of the account by the job's role.

What the environment has is taken out of it at the start. What the account has is asked for at the
start of each phase, so that a value that was rotated meanwhile is the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import key_variables
from mcp_cloud_agents.governance.known_secrets import KnownSecrets
from mcp_cloud_agents.governance.secret_grants import environment_variables
from mcp_cloud_agents.storage.aws_secrets import AwsSecrets
from mcp_cloud_agents.storage.secret_values import SecretValues, is_taken
from mcp_cloud_agents.telemetry.logs import redact_logs
from mcp_cloud_agents.worker.vault import Given

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from mcp_cloud_agents.domain.job import JobSpec


def given_to(spec: JobSpec, environ: MutableMapping[str, str]) -> Given:
    """What a job's worker may have.

    Args:
        spec: the job.
        environ: the container's; what the job names is removed from it.
    """
    wanted = (*key_variables(spec.fix), *environment_variables(spec.secrets))
    names = [name for name in dict.fromkeys(wanted) if name in environ and not is_taken(name)]
    taken = {name: environ.pop(name) for name in names}
    known = KnownSecrets()
    known.remember(taken.values())
    redact_logs(known.known)

    def variables(names: Sequence[str]) -> dict[str, str]:
        return {name: taken[name] for name in names if name in taken}

    values = SecretValues(variables, AwsSecrets(), files=False, remember=known.remember)
    return Given(variables=taken, read=values)
