"""A question to a person as labelled lines: all that a yes would start."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.money import usd
from mcp_cloud_agents.domain.rendering import counted, render_text

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.ports.approvals import Question

Rows = list[tuple[str, str]]


def question_rows(view: JobView, question: Question) -> Rows:
    """Labels and texts, in full; the texts are untrusted."""
    spec, facts = view.spec, question.facts
    rows: Rows = [
        (
            "job",
            f"{spec.id}, asked {moment(question.asked_at)}, until {moment(question.expires_at)}",
        ),
        ("rule", f"{question.rule}: {question.reason}"),
        ("costs", _price(view, question)),
        ("subagent", f"{facts.agent} on {facts.backend}, isolation {spec.isolation} or stronger"),
        ("tree", _tree(spec)),
        (
            "limits",
            f"{facts.timeout_s} s, {facts.memory_mib} MiB, {counted(facts.attempts, 'attempt')}",
        ),
    ]
    if spec.setup.commands:
        rows.append(("set-up", "\n".join(spec.setup.commands) + "\n(with network)"))
    if spec.secrets:
        named = (f"{one.name} from {one.source} ({', '.join(one.phases)})" for one in spec.secrets)
        rows.append(("secrets", "\n".join(named)))
    if spec.fix is not None:
        rows += [("goal", spec.fix.goal), ("engine", str(spec.fix.engine))]
        rows += [("edits by", spec.fix.edit_command)] if spec.fix.edit_command else []
    rows += [("command", spec.command), ("digest", question.digest)]
    return rows


def shown(rows: Rows) -> str:
    """The lines for a terminal; no text of theirs can start a line or move the cursor."""
    return "".join(
        f"{label:<10}{render_text(text)}".replace("\n", "\n" + " " * 10) + "\n"
        for label, text in rows
    )


def moment(at: float) -> str:
    """A time as the person's own clock shows it."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


def _price(view: JobView, question: Question) -> str:
    most = f"at most {usd(question.facts.worst_micros)} USD"
    if view.money is None:
        return most
    estimate = view.money.estimate
    parts = ", ".join(f"{name} {usd(micros)}" for name, micros in estimate.parts)
    told = f"{most}, probably {usd(estimate.expected_micros)} USD"
    return "\n".join((f"{told} ({parts})" if parts else told, *estimate.notes))


def _tree(spec: JobSpec) -> str:
    origin = spec.snapshot.origin
    state = "with changes" if origin.dirty else "clean"
    folder = f", in {spec.folder}" if spec.folder else ""
    return f"{spec.snapshot.tree[:12]} ({state}) of {origin.workspace}{folder}"
