"""The agent put together: its tools, what goes over them, and how it may end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai import Agent, ToolOutput
from pydantic_ai.toolsets import FunctionToolset
from pydantic_ai_harness.compaction import ClearToolResults
from pydantic_ai_harness.filesystem import FileSystem
from pydantic_ai_harness.repair_tool_arguments import RepairToolArguments

from mcp_cloud_agents.worker.fix.loop.prompt import instructions
from mcp_cloud_agents.worker.fix.loop.told import MAX_CHARS
from mcp_cloud_agents.worker.fix.loop.tools import (
    MAX_SUBMITS,
    Attempt,
    find_files_with,
    run_command,
    run_tests,
    submit,
)

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from mcp_cloud_agents.worker.fix.loop.supervision import Supervision

_RESERVED = 400
"""Characters of MAX_CHARS that are left for what stands around a file's text."""
_BAD_CALLS = 5
"""In a row, of one tool; the library's own 1 would end a run at the second."""


def build_agent(model: Model, supervision: Supervision, root: str) -> Agent[Attempt, str]:
    """The agent of one run.

    Args:
        model: answers.
        supervision: goes over every step.
        root: absolute path of the tree's top inside the sandbox; file tools stay below it.
    """
    files = _files(root)
    toolset = FunctionToolset[Attempt](id="ours")
    toolset.add_function(run_command, takes_ctx=True)
    toolset.add_function(run_tests, takes_ctx=True)
    toolset.add_function(find_files_with(files.get_toolset()), takes_ctx=True)
    return Agent(
        model,
        deps_type=Attempt,
        instructions=instructions(supervision.mark),
        output_type=ToolOutput(submit, name="submit", max_retries=MAX_SUBMITS),
        retries={"tools": _BAD_CALLS, "output": MAX_SUBMITS},
        toolsets=[toolset],
        capabilities=[
            supervision,
            files,
            RepairToolArguments[Attempt](),
            # In batches, so that the provider's prompt cache holds in between.
            ClearToolResults[Attempt](max_messages=50, keep_pairs=10),
        ],
    )


def _files(root: str) -> FileSystem[Attempt]:
    return FileSystem[Attempt](
        root_dir=root,
        read_only_patterns=("**/.git",),  # what is protected is put back, and judged elsewhere
        content_hashes=False,
        max_read_lines=400,
        max_read_chars=MAX_CHARS - _RESERVED,
        max_search_results=100,
        max_find_results=300,
        tools=("read_file", "write_file", "edit_file", "grep"),
    )
