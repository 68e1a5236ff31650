"""A candidate that has ended, and all that came of a fix."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.arbiter import Candidate as Contender
from mcp_cloud_agents.domain.fix import CandidateReport, Evidence, FixReport, Label
from mcp_cloud_agents.domain.result import CauseKind, TestReport
from mcp_cloud_agents.domain.unified_diff import normalised
from mcp_cloud_agents.storage.files import read_whole
from mcp_cloud_agents.worker.fix.collected import PATCH, Collected
from mcp_cloud_agents.worker.fix.order import judged_name
from mcp_cloud_agents.worker.fix.verify import Suspect, Verification

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.patch import Patch
    from mcp_cloud_agents.worker.fix.candidates import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A candidate that has ended."""

    folder: str
    """Host folder of ours with what it left."""
    report: CandidateReport
    collected: Collected
    verification: Verification | None = None
    notes: tuple[str, ...] = ()
    """Of its engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """All that came of it."""

    report: FixReport
    made: tuple[Made, ...] = ()
    chosen: Made | None = None
    tests: TestReport | None = None
    """Of the target: on the chosen candidate's tree, else on the unchanged one."""
    exit_code: int | None = None
    """Of the same run."""
    peak_memory_mib: int = 0
    stopped: CauseKind | None = None
    """Why it ended early: CANCELLED, TIMEOUT, or SANDBOX_DIED."""
    notes: tuple[str, ...] = ()

    @property
    def patch(self) -> Patch | None:
        """The patch that is offered."""
        return self.chosen.collected.patch if self.chosen is not None else None


def made_of(candidate: Candidate, collected: Collected, verification: Verification | None) -> Made:
    """What there is of a candidate that has ended."""
    patch, ended = collected.patch, candidate.ended()
    report = CandidateReport(
        number=candidate.order.number,
        engine=candidate.order.engine,
        stopped=ended.reason,
        message=ended.message,
        model=ended.model,
        spent=candidate.spent(),
        duration_s=candidate.duration_s,
        files=patch.files if patch is not None else 0,
        insertions=patch.insertions if patch is not None else 0,
        deletions=patch.deletions if patch is not None else 0,
        sha256=patch.sha256 if patch is not None else "",
        evidence=verification.evidence if verification is not None else None,
    )
    return Made(
        folder=candidate.folder,
        report=report,
        collected=collected,
        verification=verification,
        notes=ended.notes,
    )


def judged_before(candidate: Candidate, found: Suspect) -> Verification | None:
    """What the candidate's own process found of the very same tree, when that is a judgement."""
    name = judged_name(found.change.tree)
    data = read_whole(os.path.join(candidate.folder, name))
    if data is None:
        return None
    known = msgspec.json.decode(data, type=Verification)
    told = known.evidence.rejected or known.evidence.label is not Label.UNVERIFIED
    return known if told else None


def unjudged(why: str) -> Verification:
    """The end of a change that was not judged, and why."""
    return Verification(evidence=Evidence(label=Label.UNVERIFIED, why=(why,)))


def number_of(made: Made) -> int:
    """Of the candidate."""
    return made.report.number


def contender(made: Made) -> Contender:
    """The candidate as the arbiter sees it."""
    diff = read_whole(os.path.join(made.folder, PATCH)) or b""
    return Contender(
        report=made.report,
        diff=normalised(diff.decode("utf-8", "replace")),
        cross=made.verification.cross if made.verification is not None else (),
    )
