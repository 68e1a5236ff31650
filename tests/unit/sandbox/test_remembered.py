"""A remembered probe: one start for many jobs, and never an answer about another machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Confinement, IsolationLevel, Limits, Probe
from mcp_cloud_agents.ports.sandbox import Confined
from mcp_cloud_agents.sandbox import remembered
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.sandbox.remembered import Remembered, of_this_machine


@dataclass(slots=True)
class Counted:
    """A driver that gives these answers in turn; nothing is started."""

    answers: list[bool]
    asked: int = 0
    parallel: bool = True
    level: IsolationLevel = field(default=IsolationLevel.FULL)

    def probe(self) -> Probe:
        self.asked += 1
        works = self.answers[self.asked - 1]
        return Probe(level=self.level, driver=f"number {self.asked}", works=works)

    def start(self, argv: Sequence[str], confinement: Confinement, *, output: int) -> Confined:
        raise IsolationUnavailable("it does not start", hint="")


def test_while_nothing_changes_it_is_tried_once() -> None:
    driver = Counted([True])
    sandbox = Remembered(driver, lambda: "same")
    assert [sandbox.probe().driver for _ in range(3)] == ["number 1"] * 3
    assert (sandbox.level, sandbox.parallel) == (IsolationLevel.FULL, True)


def test_a_change_of_the_machine_is_another_trial() -> None:
    seen = iter(["before", "before", "after", "after"])
    sandbox = Remembered(Counted([True, False, True]), lambda: next(seen))
    assert [sandbox.probe().works for _ in range(4)] == [True, True, False, True]


def test_a_failure_is_never_remembered() -> None:
    sandbox = Remembered(Counted([False, True]), lambda: "same")
    assert [sandbox.probe().works for _ in range(3)] == [False, True, True]


def test_a_remembered_success_is_no_promise_that_it_starts() -> None:
    sandbox = Remembered(Counted([True]), lambda: "same")
    assert sandbox.probe().works
    with pytest.raises(IsolationUnavailable):
        sandbox.start(["true"], Confinement(binds=(), limits=Limits()), output=1)


def test_another_bubblewrap_program_is_another_machine(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = os.path.join(tmp_path, "bwrap")
    monkeypatch.setattr(remembered, "SYSTEM_PATH", str(tmp_path))
    found = [of_this_machine()]
    for text in ("#!/bin/true\n", "#!/bin/false\n"):
        with open(program, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(program, 0o700)
        found.append(of_this_machine())
    assert len(set(found)) == 3
    assert of_this_machine() == found[-1]


def test_on_this_machine_the_memory_says_what_a_trial_says() -> None:
    sandbox = Remembered(Bubblewrap())
    assert sandbox.probe() == sandbox.probe() == Bubblewrap().probe()
