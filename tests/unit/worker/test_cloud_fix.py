"""A fix job in the cloud's worker: the same work, and its artifacts in the bucket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.fix import (
    Budget,
    Engine,
    FixOrder,
    Label,
    ModelRoute,
    Provider,
    StopReason,
)
from mcp_cloud_agents.domain.job import JobState, Kind
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.job_objects import JobObjects
from tests.cloud_worker import WITHIN_S, Cloud, a_cloud, eventually, result_of, whole_log

pytestmark = pytest.mark.timeout(180)
FILES = {
    "calc.py": "def double(number):\n    return number + 2\n",
    "test_calc.py": "import unittest\n\nimport calc\n\n\nclass T(unittest.TestCase):\n"
    "    def test_five(self):\n        self.assertEqual(calc.double(5), 10)\n",
}
FIX = "sed -i 's/+ 2/* 2/' calc.py"


@pytest.fixture
def cloud(open_path: Path) -> Iterator[Cloud]:
    probe = Bubblewrap().probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    with a_cloud(open_path) as found:
        yield found


def a_fix(cloud: Cloud, edit: str) -> JobObjects:
    order = FixOrder(
        goal="double it", engine=Engine.COMMAND, edit_command=edit, budget=Budget(usd_micros=0)
    )
    return cloud.job(
        FILES, "python3 -m unittest", kind=Kind.FIX, runner="unittest", fix=order, folder=""
    )


def test_a_fix_is_verified_and_its_artifacts_are_in_the_bucket(cloud: Cloud) -> None:
    job = a_fix(cloud, FIX)
    code, _, said = cloud.run(job)
    assert code == 0, said
    result = result_of(job)
    assert result.fix is not None
    [candidate] = result.fix.candidates
    assert candidate.evidence is not None
    assert candidate.evidence.label is Label.VERIFIED
    assert result.patch is not None
    kept = [artifact.name for artifact in result.artifacts]
    assert kept[:2] == ["patch.diff", "report.md"]
    diff = job.artifact("patch.diff", 0, 1 << 20)
    assert diff is not None
    assert b"+    return number * 2" in diff.data
    assert "candidate 1 is verified" in whole_log(job)


@pytest.mark.slow
def test_a_cancel_in_the_middle_keeps_what_was_changed(cloud: Cloud) -> None:
    job = a_fix(cloud, f"{FIX}; echo begun; sleep 600")
    process = cloud.start(job)
    eventually(lambda: "begun\n" in whole_log(job))
    job.ask_to_cancel()
    process.communicate(timeout=WITHIN_S)
    result = result_of(job)
    assert result.state is JobState.CANCELLED
    assert result.fix is not None
    assert [one.stopped for one in result.fix.candidates] == [StopReason.CANCELLED]
    assert "candidate-1.diff" in [artifact.name for artifact in result.artifacts]


_WITHOUT_THE_EXTRA = (
    "import runpy, sys; sys.modules['pydantic_ai'] = None; "
    "runpy.run_module('mcp_cloud_agents.worker.aws', run_name='__main__', alter_sys=True)"
)


def test_an_image_without_the_extra_says_how_to_build_it_with_it(cloud: Cloud) -> None:
    route = ModelRoute(provider=Provider.ANTHROPIC, model="claude-haiku-4-5", key="env:KEY")
    order = FixOrder(goal="double it", engine=Engine.MODEL, models=(route,))
    job = cloud.job(
        FILES, "python3 -m unittest", kind=Kind.FIX, runner="unittest", fix=order, folder=""
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", _WITHOUT_THE_EXTRA],
        env=cloud.env(job) | {"KEY": "sk-none"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = result_of(job)
    assert result.state is JobState.FAILED
    assert result.cause is not None
    assert result.cause.kind is CauseKind.MODEL_UNUSABLE
    assert "LOCK=requirements-fix.lock" in result.cause.hint
    assert "reproducing" not in whole_log(job)
