"""Tests written by a model that never saw a patch: what it is shown, what is taken from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain import result
from mcp_cloud_agents.domain.fix import Budget, ModelRoute, Provider
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.worker.fix.meter import Meter
from mcp_cloud_agents.worker.fix.transcript import TranscriptFile
from mcp_cloud_agents.worker.fix.written_tests import MAX_CHARS, Wanted, Writer, flaw
from tests.model_server.script import Script, Turn
from tests.model_server.server import ModelServer, model_server

KEY = "sk-ant-canary-0123456789abcdefghij"
GOOD = "import calc\n\ndef test_commutes():\n    assert calc.add(1, 2) == calc.add(2, 1)\n"
WANTED = Wanted(
    goal="add must add",
    runner="pytest",
    path="tests/test_written.py",
    failures=result.TestReport(
        cases=(result.TestCase(id="adds", outcome=result.Outcome.FAILED, message="5 != -1"),),
        complete=True,
    ),
    sources={"calc.py": "def add(a, b):\n    return a - b\n"},
)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as serving:
        yield serving


def writer(server: ModelServer, folder: Path, *turns: Turn, **budget: Any) -> Writer:
    route = ModelRoute(
        provider=Provider.OPENAI_CHAT,
        model="scribe",
        base_url=server.add("scribe", Script(turns=turns)) + "/v1",
        key="env:KEY",
        input_usd_per_mtok=1.0,
        output_usd_per_mtok=2.0,
    )
    allowed = Budget(**budget)
    return Writer(
        routes=(route,),
        keys={"env:KEY": KEY}.__getitem__,
        meter=Meter(allowed, str(folder / "spent.json")),
        budget=allowed,
        transcript=TranscriptFile(str(folder / "t.jsonl"), Redactor([KEY])),
    )


def handed(content: str) -> Turn:
    return Turn(calls=(("hand_in", {"content": content}),))


def test_the_file_comes_back_and_its_price_is_counted(server: ModelServer, tmp_path: Path) -> None:
    asks = writer(server, tmp_path, handed(GOOD))
    written = asks.write(WANTED)
    assert (written.content, written.problem) == (GOOD, "")
    assert asks.meter.spent.requests == 1
    prompt = server.seen("scribe")[0].text
    for part in ("add must add", "return a - b", "adds", "5 != -1", "tests/test_written.py"):
        assert part in prompt
    assert KEY not in prompt
    assert KEY not in (tmp_path / "t.jsonl").read_text()


def test_a_useless_file_is_asked_for_again(server: ModelServer, tmp_path: Path) -> None:
    written = writer(server, tmp_path, handed("def test_x(:"), handed(GOOD)).write(WANTED)
    assert written.content == GOOD
    assert "not valid Python" in server.seen("scribe")[1].text


def test_no_file_in_the_end_is_no_error_and_says_why(server: ModelServer, tmp_path: Path) -> None:
    useless = writer(server, tmp_path, handed("x = 1")).write(WANTED)
    assert useless.content == ""
    assert "could not be used" in useless.problem
    failed = writer(server, tmp_path, Turn(status=529)).write(WANTED)
    assert "scribe: HTTP 529" in failed.problem
    broke = writer(server, tmp_path, handed(GOOD), usd_micros=1).write(WANTED)
    assert "may cost" in broke.problem


@pytest.mark.parametrize(
    ("content", "runner", "why"),
    [
        (GOOD, "pytest", None),
        ("test('adds', () => {})", "vitest", None),
        ("  \n", "vitest", "empty"),
        ("x" * (MAX_CHARS + 1), "go", "characters"),
        ("def test_a(: pass", "pytest", "not valid Python"),
        ("def helper(): pass", "unittest", "no test function"),
        ("x = '\0'", "pytest", "not valid Python"),
    ],
)
def test_what_makes_a_file_useless_is_seen_without_running_it(
    content: str, runner: str, why: str | None
) -> None:
    found = flaw(content, runner)
    assert found is None if why is None else why in (found or "")
