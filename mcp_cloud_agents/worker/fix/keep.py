"""What is kept of a fix: each candidate's change and transcript, the evidence, a report to read."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.result import Artifact
from mcp_cloud_agents.runners.junit import write as write_junit
from mcp_cloud_agents.storage.files import read_whole, write_durably
from mcp_cloud_agents.worker.fix.collected import PATCH
from mcp_cloud_agents.worker.fix.order import TRANSCRIPT
from mcp_cloud_agents.worker.fix.written_report import in_markdown
from mcp_cloud_agents.worker.kept import JUNIT

if TYPE_CHECKING:
    from mcp_cloud_agents.worker.fix.made import Made, Worked

_LARGEST = 64 << 20


class Keeper:
    """Puts artifacts into a folder, under names of ours.

    Args:
        folder: the job's folder of artifacts.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self.artifacts: list[Artifact] = []

    def keep(self, name: str, data: bytes | None, media_type: str, description: str) -> None:
        """Keep some bytes; none and nothing are not kept.

        Raises:
            NoSpace: the disk is full.
        """
        if not data:
            return
        write_durably(os.path.join(self._folder, name), data)
        self.artifacts.append(
            Artifact(
                name=name,
                media_type=media_type,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                description=description,
            )
        )


def keep(worked: Worked, folder: str) -> tuple[Artifact, ...]:
    """Keep all there is of a fix, the offered patch first."""
    keeper = Keeper(folder)
    chosen = worked.chosen
    if chosen is not None:
        keeper.keep(PATCH, _left(chosen, PATCH), "text/x-diff", "the patch that is offered")
    keeper.keep(
        "report.md", in_markdown(worked.report).encode(), "text/markdown", "what was done, to read"
    )
    keeper.keep(
        "evidence.json",
        msgspec.json.format(msgspec.json.encode(worked.report)),
        "application/json",
        "what was run on each candidate, and what came of it",
    )
    tests = worked.tests
    if tests is not None and tests.cases:
        junit = write_junit(tests.cases)
        keeper.keep(JUNIT, junit, "application/xml", "the target's tests that the verdict is of")
    for made in worked.made:
        _keep_candidate(keeper, made)
    return tuple(keeper.artifacts)


def _keep_candidate(keeper: Keeper, made: Made) -> None:
    number = made.report.number
    if made.collected.patch is not None:
        keeper.keep(
            f"candidate-{number}.diff",
            _left(made, PATCH),
            "text/x-diff",
            f"what candidate {number} changed",
        )
    keeper.keep(
        f"transcript-{number}.jsonl",
        _left(made, TRANSCRIPT),
        "application/x-ndjson",
        f"what candidate {number} did, step by step",
    )


def _left(made: Made, name: str) -> bytes | None:
    return read_whole(os.path.join(made.folder, name), limit=_LARGEST)
