"""The person's policy file; it is read anew for each decision, so an edit counts at once."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.toml import MAX_BYTES
from mcp_cloud_agents.governance.policy import Policy
from mcp_cloud_agents.governance.policy_text import parse_policy

if TYPE_CHECKING:
    from mcp_cloud_agents.governance.policy_tests import PolicyTest

_NAME = "policy.toml"
_READABLE = "Make it a file that you can read; nothing is started meanwhile."


def policy_path(config_file: str) -> str:
    """Where the person's policy lies: beside `config.toml`."""
    return os.path.join(os.path.dirname(config_file), _NAME)


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
    try:
        _check(path, os.fstat(fd).st_mode)
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    finally:
        os.close(fd)


def _check(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadConfig(f"{path}: it is no regular file.", hint=_READABLE)
    if mode & stat.S_IWOTH:
        raise BadConfig(
            f"{path}: every user of this machine may write it.",
            hint=f"Look at what is in it, then: chmod o-w {path}",
        )
