"""`apply_patch`: a job's patch into the checkout, all or nothing."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from mcp_cloud_agents.delegation.apply import ApplyOrder
from mcp_cloud_agents.domain.applied import Applied, ApplyMode, Way
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.domain.rendering import change_text, counted
from mcp_cloud_agents.server.answers import ApplyAnswer, ChangedPathView
from mcp_cloud_agents.server.arguments import JobIdArgument
from mcp_cloud_agents.server.calls import actor_of, result_of, tool_errors
from mcp_cloud_agents.server.effects import CHANGES_FILES
from mcp_cloud_agents.server.front import Front
from mcp_cloud_agents.server.room import cut, within

_DESCRIPTION = """\
Apply the patch of a finished job (cloud subagent) to this checkout, all or nothing, merged with \
whatever else was edited meanwhile; bytes come from the job, nothing is retyped. mode="check" \
(default) only tells what would change and which paths conflict; mode="worktree" writes the \
files (never index, stash or refs; answers with an undo command); mode="branch" makes a commit on \
a new branch and leaves files alone. On a conflict nothing is written and the paths are listed. \
Patches that change files which tools obey (CI, hooks, editor and agent settings) need a person. \
Check first, then call again with mode="worktree". Free of cost."""
_LIST_CHARS = 1_800
Mode = Literal["check", "branch", "worktree"]


def add(server: MCPServer[None], front: Front) -> None:
    """Register the tool."""

    @server.tool(
        name="apply_patch",
        title="Apply a job's patch",
        description=_DESCRIPTION,
        annotations=CHANGES_FILES,
    )
    @tool_errors
    async def apply_patch(
        ctx: Context,
        job_id: JobIdArgument,
        mode: Annotated[
            Mode, Field(description="check, branch or worktree; default check.")
        ] = "check",
        branch: Annotated[
            str | None,
            Field(description="Name of the new branch; default cloud-agents/JOB_ID."),
        ] = None,
        workspace: Annotated[
            str | None,
            Field(
                description="Absolute path in the git worktree to change; "
                "default: where the server runs."
            ),
        ] = None,
        other_worktree: Annotated[
            bool,
            Field(
                description="True lets workspace be another worktree of the repository than the "
                "one the job was made from; default false."
            ),
        ] = False,
    ) -> Annotated[CallToolResult, ApplyAnswer]:
        order = ApplyOrder(
            job_id=JobId(job_id),
            workspace=workspace or front.workspace,
            way=Way(mode=ApplyMode(mode), branch=branch or ""),
            elsewhere=other_worktree,
            actor=actor_of(ctx),
        )
        return result_of(answer_of(await (await front.runner()).apply(order)))


def answer_of(applied: Applied) -> ApplyAnswer:
    """What was done, or would be, in at most 8,000 characters."""
    stuck = bool(applied.conflicts or applied.protected)
    undo = f"mcp-cloud-agents apply {applied.job_id} --undo"
    where = shlex.quote(applied.workspace)
    return ApplyAnswer(
        summary=summary_of(applied),
        next=_next_of(applied),
        job_id=applied.job_id,
        mode=applied.mode,
        applies=not stuck if applied.mode is ApplyMode.CHECK else True,
        changed=applied.done,
        workspace=cut(applied.workspace, 300),
        files=len(applied.paths),
        insertions=applied.insertions,
        deletions=applied.deletions,
        paths=_paths(applied),
        conflicts=_texts([f"{path}: {why}" for path, why in applied.conflicts]),
        protected=_texts([f"{path}: {why}" for path, why in applied.protected]),
        branch=None if applied.branch is None else cut(applied.branch, 300),
        commit=applied.commit,
        undo=cut(f"cd {where} && {undo}", 500) if applied.can_undo else None,
        patch_uri=f"job://{applied.job_id}/patch",
        notes=_texts(list(applied.notes)),
    )


def summary_of(applied: Applied) -> str:
    """One sentence."""
    change = change_text(len(applied.paths), applied.insertions, applied.deletions)
    if applied.conflicts:
        return f"It does not apply: {counted(len(applied.conflicts), 'conflict')}."
    if not applied.paths:
        return "Nothing to change: the patch is in this tree already."
    match applied.mode:
        case ApplyMode.CHECK:
            needs = ", and needs a person's word" if applied.protected else ""
            return f"It applies: {change}{needs}."
        case ApplyMode.BRANCH:
            already = "" if applied.done else " already"
            return f"Branch {cut(applied.branch or '', 200)} has it{already}: {change}."
        case ApplyMode.WORKTREE:
            return f"Applied: {change}."


def _next_of(applied: Applied) -> str:
    job = applied.job_id
    if applied.mode is ApplyMode.BRANCH:
        return f"git worktree add PATH {cut(applied.branch or '', 200)}, or merge it."
    if applied.conflicts:
        return (
            f'Commit or revert your edits there, or apply_patch(job_id="{job}", mode="branch"), '
            "or run the job again on the tree as it is."
        )
    if applied.mode is ApplyMode.WORKTREE or not applied.paths:
        return "Run the tests on the tree as it is now: run_tests_cloud."
    if applied.protected:
        return (
            "Let a person look at it and run: "
            f"mcp-cloud-agents apply {job} --mode worktree --allow-protected"
        )
    return f'apply_patch(job_id="{job}", mode="worktree") writes it.'


def _paths(applied: Applied) -> list[ChangedPathView]:
    shown = within([cut(path.path, 200) for path in applied.paths], _LIST_CHARS)
    return [
        ChangedPathView(
            path=text, how=path.how, insertions=path.insertions, deletions=path.deletions
        )
        for text, path in zip(shown[:20], applied.paths, strict=False)
    ]


def _texts(texts: list[str]) -> list[str]:
    shown = within([cut(text, 300) for text in texts[:20]], _LIST_CHARS // 2)
    left_out = len(texts) - len(shown)
    return [*shown, f"and {left_out} more"] if left_out else shown
