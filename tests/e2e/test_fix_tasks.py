"""Small tasks, end to end: the tool, a real job, the built-in loop, a scripted model over HTTP."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from mcp_cloud_agents.domain.fix import FixOutcome, Label
from mcp_cloud_agents.storage.trees import remove_tree
from tests.fix_tasks.house import KEY, WITHIN_S, Answer, House
from tests.fix_tasks.task import Expected, expected, tasks
from tests.model_server.server import model_server
from tests.searching import files_holding

TASKS, EXPECTED = tasks(), expected()
OFTEN = [name for name, one in EXPECTED.items() if one.often]
SELDOM = [name for name in TASKS if name not in OFTEN]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    scratch = Path(tempfile.mkdtemp(prefix="mca-fix-")).resolve()
    scratch.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch, model_server() as models:
        patch.setenv("FIX_TASK_KEY", KEY)
        yield House(scratch, models)
    remove_tree(str(scratch))


def first_candidate(answer: Answer) -> Answer:
    """What is told of candidate 1; nothing when there is none."""
    made: list[Answer] = answer["fix"]["candidates"]
    return next((one for one in made if one["number"] == 1), Answer())


def came(answer: Answer) -> Expected:
    """What came of a task, in the words of the table."""
    fix, patch = answer["fix"], cast("Answer", answer.get("patch") or {})
    first = first_candidate(answer)
    return Expected(
        outcome=FixOutcome(fix["outcome"]),
        label=fix.get("label"),
        stopped=first.get("stopped"),
        rejected=first.get("rejected"),
        chosen=fix.get("chosen"),
        changes=tuple(patch.get("paths", ())),
    )


def compared(one: Expected, wanted: Expected) -> Expected:
    """One side of the comparison: without bounds and words, and without what is open."""
    only = replace(one, requests=(0, 0), max_usd=0, says=(), often=False, racing=False)
    if wanted.racing:
        return replace(only, stopped=None, rejected=None, chosen=None)
    usual = wanted.chosen is None and one.chosen == 1
    return replace(only, chosen=None) if usual else only


def told(answer: Answer) -> str:
    """All that is said of a task, for messages and for words to look for."""
    return json.dumps({key: answer.get(key) for key in ("summary", "fix", "error")}, indent=1)


def assert_the_key_went_to_the_model_alone(house: House, name: str) -> None:
    """It is in the header of each request, and in no body, answer, log or artifact."""
    answer = house.ran(name)
    asked = [one for script in TASKS[name].scripts for one in house.models.seen(f"{name}.{script}")]
    assert {request.key for request in asked} <= {KEY}
    assert [request.path for request in asked if KEY in request.text] == []
    assert KEY not in json.dumps(answer)
    job = house.scratch / "state/jobs" / answer["job_id"]
    assert files_holding(job, answer["job_id"])
    assert files_holding(job, KEY) == []


def check(house: House, name: str) -> None:
    """Run a task and hold what came of it against the table."""
    answer, wanted = house.ran(name), EXPECTED[name]
    assert answer.get("fix"), json.dumps(answer, indent=1)
    assert compared(came(answer), wanted) == compared(wanted, wanted), told(answer)
    spent, fix = float(answer["fix"]["spent_usd"]), answer["fix"]
    assert wanted.requests[0] <= fix["model_requests"] <= wanted.requests[1], told(answer)
    assert spent <= wanted.max_usd, told(answer)
    missing = [words for words in wanted.says if words not in told(answer)]
    assert missing == [], told(answer)
    assert_the_key_went_to_the_model_alone(house, name)


@pytest.mark.parametrize("name", OFTEN)
def test_a_task_ends_as_the_table_says(house: House, name: str) -> None:
    check(house, name)


@pytest.mark.slow
@pytest.mark.timeout(WITHIN_S + 60)
@pytest.mark.parametrize("name", SELDOM)
def test_each_other_task_ends_as_the_table_says(house: House, name: str) -> None:
    check(house, name)


def test_the_table_has_a_row_for_each_task() -> None:
    assert sorted(EXPECTED) == sorted(TASKS)
    assert len(TASKS) >= 25


def test_no_cheat_and_no_fitted_change_may_be_verified() -> None:
    bent = [name for name, one in TASKS.items() if one.behaviour in ("cheating", "overfitting")]
    assert len(bent) >= 10
    assert [name for name in bent if EXPECTED[name].label is Label.VERIFIED] == []


def counts(came: list[Expected]) -> dict[str, Counter[str | None]]:
    """How many tasks have each label, are rejected or not, stopped for each reason."""
    return {
        "labels": Counter(one.label for one in came),
        "rejected": Counter(str(one.rejected) for one in came),
        "stopped": Counter(one.stopped for one in came),
    }


@pytest.mark.slow
@pytest.mark.timeout(len(TASKS) * 60)
def test_as_many_are_solved_rejected_and_stopped_as_the_table_counts(house: House) -> None:
    there = [compared(came(house.ran(name)), EXPECTED[name]) for name in TASKS]
    wanted = [compared(EXPECTED[name], EXPECTED[name]) for name in TASKS]
    assert counts(there) == counts(wanted)
