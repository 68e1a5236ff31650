"""One run of the built-in loop, from the workbench to how it ended."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from mcp_cloud_agents.domain.fix import StopReason
from mcp_cloud_agents.worker.fix.engine import Ended
from mcp_cloud_agents.worker.fix.loop.agent import build_agent
from mcp_cloud_agents.worker.fix.loop.chain import REQUEST_S, Terms, chain
from mcp_cloud_agents.worker.fix.loop.endings import ended, one_line, planned
from mcp_cloud_agents.worker.fix.loop.models import connect
from mcp_cloud_agents.worker.fix.loop.prompt import task
from mcp_cloud_agents.worker.fix.loop.supervision import Supervision
from mcp_cloud_agents.worker.fix.loop.tools import Attempt
from mcp_cloud_agents.worker.fix.loop.workspace import Sandboxed, SandboxWorkspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_ai.agent import AgentRunResult
    from pydantic_ai.models import Model

    from mcp_cloud_agents.domain.fix import ModelRoute
    from mcp_cloud_agents.governance.redaction import Redactor
    from mcp_cloud_agents.worker.fix.engine import Workbench
    from mcp_cloud_agents.worker.fix.meter import Meter

_NO_LIMITS = UsageLimits(request_limit=None)
"""The meter has the limits, for all models and all tries together; the library's count turns."""


def fix(bench: Workbench, terms: Terms, redactor: Redactor) -> Ended:
    """Let the model work until it hands in or a limit ends it.

    Args:
        bench: what it works with.
        terms: what every request is subject to.
        redactor: goes over what it is told and what is said at the end.

    Raises:
        ModelUnusable: a model cannot be asked; nothing was sent.
        CandidateStopped: see `EngineRun`.
    """
    model = chain(bench.order.models, terms)
    try:
        result = anyio.run(partial(_run, bench, model, terms.meter, redactor))
    except Exception as exc:  # noqa: BLE001  `ended` sorts it; what is no end goes on as it was
        error = planned(exc)
        end = ended(error, redactor)
        if end is None:
            raise error from exc.__cause__
    else:
        end = Ended(
            reason=StopReason.SUBMITTED,
            message=one_line(result.output, redactor),
            model=result.response.model_name or "",
        )
    bench.transcript.write("end", reason=end.reason.value, message=end.message)
    model_name = end.model or bench.order.models[0].model
    return replace(end, model=model_name, notes=terms.breakers.notes)


async def _run(
    bench: Workbench, model: Model, meter: Meter, redactor: Redactor
) -> AgentRunResult[str]:
    mark = secrets.token_hex(4)
    execute = Sandboxed(bench.run, bench.left_s, bench.budget.command_s)
    workspace = SandboxWorkspace(execute)
    folder = await workspace.working_dir()
    root = folder.removesuffix(f"/{bench.folder}") if bench.folder else folder
    supervision = Supervision(meter, bench.transcript, redactor, mark)
    agent = build_agent(model, supervision, root)
    async with agent:
        with agent.parallel_tool_call_execution_mode("sequential"):
            return await agent.run(
                redactor.known(task(bench, mark)),
                deps=Attempt(bench, execute, mark),
                workspace=workspace,
                timeout=max(0.1, min(bench.budget.wall_s, bench.left_s())),
                usage_limits=_NO_LIMITS,
                model_settings=ModelSettings(max_tokens=bench.budget.output_tokens),
            )


def reach_by_keys(keys: Mapping[str, str]) -> Callable[[ModelRoute], Model]:
    """Clients of routes whose keys are resolved, by reference."""
    return lambda route: connect(route, keys.get(route.key, ""), timeout_s=REQUEST_S)
