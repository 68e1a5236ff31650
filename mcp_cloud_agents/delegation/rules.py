"""What persons wrote down about jobs: the person's policy; a repository's only tightens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.governance.policy import combine, decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_cloud_agents.domain.decision import Decision, JobFacts
    from mcp_cloud_agents.governance.policy import Policy


class PolicyRules:
    """`delegation.admit.Rules` over two files.

    Args:
        person: reads the person's policy anew, so that a change holds for the next job.
        repository: reads the content of the one in a snapshot, which is untrusted.
    """

    def __init__(self, person: Callable[[], Policy], repository: Callable[[bytes], Policy]) -> None:
        self._person = person
        self._repository = repository

    def decide(self, facts: JobFacts, repository: bytes | None) -> tuple[Decision, str]:
        """See `Rules`. Raises BadConfig."""
        policy = self._person()
        decision = decide(policy, facts)
        if repository is not None:
            decision = combine(decision, decide(self._repository(repository), facts))
        return decision, policy.digest
