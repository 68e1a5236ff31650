"""What a person reads in the client before a job may start.

Commands, goals, names and reasons may come from a repository or a model: each is one line, so that
none can write a line of its own about the price, and the command comes last and says how much of it
is not shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.server.room import one_line

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.ports.approvals import Question

_COMMAND_CHARS = 600
_TEXT_CHARS = 300


def question_text(spec: JobSpec, question: Question) -> str:
    """The question: price, place, rule, then what would run."""
    facts = question.facts
    lines = [
        "Start this job?",
        f"costs at most: {usd(facts.worst_micros)} USD",
        f"subagent: {_text(facts.agent)}",
        f"where: {_text(facts.backend)}, on tree {spec.snapshot.tree[:12]} of "
        f"{_text(facts.workspace)}",
        f"rule: {_text(question.rule)}: {_text(question.reason)}",
        f"job: {spec.id} (in a terminal: mcp-cloud-agents approve {spec.id})",
    ]
    if facts.secrets:
        lines.append(f"secrets it gets: {_text(', '.join(facts.secrets))}")
    if spec.fix is not None:
        lines.append(f"goal: {_text(spec.fix.goal)}")
        lines += [f"edits by: {_command(spec.fix.edit_command)}"] if spec.fix.edit_command else []
    return "\n".join((*lines, f"command: {_command(spec.command)}"))


def _text(text: str) -> str:
    return one_line(text, _TEXT_CHARS)


def _command(text: str) -> str:
    return one_line(text, _COMMAND_CHARS)
