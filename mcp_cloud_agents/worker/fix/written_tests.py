"""Tests for a goal, written by a model that sees the unchanged tree and never a patch.

They hold for any right solution: properties, relations between results, round trips. The caller
runs them on the base and on each candidate, and drops those that tell nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mcp_cloud_agents.domain.fix import Budget, ModelRoute
from mcp_cloud_agents.domain.result import TestReport
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.worker.fix.engine import Transcript
from mcp_cloud_agents.worker.fix.engines.model import require_extra, resolved
from mcp_cloud_agents.worker.fix.meter import Meter
from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers

MAX_CHARS = 60_000
"""Of a written file."""
MAX_SOURCE_CHARS = 12_000
"""Of one source that is shown."""
_PYTHON_RUNNERS = frozenset({"pytest", "unittest"})
_PYTHON_TEST = re.compile(r"^\s*(?:async\s+)?def test", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the tests shall be about. Nothing of it comes from a candidate."""

    goal: str
    runner: str
    """Name of the runner that will run the file."""
    path: str
    """Where the file will stand, relative to the top of the tree: imports must work from there."""
    failures: TestReport
    """The target's report on the unchanged tree."""
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path → text on the unchanged tree: the failing tests, and what they run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """What the model wrote."""

    content: str = ""
    """Of the file; empty: there is none."""
    problem: str = ""
    """Why there is none; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Asks for tests.

    Attributes:
        routes: models that may answer.
        keys: gives the key of a reference.
        meter: counts it against the budget.
        budget: of this call.
        transcript: records it.
        breakers: of the models.
        known: secrets of the job: no prompt may show one.
    """

    routes: Sequence[ModelRoute]
    keys: Callable[[str], str]
    meter: Meter
    budget: Budget
    transcript: Transcript
    breakers: ModelBreakers = field(default_factory=ModelBreakers)
    known: tuple[str, ...] = field(default=(), repr=False)

    def write(self, wanted: Wanted) -> WrittenFile:
        """Have the tests written; a limit or a failing model gives no file, and says why.

        Raises:
            ModelUnusable: the extra is missing, or a price or a key; nothing was sent.
        """
        require_extra()
        from mcp_cloud_agents.worker.fix.loop.chain import Terms
        from mcp_cloud_agents.worker.fix.loop.run import reach_by_keys
        from mcp_cloud_agents.worker.fix.loop.writing import have_written

        keys = resolved(self.routes, self.keys)
        terms = Terms(
            meter=self.meter,
            transcript=self.transcript,
            output_tokens=self.budget.output_tokens,
            reach=reach_by_keys(keys),
            breakers=self.breakers,
        )
        redactor = Redactor((*keys.values(), *self.known))
        return have_written(wanted, self.routes, terms, redactor, wall_s=self.budget.wall_s)


def flaw(content: str, runner: str) -> str | None:
    """What makes a written file useless; None: nothing that can be seen without running it."""
    if not content.strip():
        return "The file is empty."
    if len(content) > MAX_CHARS:
        return f"The file has {len(content)} characters; at most {MAX_CHARS} are taken."
    if runner not in _PYTHON_RUNNERS:
        return None
    try:
        ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        return f"The file is not valid Python: {exc}"
    return None if _PYTHON_TEST.search(content) else "There is no test function in it."
