"""The engine `command`: one command edits the files. No model, no key, no money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import StopReason
from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.worker.fix.engine import Ended

if TYPE_CHECKING:
    from mcp_cloud_agents.worker.fix.engine import Workbench

NUMBER = "CLOUD_AGENTS_CANDIDATE"
"""Tells the command which candidate it makes: a seed for commands that try different things."""
_LAST_CHARS = 200


class CommandEngine:
    """See `engine.EngineRun`."""

    def __call__(self, bench: Workbench) -> Ended:
        """Run the order's edit command once. Its exit code decides nothing: what it changed does.

        Raises:
            CandidateStopped: the candidate is over.
            IsolationUnavailable: the sandbox did not start.
        """
        command = bench.order.edit_command
        bench.transcript.write("tool", name="edit_command", arguments={"command": command})
        done = bench.run(
            ("/bin/sh", "-c", command),
            timeout_s=bench.budget.command_s,
            env={NUMBER: str(bench.number)},
        )
        said = render(done.output)
        bench.transcript.write(
            "tool",
            name="edit_command",
            result=said,
            exit_code=done.exit_code,
            duration_s=done.duration_s,
        )
        if done.timed_out:
            message = f"The command was ended after its limit of {bench.budget.command_s} s."
            return Ended(reason=StopReason.WALL_CLOCK, message=message)
        if done.exit_code:
            last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
            message = f"The command ended with exit code {done.exit_code}: {last[:_LAST_CHARS]}"
            return Ended(reason=StopReason.COMMAND_FAILED, message=message.rstrip(": "))
        return Ended(reason=StopReason.SUBMITTED)
