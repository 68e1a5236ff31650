"""The answer of `apply_patch`, whatever a patch holds: within 8,000 characters, and harmless."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.domain.applied import Applied, ApplyMode, ChangedPath
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.server.answers import MAX_CHARS
from mcp_cloud_agents.server.tools.apply_patch import answer_of

JOB = JobId("j1m7zebz7wqqmyq88d9s8p6")


def applied(mode: ApplyMode, **changes: object) -> Applied:
    return Applied(job_id=JOB, mode=mode, workspace="/src/app", done=False, **changes)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("mode", ApplyMode)
@pytest.mark.parametrize("name", ["x" * 4_000, "ü" * 2_000, '"\\' * 1_000, "\u202e\x1b[31m" * 900])
def test_the_answer_is_short_and_plain_whatever_the_patch(mode: ApplyMode, name: str) -> None:
    paths = tuple(ChangedPath(path=f"{name}{n}", how="added") for n in range(500))
    reasons = tuple((f"{name}{n}", name) for n in range(200))
    answer = answer_of(
        applied(
            mode,
            paths=paths,
            conflicts=reasons,
            protected=reasons,
            branch=name,
            can_undo=True,
            notes=(name,) * 30,
        )
    )
    text = answer.model_dump_json(exclude_none=True)
    assert len(text) <= MAX_CHARS
    assert "\u202e" not in text
    assert "\\u001b" not in text
    assert answer.files == 500


@pytest.mark.parametrize(
    ("value", "summary", "after"),
    [
        (
            applied(ApplyMode.CHECK, paths=(ChangedPath(path="a", how="added", insertions=2),)),
            "It applies: 1 file, +2 -0.",
            f'apply_patch(job_id="{JOB}", mode="worktree") writes it.',
        ),
        (
            applied(ApplyMode.CHECK, conflicts=(("a", "changed in the same place"),)),
            "It does not apply: 1 conflict.",
            f'Commit or revert your edits there, or apply_patch(job_id="{JOB}", mode="branch"), '
            "or run the job again on the tree as it is.",
        ),
        (
            applied(ApplyMode.WORKTREE),
            "Nothing to change: the patch is in this tree already.",
            "Run the tests on the tree as it is now: run_tests_cloud.",
        ),
    ],
    ids=["applies", "conflicts", "is there"],
)
def test_summary_and_next_say_where_it_stands(value: Applied, summary: str, after: str) -> None:
    answer = answer_of(value)
    assert (answer.summary, answer.next) == (summary, after)
