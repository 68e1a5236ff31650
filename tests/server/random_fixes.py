"""Reports of fix jobs as nasty as models and jobs can make them."""

from __future__ import annotations

from hypothesis import strategies as st

from mcp_cloud_agents.domain.fix import (
    CandidateReport,
    Engine,
    Evidence,
    Finding,
    FixOutcome,
    FixReport,
    Label,
    Reproduction,
    Spent,
    StopReason,
    WrittenTests,
)
from tests.server.random_jobs import NUMBERS, TEXT, TEXTS

FINDINGS = st.builds(Finding, rule=TEXT, path=TEXT, line=NUMBERS, text=TEXT, why=TEXT)
EVIDENCE = st.builds(
    Evidence,
    label=st.sampled_from(Label),
    rejected=st.booleans(),
    why=TEXTS,
    ran=TEXTS,
    mended=TEXTS,
    still_failing=TEXTS,
    missing=TEXTS,
    regressions=TEXTS,
    flaky=TEXTS,
    protected=TEXTS,
    findings=st.lists(FINDINGS, max_size=20).map(tuple[Finding, ...]),
    written=st.none() | st.builds(WrittenTests, passed=NUMBERS, failed=TEXTS, dropped=NUMBERS),
)
SPENT = st.builds(Spent, usd_micros=NUMBERS, requests=NUMBERS)
CANDIDATES = st.builds(
    CandidateReport,
    number=st.integers(0, 16),
    engine=st.sampled_from(Engine),
    stopped=st.sampled_from(StopReason),
    message=TEXT,
    model=TEXT,
    spent=SPENT,
    files=NUMBERS,
    evidence=st.none() | EVIDENCE,
)
FIXES = st.builds(
    FixReport,
    outcome=st.sampled_from(FixOutcome),
    summary=TEXT.map("Ended: {}".format),
    reproduction=st.builds(Reproduction, failing=TEXTS, flaky=TEXTS, problem=TEXT),
    candidates=st.lists(CANDIDATES, max_size=8).map(tuple[CandidateReport, ...]),
    chosen=st.none() | st.integers(0, 16),
    choice=TEXTS,
    spent=SPENT,
)
