"""Commands that name no test runner, and may end in one all the same."""

from __future__ import annotations

from mcp_cloud_agents.runners.shell import calls

_RUN_ANYTHING = frozenset(
    {
        "bash", "coverage", "gmake", "hatch", "inv", "invoke", "just", "make", "nox", "pdm",
        "python", "python3", "rake", "sh", "task", "tox",
    }
)  # fmt: skip
"""Programs that a project tells what to run."""


def may_run_tests(command: str) -> bool:
    """Whether a call in it may start a test runner: a script or `make` may, `ruff` does not."""
    return any(
        "/" in call.words[call.at].value or call.name.endswith(".sh") or call.name in _RUN_ANYTHING
        for call in calls(command)
    )
