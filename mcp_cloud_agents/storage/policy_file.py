"""The person's policy file, read anew for each decision: an edit counts at once."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mcp_cloud_agents.agents.repository_policy import read_repository_policy
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.toml import MAX_BYTES
from mcp_cloud_agents.governance.policy import Policy, combine, decide
from mcp_cloud_agents.governance.policy_text import parse_policy

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.decision import Decision, JobFacts
    from mcp_cloud_agents.governance.policy_tests import PolicyTest

_NAME = "policy.toml"
_READABLE = "Make it a file that you can read; nothing is started meanwhile."


def policy_path(config_file: str) -> str:
    """Where the person's policy lies: beside `config.toml`."""
    return os.path.join(os.path.dirname(config_file), _NAME)


class PolicyFiles:
    """Decides by the person's file and a repository's own.

    Args:
        path: of the person's file, which need not exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def decide(self, facts: JobFacts, repository: bytes | None) -> tuple[Decision, str]:
        """The stricter decision of the two, and the digests of both policies, joined by `+`.

        Args:
            facts: of the job.
            repository: content of `.cloud-agents/policy.toml` in its snapshot; None: it has none.

        Raises:
            BadConfig: one of the two is broken, so nothing is allowed.
        """
        person = read_policy(self._path)
        decision = decide(person, facts)
        if repository is None:
            return decision, person.digest
        theirs = read_repository_policy(repository)
        return combine(decision, decide(theirs, facts)), f"{person.digest}+{theirs.digest}"


def read_policy(path: str) -> Policy:
    """The policy in a file; without a file the one that allows all within the budget.

    Raises:
        BadConfig: it is broken, too large, no regular file, or others may write it.
    """
    return read_policy_and_tests(path)[0]


def read_policy_and_tests(path: str) -> tuple[Policy, tuple[PolicyTest, ...]]:
    """The same with the tests that the file carries."""
    data = _content(path)
    return (Policy(), ()) if data is None else parse_policy(data, file=path)


def _content(path: str) -> bytes | None:
    """What is in the file; links are followed, as people keep their settings behind some."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO does not wait
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise BadConfig(f"{path}: the link leads nowhere.", hint=_READABLE) from None
        return None
    except OSError as exc:
        raise BadConfig(f"{path}: cannot be read: {exc.strerror}.", hint=_READABLE) from exc
    with os.fdopen(fd, "rb", closefd=True) as file:
        _check(path, os.fstat(fd).st_mode)
        return file.read(MAX_BYTES + 1)


def _check(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadConfig(f"{path}: it is no regular file.", hint=_READABLE)
    if mode & stat.S_IWOTH:
        raise BadConfig(
            f"{path}: every user of this machine may write it.",
            hint=f"Look at what is in it, then: chmod o-w {path}",
        )
