"""How a job looks in a terminal. All text of the job is printed as text, never as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from mcp_cloud_agents.cli.session import out
from mcp_cloud_agents.server.views import job_answer

if TYPE_CHECKING:
    from mcp_cloud_agents.delegation.request import JobView
    from mcp_cloud_agents.server.answers import JobAnswer

_COLOURS = {"passed": "green", "failed": "red", "incomplete": "yellow", "none": "yellow"}
PASSED, FAILED, NOT_DONE = 0, 1, 3


def show_job(view: JobView) -> int:
    """Print what is known of a job; returns the exit code that says how it went."""
    answer = job_answer(view)
    _line("job", f"{answer.job_id}  {answer.agent} on {answer.backend}: {answer.command}")
    if answer.tree is not None:
        dirty = "dirty" if answer.tree.dirty else "clean"
        base = (answer.tree.base_commit or "no commit")[:12]
        _line("tree", f"{answer.tree.tree[:12]} ({dirty}, on {base}), {answer.tree.files} files")
        for warning in answer.tree.warnings:
            _line("", warning, "yellow")
    word = answer.verdict or answer.state or ""
    colour = _COLOURS.get(word, "red" if not answer.ok else "")
    _line("verdict" if answer.verdict else "state", f"{word}: {answer.summary}", colour)
    _failures(answer)
    if answer.error is not None:
        for row in answer.error.excerpt or []:
            _line("", row, "dim")
        _line("next", answer.error.hint)
    _isolation(answer)
    for artifact in answer.artifacts or []:
        _line("artifact", f"{artifact.name}  {artifact.size_bytes} bytes  {artifact.uri}")
    for note in answer.notes or []:
        _line("note", note, "yellow")
    return exit_code(view, answer)


def exit_code(view: JobView, answer: JobAnswer) -> int:
    """0 passed, the command's own code for plain commands, 1 otherwise, 3 when it is not done."""
    if not view.status.state.done:
        return NOT_DONE
    if not answer.ok:
        return FAILED
    if answer.verdict is not None:
        return PASSED if answer.verdict == "passed" else FAILED
    return answer.exit_code or PASSED


def _failures(answer: JobAnswer) -> None:
    for failure in (answer.tests or {}).get("failures", []):
        at = f"  {failure['at']}" if failure.get("at") else ""
        _line("failed", f"{failure['id']}{at}", "red")
        _line("", str(failure.get("message", "")), "dim")


def _isolation(answer: JobAnswer) -> None:
    if answer.isolation is None:
        return
    record = answer.isolation
    limits = ", ".join(f"{name} {how}" for name, how in record.limits.items())
    _line("isolation", f"{record.level} ({record.driver}), network {record.run_network}; {limits}")


def _line(label: str, text: str, style: str = "") -> None:
    if not text:
        return
    out.print(Text.assemble((f"{label:<10}", "bold"), (text, style)))
