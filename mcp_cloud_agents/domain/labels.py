"""From what was measured on one candidate to what its patch is worth.

A label comes from what ran, never from what an engine says. Whatever is missing lowers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.fix import Evidence, Finding, Label, Reproduction, WrittenTests

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_IDS = 200
_NAMED, _MAX_NAME = 3, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was measured on one candidate; ids are rendered, untrusted data."""

    reproduction: Reproduction
    """The target on the unchanged tree."""
    tree: str
    """Id of the tree that was judged."""
    unfit: str = ""
    """Why the patch could not be judged at all: it does not apply, or changes nothing."""
    problem: str = ""
    """Why the target's run on the candidate tells nothing: no readable report, or cut short."""
    mended: tuple[str, ...] = ()
    """Ids that failed on the base and pass now."""
    still_failing: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Expected ids, of the target or the suite, that the report lacks."""
    passed: int = 0
    """Tests of the target that pass now."""
    regressions: tuple[str, ...] = ()
    """Ids that passed on the base and failed in every rerun."""
    flaky: tuple[str, ...] = ()
    """Ids that failed once and passed in a rerun."""
    suite_problem: str = ""
    """Why the suite's run tells less than all: cut by a limit, no report."""
    protected: tuple[str, ...] = ()
    """Protected paths that the candidate changed; put back before anything ran."""
    findings: tuple[Finding, ...] = ()
    written: WrittenTests | None = None
    ran: tuple[str, ...] = ()
    """What was run, with counts; sentences."""


def label_of(facts: Judged) -> Evidence:
    """Judge a candidate by what was measured.

    Rejected, when something speaks against it: it does not apply, target tests fail or are
    missing, tests that passed fail, or it changes the runner or what is equal. `unverified`, when
    nothing speaks for it. `likely`, when the target passes and anything is missing or suspicious.
    Else `verified`.
    """
    missing = _with_lost(facts)
    against = _against(facts, missing)
    lacking = _lacking(facts)
    return Evidence(
        label=_label(facts, against, lacking),
        rejected=bool(against),
        why=(*against, *_unproven(facts, against), *lacking),
        ran=facts.ran,
        mended=facts.mended[:_MAX_IDS],
        still_failing=facts.still_failing[:_MAX_IDS],
        missing=missing[:_MAX_IDS],
        regressions=facts.regressions[:_MAX_IDS],
        flaky=facts.flaky[:_MAX_IDS],
        protected=facts.protected[:_MAX_IDS],
        findings=facts.findings,
        written=facts.written,
        tree=facts.tree,
    )


def _label(facts: Judged, against: tuple[str, ...], lacking: tuple[str, ...]) -> Label:
    if against or _unproven(facts, against):
        return Label.UNVERIFIED
    return Label.LIKELY if lacking else Label.VERIFIED


def _with_lost(facts: Judged) -> tuple[str, ...]:
    """Missing ids, and each that failed on the base and is told nowhere now."""
    if facts.unfit or facts.problem:
        return facts.missing
    told = {*facts.mended, *facts.still_failing, *facts.missing}
    return (*facts.missing, *(test for test in facts.reproduction.failing if test not in told))


def _against(facts: Judged, missing: tuple[str, ...]) -> tuple[str, ...]:
    """What makes it a candidate that must not be offered."""
    if facts.unfit:
        return (_sentence(facts.unfit),)
    said = list[str]()
    if facts.still_failing:
        said.append(f"{_tests(facts.still_failing)} of the target still fail{_s(facts)}.")
    if missing:
        said.append(f"{_tests(missing)} did not run, which counts as failing.")
    if facts.regressions:
        said.append(f"{_tests(facts.regressions)} passed before, and no longer.")
    if said and facts.protected:
        said.append(
            f"It changed {_names(facts.protected)}, protected, and does not work without that."
        )
    grave = [one for one in facts.findings if one.grave][:_NAMED]
    return (*said, *(f"It {one.why} ({one.path}:{one.line})." for one in grave))


def _s(facts: Judged) -> str:
    return "s" if len(facts.still_failing) == 1 else ""


def _unproven(facts: Judged, against: tuple[str, ...]) -> tuple[str, ...]:
    """Why nothing speaks for it, where nothing speaks against it."""
    if against:
        return ()
    if facts.problem:
        return (f"The target tells nothing: {_sentence(facts.problem)}",)
    if not facts.mended and not facts.passed:
        return ("No test of the target passed.",)
    return ()


def _lacking(facts: Judged) -> tuple[str, ...]:
    """What keeps a candidate whose target passes from `verified`."""
    return tuple(
        said
        for condition, said in (
            (not facts.reproduction.failing, "No failure was reproduced on the base."),
            (
                facts.reproduction.failing and facts.reproduction.runs < 2,
                "The failure was seen in one run only.",
            ),
            (
                facts.reproduction.flaky,
                f"The target is flaky on the base: {_names(facts.reproduction.flaky)}.",
            ),
            (facts.suite_problem, f"The suite was not judged: {_sentence(facts.suite_problem)}"),
            (
                facts.protected,
                f"Protected files were changed and put back: {_names(facts.protected)}.",
            ),
            (facts.findings, f"The change has {_suspicious(facts.findings)}."),
            (
                facts.written is not None and facts.written.failed,
                "Tests that were written without seeing the patch fail.",
            ),
        )
        if condition
    )


def _suspicious(findings: tuple[Finding, ...]) -> str:
    lines = "a suspicious line" if len(findings) == 1 else f"{len(findings)} suspicious lines"
    rules = sorted({finding.rule for finding in findings})
    return f"{lines} ({', '.join(rules)})"


def _tests(ids: tuple[str, ...]) -> str:
    return f"{len(ids)} test{'' if len(ids) == 1 else 's'} ({_names(ids)})"


def _names(names: Iterable[str]) -> str:
    shown = [name[:_MAX_NAME] for name in names]
    more = len(shown) - _NAMED
    return ", ".join(shown[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _sentence(text: str) -> str:
    return f"{text.strip().rstrip('.')}."
