"""Arguments that several tools share, described once for the model.

Codex strips bounds and defaults from schemas, so the descriptions say them in words; what can be
clamped is clamped in code.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_WAIT_S = 50.0

JobIdArgument = Annotated[str, Field(description="The job_id that a submit tool answered with.")]
Workspace = Annotated[
    str | None,
    Field(
        description="Absolute path in the git worktree to send; commands start there. "
        "Default: where the server runs."
    ),
]
Backend = Annotated[
    str,
    Field(
        description="Where to run: 'auto' (default: AWS when it is set up and healthy, else here), "
        "'local', 'aws_batch'. The result says where it ran."
    ),
]
TimeoutMinutes = Annotated[
    float | None,
    Field(description="Wall clock limit of the run, in minutes, up to 1440; default 30."),
]
WaitS = Annotated[
    float,
    Field(description="Seconds to wait for the end before answering, 0 to 50; default 0."),
]
IdempotencyKey = Annotated[
    str | None,
    Field(description="The same key always means the same job; default: the client's own call id."),
]
EstimateOnly = Annotated[
    bool,
    Field(
        description="True answers what the job may cost (cost.worst_usd, cost.estimate_usd) and "
        "starts nothing; default false."
    ),
]
Fresh = Annotated[
    bool,
    Field(
        description="True starts a new job although the same work on the same tree is running; "
        "default false."
    ),
]


def clamped_wait(seconds: float) -> float:
    """Seconds within what every client's own time limit allows."""
    return max(0.0, min(seconds, MAX_WAIT_S))
