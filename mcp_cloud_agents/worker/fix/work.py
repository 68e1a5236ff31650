"""The way of a fix: reproduce ─ baseline ─ make candidates ─ judge each ─ choose.

The worker holds no model library and trusts no engine: what an engine left is a workspace, and
what counts is the patch collected from it, judged in fresh checkouts.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.arbiter import choose
from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.domain.fix import (
    Engine,
    FixOrder,
    FixOutcome,
    FixReport,
    Label,
    Reproduction,
    Spent,
    StopReason,
)
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.storage.files import read_whole
from mcp_cloud_agents.storage.trees import remove_tree
from mcp_cloud_agents.worker.fix import outcome
from mcp_cloud_agents.worker.fix.candidates import Candidate, Candidates
from mcp_cloud_agents.worker.fix.checkout import checkout
from mcp_cloud_agents.worker.fix.collected import Collected, collect, nothing_left, suspect
from mcp_cloud_agents.worker.fix.judged_by_written import place_of, run_written, sources_for
from mcp_cloud_agents.worker.fix.lab import Lab, Stopped, allowed_s
from mcp_cloud_agents.worker.fix.made import (
    Made,
    Worked,
    contender,
    judged_before,
    made_of,
    number_of,
    unjudged,
)
from mcp_cloud_agents.worker.fix.order import WRITTEN, CandidateOrder
from mcp_cloud_agents.worker.fix.reproduce import (
    Base,
    Written,
    baseline,
    files_of,
    reproduce,
    without_target,
)
from mcp_cloud_agents.worker.fix.verify import Verification, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mcp_cloud_agents.domain.result import Progress
    from mcp_cloud_agents.worker.fix.lab import Attendant
    from mcp_cloud_agents.worker.fix.reproduce import Fresh

_AT_ONCE = 4
"""So many candidates are made at the same time at most."""


class Work:
    """One fix.

    Args:
        lab: where it is done; its folder is a fresh one.
        order: what was asked for.
        keys: the models' keys by their references.
        untouched: host folder of the restored snapshot, in which nothing runs.
    """

    def __init__(self, lab: Lab, order: FixOrder, keys: Mapping[str, str], untouched: str) -> None:
        self._order = order
        self._keys = dict(keys)
        self._untouched = untouched
        self._candidates = Candidates(gently=not lab.sandbox.parallel, log=lab.desk.log)
        self._lab = replace(lab, desk=_Attending(lab.desk, self._candidates))
        self._made: list[Made] = []
        self._spent = Spent()
        """By others than candidates."""
        self._notes: tuple[str, ...] = ()
        """Of the same."""
        self._reproduction = Reproduction()
        self._first: Fresh | None = None
        self._early: tuple[FixOutcome, str] | None = None
        self._stopped: CauseKind | None = None

    def do(self) -> Worked:
        """Do it to its end; nothing of it runs afterwards.

        Raises:
            AgentsError: nothing could be run.
        """
        try:
            self._all()
        except Stopped as exc:
            late = exc.kind is CauseKind.TIMEOUT
            self._stopped = None if late else exc.kind
            self._keep_partial(StopReason.WALL_CLOCK if late else StopReason.CANCELLED)
        finally:
            self._candidates.close()
        return self._worked()

    def _all(self) -> None:
        order, spec = self._order, self._lab.spec
        self._reproduction, self._first = reproduce(self._lab)
        code = self._first.trial.exit_code if self._first is not None else None
        found, runner = self._reproduction, spec.runner if spec.command else None
        self._lab.desk.say(outcome.reproduced(found, runner=runner, exit_code=code))
        self._early = outcome.ends_before(order, found, runner=runner, exit_code=code)
        if self._early is not None:
            self._lab.desk.say(self._early[1])
            return
        base = self._base()
        if order.edit_command and order.engine is not Engine.COMMAND:
            self._make(base, (0,))  # it costs nothing
        if self._done():
            return
        if order.written_tests and order.models and base.tests:
            base = self._with_written(base)
        self._make(base, tuple(range(1, order.attempts + 1)))

    def _base(self) -> Base:
        if self._first is None:
            return without_target(self._reproduction)
        return baseline(self._lab, self._untouched, self._reproduction, self._first)

    def _with_written(self, base: Base) -> Base:
        """Have tests written, and see how they end on the unchanged tree."""
        lab = self._lab
        path = place_of(base.tests, f"written_{secrets.token_hex(4)}")
        if path is None:
            return base
        told = replace(
            self._told(base, 0, Engine.MODEL, lab.make_folder("written")),
            budget=self._order.budget.share(self._order.attempts + 1),
            writes=path,
            sources=self._sources(base),
            keys=self._keys,
            secrets=(),
        )
        lab.desk.say(f"tests for the goal are written: {path}")
        writer = self._candidates.start(told, lambda: None)
        while not writer.over:
            lab.check()
            self._candidates.wait()
        self._candidates.take_ended()
        self._spent += writer.spent()
        self._notes += writer.ended().notes
        content = _content_of(writer)
        outcomes = run_written(lab, base.target, path, content) if content else {}
        lab.desk.say(
            f"{outcome.tests(len(outcomes))} written; {writer.ended().message}".rstrip("; ")
        )
        written = Written(path=path, content=content, outcomes=outcomes)
        return replace(base, written=written if outcomes else None)

    def _sources(self, base: Base) -> dict[str, str]:
        with checkout(self._lab, self._lab.next_folder("fresh")) as tree:
            paths = sources_for(base.tests, tree.names_in(""))
        return files_of(self._untouched, paths)

    def _done(self) -> bool:
        """Whether nothing better can come: a candidate is verified, or the time is up."""
        return self._verified() or self._lab.left_s() <= 0

    def _verified(self) -> bool:
        return any(
            made.report.evidence is not None and made.report.evidence.label is Label.VERIFIED
            for made in self._made
        )

    def _make(self, base: Base, numbers: tuple[int, ...]) -> None:
        """Make these candidates, as many at once as the sandbox allows, until one is verified."""
        waiting = list(numbers)
        width = _AT_ONCE if self._lab.sandbox.parallel else 1
        while waiting or self._candidates.running:
            while waiting and len(self._candidates.running) < width and not self._done():
                self._start(base, waiting.pop(0))
            self._lab.check()
            self._candidates.wait()
            for candidate in self._candidates.take_ended():
                self._judge(base, candidate)
            if self._done():
                waiting.clear()
                late = StopReason.OUTRUN if self._verified() else StopReason.WALL_CLOCK
                self._keep_partial(late)

    def _start(self, base: Base, number: int) -> None:
        lab = self._lab
        folder = lab.make_folder(f"candidate-{number}")
        engine = self._order.engine if number else Engine.COMMAND
        told = self._told(base, number, engine, folder)
        lab.desk.say(f"candidate {number} ({engine}): begins")
        self._candidates.start(told, lambda: _restored(lab, folder))

    def _told(self, base: Base, number: int, engine: Engine, folder: str) -> CandidateOrder:
        lab, order = self._lab, self._order
        budget = order.budget.less(self._spent).share(max(1, order.attempts))
        return CandidateOrder(
            spec=lab.spec,
            number=number,
            engine=engine,
            budget=budget,
            places=replace(lab.places, job=folder),
            env=lab.env,
            level=lab.sandbox.level,
            base=base,
            deadline=min(time.monotonic() + budget.wall_s, lab.deadline - self._reserved_s(base)),
            parent=os.getpid(),
            keys=self._keys if number else {},
            secrets=lab.exposure.env,
            known=self._known(with_keys=number > 0),
        )

    def _known(self, *, with_keys: bool) -> tuple[str, ...]:
        """What a candidate must not show; one without a model has no key of one either."""
        keys = () if with_keys else self._keys.values()
        return tuple(value for value in self._lab.exposure.known if value not in keys)

    def _reserved_s(self, base: Base) -> float:
        """What judging takes is kept back of the job's time, but never more than half of it."""
        suite_s = base.suite.duration_s if base.suite is not None else 0.0
        return min(allowed_s(base.target.duration_s) + 2 * suite_s, self._lab.left_s() / 2)

    def _judge(self, base: Base, candidate: Candidate) -> None:
        """Collect what an ended candidate changed, and judge it unless that was done before."""
        collected = self._collected(candidate)
        number = candidate.order.number
        found = suspect(candidate.folder, collected, base.tests)
        if found is None:
            evidence = nothing_left(collected)
            self._add(candidate, collected, Verification(evidence=evidence) if evidence else None)
            if evidence is not None:
                self._lab.desk.say(outcome.judged(number, evidence))
            return
        try:
            verification = judged_before(candidate, found)
            if verification is None:
                verification = verify(self._lab.within(self._lab.next_folder("judge")), base, found)
        except Stopped:
            self._add(candidate, collected, unjudged("The job was ended before it was judged."))
            raise
        except AgentsError as exc:  # what was paid for is kept, judged or not
            verification = unjudged(f"It could not be judged: {exc.message}")
        self._add(candidate, collected, verification)
        evidence = verification.evidence
        if evidence.ran:
            self._lab.desk.say(f"verifying candidate {number}: {'; '.join(evidence.ran)}")
        self._lab.desk.say(outcome.judged(number, evidence))

    def _keep_partial(self, reason: StopReason) -> None:
        """End all that run; what they have so far is kept, unjudged."""
        why = _UNJUDGED.get(reason)
        for candidate in self._candidates.stop_all(reason):
            if candidate.order.writes:
                self._spent += candidate.spent()
                continue
            collected = self._collected(candidate)
            judged = unjudged(why) if why is not None and collected.patch is not None else None
            self._add(candidate, collected, judged)

    def _collected(self, candidate: Candidate) -> Collected:
        collected = collect(self._lab, candidate.folder)
        patch, order = collected.patch, candidate.order
        change = f"{outcome.files(patch.files)} changed" if patch is not None else "no change"
        ended = candidate.ended()
        aside = "" if ended.reason is StopReason.SUBMITTED else f", ended: {ended.reason}"
        said = f" ({ended.message})" if ended.message else ""
        self._lab.desk.say(f"candidate {order.number} ({order.engine}): {change}{aside}{said}")
        return collected

    def _add(
        self, candidate: Candidate, collected: Collected, verification: Verification | None
    ) -> None:
        self._made.append(made_of(candidate, collected, verification))
        for name in ("workspace", "git"):  # several of them, of a large tree, fill a disk
            remove_tree(os.path.join(candidate.folder, name))

    def _worked(self) -> Worked:
        made = tuple(sorted(self._made, key=number_of))
        choice = choose([contender(one) for one in made])
        cancelled = self._stopped is not None
        chosen = (
            None if cancelled else next((m for m in made if number_of(m) == choice.chosen), None)
        )
        reports = tuple(one.report for one in made)
        how, summary = self._early or (FixOutcome.NO_PATCH, outcome.nothing_offered(reports))
        if cancelled:
            summary = outcome.ended_early(reports)
        elif chosen is not None:
            how, summary = FixOutcome.PATCH, outcome.offered(chosen.report)
        report = FixReport(
            outcome=how,
            summary=summary,
            reproduction=self._reproduction,
            candidates=reports,
            chosen=number_of(chosen) if chosen is not None else None,
            choice=choice.why if made and not cancelled else (),
            spent=sum((one.report.spent for one in made), self._spent),
        )
        return self._with_run(Worked(report=report, made=made, chosen=chosen))

    def _with_run(self, worked: Worked) -> Worked:
        """The target's run that the job's verdict is of."""
        judged = worked.chosen.verification if worked.chosen is not None else None
        run = judged or (self._first.trial if self._first is not None else None)
        late = CauseKind.TIMEOUT if self._lab.left_s() <= 0 and worked.chosen is None else None
        return replace(
            worked,
            tests=run.report if run is not None else None,
            exit_code=run.exit_code if run is not None else None,
            peak_memory_mib=run.peak_memory_mib if run is not None else 0,
            stopped=self._stopped or late,
            notes=tuple(dict.fromkeys((*self._notes, *_notes_of(worked.made)))),
        )


class _Attending:
    """The job's desk; whoever waits for something attends to the candidates meanwhile."""

    def __init__(self, desk: Attendant, candidates: Candidates) -> None:
        self.log = desk.log
        self.say = desk.say
        self.cancelled = desk.cancelled
        self._desk = desk
        self._candidates = candidates

    def beat(self, progress: Progress | None) -> None:
        """See `Attendant`."""
        self._candidates.attend()
        self._desk.beat(progress)


_UNJUDGED = {
    StopReason.CANCELLED: "The job was cancelled before it was judged.",
    StopReason.WALL_CLOCK: "The job's time was up before it was judged.",
}


def _notes_of(made: Sequence[Made]) -> Iterator[str]:
    for one in made:
        yield from one.collected.notes
        yield from one.notes


def _content_of(writer: Candidate) -> str:
    data = read_whole(os.path.join(writer.folder, WRITTEN))
    return "" if data is None else msgspec.json.decode(data, type=dict[str, str])["content"]


def _restored(lab: Lab, folder: str) -> None:
    checkout(lab, folder)
