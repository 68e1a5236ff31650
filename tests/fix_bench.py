"""A workbench over a real sandbox with a small broken program, and models that follow a script."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ToolCallPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mcp_cloud_agents.domain.fix import (
    Budget,
    Engine,
    Evidence,
    FixOrder,
    Label,
    ModelRoute,
    Provider,
    Reproduction,
)
from mcp_cloud_agents.domain.result import CauseKind, Outcome, TestCase, TestReport
from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.worker.fix.engine import Finished, Workbench
from mcp_cloud_agents.worker.fix.loop.chain import Terms
from mcp_cloud_agents.worker.fix.meter import Meter
from mcp_cloud_agents.worker.fix.transcript import TranscriptFile
from mcp_cloud_agents.worker.run import Watch, run
from tests.sandbox_box import PYTHON, Box, own

CALC = "def add(a, b):\n    return a - b\n"
CHECK = """\
import json, sys
import calc
CASES = {"adds": (2, 3, 5), "zero": (0, 0, 0), "negative": (-1, 1, 0)}
for name in sys.argv[1:] or CASES:
    a, b, want = CASES[name]
    got = calc.add(a, b)
    print(json.dumps([name, got == want, f"add({a}, {b}) is {got} and not {want}"]))
"""
KEPT = 131_072
ROUTE = ModelRoute(
    provider=Provider.ANTHROPIC,
    model="scripted",
    base_url="http://127.0.0.1:9",
    input_usd_per_mtok=1.0,
    output_usd_per_mtok=2.0,
)

Arguments = dict[str, Any]
BROKEN = TestReport(
    cases=(
        TestCase(id="adds", outcome=Outcome.FAILED, message="add(2, 3) is -1 and not 5"),
        TestCase(id="zero", outcome=Outcome.PASSED),
        TestCase(id="negative", outcome=Outcome.FAILED, message="add(-1, 1) is -2 and not 0"),
    ),
    complete=True,
)
Call = tuple[str, Arguments | str]
Turn = str | Sequence[Call] | Exception


def runs_in(box: Box, **changes: Any) -> Callable[..., Finished]:
    """`engine.Runs` over a box; arguments replace fields of its confinement."""

    def execute(
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        binds: Sequence[Bind] = (),
    ) -> Finished:
        assert not stdin
        said = bytearray()
        ran = run(
            box.sandbox,
            argv,
            box.confinement(
                binds=(*box.confinement().binds, *changes.get("binds", ()), *binds),
                env=tuple((env or {}).items()),
                **{name: one for name, one in changes.items() if name != "binds"},
            ),
            sink=said.extend,
            watch=Watch(timeout_s=timeout_s),
        )
        output = bytes(said)
        if len(said) > 2 * KEPT:
            output = output[:KEPT] + output[-KEPT:]
        return Finished(
            exit_code=-1 if ran.exit_code is None else ran.exit_code,
            output=output,
            timed_out=ran.stopped is CauseKind.TIMEOUT,
            duration_s=ran.duration_s,
        )

    return execute


@dataclass
class ToyBench:
    """The workbench of a program whose `add` subtracts."""

    box: Box
    folder: Path
    budget: Budget = field(default_factory=Budget)
    routes: tuple[ModelRoute, ...] = (ROUTE,)
    goal: str = "add must add"
    secrets: tuple[str, ...] = ()
    verified: list[Evidence] = field(default_factory=list[Evidence])

    def __post_init__(self) -> None:
        self.write("calc.py", CALC)
        self.write("check.py", CHECK)
        self.redactor = Redactor(self.secrets)
        self.meter = Meter(self.budget, str(self.folder / "spent.json"))
        self.execute = runs_in(self.box)
        self._ends_at = time.monotonic() + self.budget.wall_s

    @property
    def transcript(self) -> list[dict[str, Any]]:
        """The entries that are on the disk."""
        text = (self.folder / "transcript.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def terms(
        self, bench: Workbench, reach: Callable[[ModelRoute], Model], **changes: Any
    ) -> Terms:
        """The terms of its requests; arguments replace fields."""
        whole = Terms(
            meter=self.meter,
            transcript=bench.transcript,
            output_tokens=self.budget.output_tokens,
            reach=reach,
            pause_s=0,
        )
        return replace(whole, **changes)

    def write(self, name: str, text: str | bytes) -> None:
        """Put a file into the tree."""
        path = self.box.workspace / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        own(path)

    def read(self, name: str) -> str:
        """A file of the tree."""
        return (self.box.workspace / name).read_text()

    def run_tests(self, ids: Sequence[str] = ()) -> TestReport:
        """Run the checks in the sandbox."""
        done = self.execute((PYTHON, "-B", "check.py", *ids), timeout_s=30)
        try:
            lines = [json.loads(line) for line in done.output.splitlines()]
        except ValueError:
            return TestReport(problem=done.output.decode("utf-8", "replace")[-300:])
        return TestReport(cases=tuple(_case(*line) for line in lines), complete=True)

    def verify(self) -> Evidence:
        """Judge the tree by the same checks."""
        report = self.run_tests()
        failed = tuple(case.id for case in report.cases if case.outcome is Outcome.FAILED)
        missing = () if report.complete else ("adds",)
        good = not failed and not missing
        evidence = Evidence(
            label=Label.VERIFIED if good else Label.UNVERIFIED,
            rejected=not good,
            why=() if good else ("the target does not pass",),
            still_failing=failed,
            missing=missing,
        )
        self.verified.append(evidence)
        return evidence

    def bench(self, **changes: Any) -> Workbench:
        """The workbench itself; arguments replace fields."""
        path = str(self.folder / "transcript.jsonl")
        whole = Workbench(
            order=FixOrder(goal=self.goal, engine=Engine.MODEL, models=self.routes),
            number=1,
            budget=self.budget,
            reproduction=Reproduction(failing=("adds", "negative"), passed=1, runs=2),
            failures=BROKEN,
            target="python3 check.py",
            folder="",
            run=self.execute,
            run_tests=self.run_tests,
            verify=self.verify,
            transcript=TranscriptFile(path, self.redactor),
            left_s=lambda: self._ends_at - time.monotonic(),
            scratch=str(self.folder),
        )
        return replace(whole, **changes)


def _case(name: str, passed: bool, message: str) -> TestCase:
    if passed:
        return TestCase(id=name, outcome=Outcome.PASSED)
    return TestCase(id=name, outcome=Outcome.FAILED, file="check.py", line=7, message=message)


@dataclass
class Script:
    """A model that plays turns, and repeats the last one when they are over."""

    turns: Sequence[Turn]
    seen: list[list[ModelMessage]] = field(default_factory=list[list[ModelMessage]])
    infos: list[AgentInfo] = field(default_factory=list[AgentInfo])

    def answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        """The next turn."""
        self.seen.append(list(messages))
        self.infos.append(info)
        turn = self.turns[min(len(self.seen), len(self.turns)) - 1]
        if isinstance(turn, Exception):
            raise turn
        parts: list[ModelResponsePart] = [TextPart(turn)] if isinstance(turn, str) else []
        if not isinstance(turn, str):
            parts = [ToolCallPart(name, args) for name, args in turn]
        return ModelResponse(parts=parts)

    def reach(self, route: ModelRoute) -> Model:
        """The client of any route."""
        return FunctionModel(self.answer, model_name=route.model)


MEND: tuple[str, Arguments] = (
    "edit_file",
    {"path": "calc.py", "old_text": "a - b", "new_text": "a + b"},
)
SUBMIT: tuple[str, Arguments] = ("submit", {"summary": "add subtracted"})
