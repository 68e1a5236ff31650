"""Fix jobs for which a scripted model first writes tests, and then makes a change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.fix import Budget, Engine, ModelRoute, Provider
from mcp_cloud_agents.domain.job import JobSpec
from tests.e2e.fix_jobs import FAILING, FIX, Bench, fill
from tests.e2e.wire import a_repository
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
PROPERTY = """\
import unittest

from calc import double


class TestWritten(unittest.TestCase):
    def test_it_is_a_sum(self):
        for number in (0, 7, 11, -4):
            self.assertEqual(double(number), number + number)

    def test_it_is_broken_itself(self):
        nothing.of_the_kind()
"""
FITTED = "return 4 if number == 2 else 10 if number == 5 else number + 3"


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def bench(open_path: Path) -> Bench:
    repository = a_repository(open_path)
    fill(repository)
    return Bench(repository)


def a_spec(bench: Bench, models: ModelServer, new_text: str, **changes: Any) -> JobSpec:
    """The model writes PROPERTY, then puts `new_text` in place of the bug."""
    edit = {"path": "calc.py", "old_text": "return number + 3", "new_text": new_text}
    script = Script(
        conversations=(
            (Turn(calls=(("hand_in", {"content": PROPERTY}),)),),
            (
                Turn(calls=(("edit_file", edit),)),
                Turn(calls=(("submit", {"summary": "done"}),)),
            ),
        )
    )
    key = bench.repository.path.parent / "key"
    key.touch(mode=0o600)
    key.write_text("sk-a-key-of-a-test\n")
    route = ModelRoute(
        provider=Provider.ANTHROPIC,
        model="claude-haiku-4-5",
        base_url=models.add("written", script),
        key=f"file:{key}",
    )
    order: dict[str, Any] = {
        "engine": Engine.MODEL,
        "edit_command": "",
        "models": (route,),
        "budget": Budget(),
        "written_tests": True,
    }
    return bench.spec("true", **(order | changes))


@pytest.mark.slow
async def test_a_right_change_passes_tests_that_never_saw_it(
    bench: Bench, models: ModelServer
) -> None:
    done = await bench.run(a_spec(bench, models, "return number * 2"))
    assert done.evidence["label"] == "verified", done.log
    assert done.evidence["written"] == {"passed": 1, "failed": [], "dropped": 1}
    assert done.told["spent"]["requests"] == 3
    assert "calc" in models.seen("written")[0].text
    assert done.result is not None
    assert done.result.patch is not None
    assert done.result.patch.paths == ("calc.py",)


@pytest.mark.slow
async def test_a_change_fitted_to_the_visible_inputs_is_likely_at_most(
    bench: Bench, models: ModelServer
) -> None:
    done = await bench.run(a_spec(bench, models, FITTED))
    assert done.evidence["mended"] == list(FAILING)
    assert done.evidence["label"] == "likely", done.log
    assert len(done.evidence["written"]["failed"]) == 1


@pytest.mark.slow
async def test_without_a_usable_answer_the_candidates_are_judged_without(
    bench: Bench, models: ModelServer
) -> None:
    by_command = {"engine": Engine.COMMAND, "edit_command": FIX, "budget": Budget(usd_micros=1)}
    done = await bench.run(a_spec(bench, models, "", **by_command))
    assert done.evidence["label"] == "verified", done.log
    assert done.evidence["written"] is None
    assert "0 tests written; The next request may cost" in done.log
    assert models.seen("written") == []


async def test_what_costs_nothing_comes_first(bench: Bench, models: ModelServer) -> None:
    done = await bench.run(a_spec(bench, models, "return number * 2", edit_command=FIX))
    assert (done.told["chosen"], done.evidence["label"]) == (0, "verified")
    assert models.seen("written") == []
