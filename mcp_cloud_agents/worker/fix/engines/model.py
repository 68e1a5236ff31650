"""The engine `model`: the built-in loop, which needs the extra `fix`.

Nothing of the model library is imported with this file: the processes of other engines read it too.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp_cloud_agents.domain.fix import ModelRoute
    from mcp_cloud_agents.worker.fix.engine import Ended, Workbench
    from mcp_cloud_agents.worker.fix.meter import Meter

_LIBRARIES = ("pydantic_ai", "pydantic_ai_harness")


class ModelEngine:
    """`worker.fix.engine.EngineRun` by a model with tools.

    Args:
        keys: gives the key of a reference, as `ModelRoute.key` has it.
        meter: of this candidate.
        breakers: of its models; None: it has some of its own.
    """

    def __init__(
        self,
        *,
        keys: Callable[[str], str],
        meter: Meter,
        breakers: ModelBreakers | None = None,
    ) -> None:
        self._keys = keys
        self._meter = meter
        self._breakers = breakers or ModelBreakers()

    def __call__(self, bench: Workbench) -> Ended:
        """See `EngineRun`.

        Raises:
            ModelUnusable: the extra is missing, a price or a key is unknown; nothing was sent.
        """
        require_extra()
        try:
            from mcp_cloud_agents.worker.fix.loop.chain import Terms
            from mcp_cloud_agents.worker.fix.loop.run import fix, reach_by_keys
        except ImportError as exc:
            raise extra_missing() from exc
        keys = resolved(bench.order.models, self._keys)
        terms = Terms(
            meter=self._meter,
            transcript=bench.transcript,
            output_tokens=bench.budget.output_tokens,
            reach=reach_by_keys(keys),
            breakers=self._breakers,
        )
        return fix(bench, terms, Redactor((*keys.values(), *bench.known)))


def resolved(routes: Sequence[ModelRoute], keys: Callable[[str], str]) -> dict[str, str]:
    """The key of each reference that the routes have."""
    return {route.key: keys(route.key) for route in routes if route.key}


def require_extra() -> None:
    """Refuse where the model library is not installed.

    Raises:
        ModelUnusable: it is not.
    """
    if any(find_spec(name) is None for name in _LIBRARIES):
        raise extra_missing()


def extra_missing() -> ModelUnusable:
    """The refusal; a library that is there in another version lacks what is imported, too."""
    return ModelUnusable(
        "The built-in engine needs the extra `fix`.",
        hint="pip install 'mcp-cloud-agents[fix]'. For jobs in AWS build the worker image with "
        "LOCK=requirements-fix.lock (docs/worker-image.md).",
    )
