"""Which of several candidates is offered, if any: decided by what ran, told in sentences.

Drop what must not be offered → the best label → tests of other origin → the majority of equal
changes → the smallest change → a judge, where there is one → the earliest, or nobody.
Running the tests and comparing the changes go together in the literature this order is from
(Agentless; R2E-Gym, arXiv 2504.07164; abstaining: arXiv 2510.03217).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcp_cloud_agents.domain.fix import CandidateReport, Evidence, Label

if TYPE_CHECKING:
    from collections.abc import Sequence

_BEST_FIRST = (Label.VERIFIED, Label.LIKELY, Label.UNVERIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A candidate as the arbiter sees it."""

    report: CandidateReport
    """Its number is its own among the candidates."""
    diff: str
    """Its change, normalised (`domain.unified_diff.normalised`): equal text, the same change."""
    cross: tuple[tuple[str, bool], ...] = ()
    """Tests of other origin (written ones, other candidates' tests) and whether each passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who is offered, and how it came to that."""

    chosen: int | None
    """Number of the candidate; None: nobody."""
    why: tuple[str, ...]
    """A sentence a step."""


class Judge(Protocol):
    """Decides between candidates that nothing which ran tells apart."""

    def __call__(self, candidates: Sequence[Candidate], /) -> int | None:
        """The number of the best one; None when it cannot say."""
        ...


def choose(candidates: Sequence[Candidate], judge: Judge | None = None) -> Choice:
    """Choose the candidate that is offered.

    The order of `candidates` plays no part. A rejected candidate, or one without a change or
    without evidence, is never chosen, whatever the judge says.
    """
    why = list[str]()
    left = _fit(sorted(candidates, key=_number), why)
    for step in (_best_label, _best_cross, _majority, _smallest):
        if len(left) > 1:
            left = step(left, why)
    if len(left) > 1 and judge is not None:
        left = _judged(left, judge(left), why)
    return _end(left, why)


def _fit(candidates: list[Candidate], why: list[str]) -> list[Candidate]:
    fit = list[Candidate]()
    for candidate in candidates:
        evidence, number = candidate.report.evidence, _number(candidate)
        if evidence is not None and evidence.rejected:
            why.append(f"Candidate {number} was rejected: {' '.join(evidence.why)}".rstrip(": "))
        elif not candidate.report.sha256:
            why.append(f"Candidate {number} changed nothing.")
        elif evidence is None:
            why.append(f"Candidate {number} was not judged.")
        else:
            fit.append(candidate)
    return fit


def _best_label(left: list[Candidate], why: list[str]) -> list[Candidate]:
    best = min(map(_rank, left))
    kept = [candidate for candidate in left if _rank(candidate) == best]
    if len(kept) < len(left):
        why.append(f"{_named(kept)} {_is(kept)} {_BEST_FIRST[best]}, the others less.")
    return kept


def _best_cross(left: list[Candidate], why: list[str]) -> list[Candidate]:
    best = max(map(_crossed, left))
    kept = [candidate for candidate in left if _crossed(candidate) == best]
    if len(kept) < len(left):
        why.append(f"{_named(kept)} {_pass(kept)} the most tests of other origin ({best}).")
    return kept


def _majority(left: list[Candidate], why: list[str]) -> list[Candidate]:
    """Those that came to the same change more often than any other; the same change counts once."""
    times = Counter(candidate.diff for candidate in left)
    most = max(times.values())
    first = {diff: next(one for one in left if one.diff == diff) for diff in times}
    kept = [first[diff] for diff, count in times.items() if count == most]
    if most > 1:
        same = [one for one in left if times[one.diff] == most]
        why.append(f"{_named(same)} came to the same change{'' if len(kept) == 1 else 's'}.")
    return kept


def _smallest(left: list[Candidate], why: list[str]) -> list[Candidate]:
    best = min(map(_size, left))
    kept = [candidate for candidate in left if _size(candidate) == best]
    if len(kept) < len(left):
        lines = f"{best[0]} line{'' if best[0] == 1 else 's'}"
        why.append(f"The change of {_named(kept).lower()} is the smallest ({lines}).")
    return kept


def _judged(left: list[Candidate], number: int | None, why: list[str]) -> list[Candidate]:
    kept = [candidate for candidate in left if _number(candidate) == number]
    if not kept:
        why.append(f"The judge did not decide between {_named(left).lower()}.")
        return left
    why.append(f"The judge prefers candidate {number}.")
    return kept


def _end(left: list[Candidate], why: list[str]) -> Choice:
    if not left:
        return Choice(chosen=None, why=(*why, "No candidate is left that could be offered."))
    number, label = _number(left[0]), _BEST_FIRST[_rank(left[0])]
    if len(left) > 1:
        told = f"Nothing that ran tells {_named(left).lower()} apart"
        if label is Label.UNVERIFIED:
            return Choice(chosen=None, why=(*why, f"{told}, and none is proven: none is offered."))
        why.append(f"{told}: the earliest is taken.")
    return Choice(chosen=number, why=(*why, f"Candidate {number} is offered, {label}."))


def _number(candidate: Candidate) -> int:
    return candidate.report.number


def _evidence(candidate: Candidate) -> Evidence:
    return candidate.report.evidence or Evidence(label=Label.UNVERIFIED)


def _rank(candidate: Candidate) -> int:
    return _BEST_FIRST.index(_evidence(candidate).label)


def _crossed(candidate: Candidate) -> int:
    return sum(passed for _, passed in candidate.cross)


def _size(candidate: Candidate) -> tuple[int, int]:
    report = candidate.report
    return report.insertions + report.deletions, report.files


def _named(candidates: Sequence[Candidate]) -> str:
    numbers = [str(_number(candidate)) for candidate in candidates]
    if len(numbers) == 1:
        return f"Candidate {numbers[0]}"
    return f"Candidates {', '.join(numbers[:-1])} and {numbers[-1]}"


def _is(candidates: Sequence[Candidate]) -> str:
    return "is" if len(candidates) == 1 else "are"


def _pass(candidates: Sequence[Candidate]) -> str:
    return "passes" if len(candidates) == 1 else "pass"
