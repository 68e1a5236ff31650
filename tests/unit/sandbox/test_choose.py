"""The choice of a sandbox: the strongest that works, never a weaker one than asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Confinement, IsolationLevel, Probe
from mcp_cloud_agents.ports.sandbox import Confined
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.sandbox.choose import best, choose, drivers, drivers_of
from mcp_cloud_agents.sandbox.uid_drop import UidDrop

MISSING = Bubblewrap("/nowhere/bwrap")


@dataclass(frozen=True, slots=True)
class Weak:
    """A driver that works and gives `level`; nothing is started."""

    level: IsolationLevel
    parallel = True

    def probe(self) -> Probe:
        return Probe(level=self.level, driver=f"a {self.level} one", works=True)

    def start(self, argv: Sequence[str], confinement: Confinement, *, output: int) -> Confined:
        raise NotImplementedError


SOFT, CONTAINER = Weak(IsolationLevel.SOFT), Weak(IsolationLevel.CONTAINER)


def test_the_first_that_works_and_is_strong_enough_is_taken() -> None:
    found = choose(IsolationLevel.SOFT, (MISSING, CONTAINER, SOFT))
    assert found == (CONTAINER, CONTAINER.probe())


def test_a_weaker_one_is_never_taken_instead() -> None:
    with pytest.raises(IsolationUnavailable) as refused:
        choose(IsolationLevel.FULL, (MISSING, SOFT))
    assert refused.value.message == (
        "No sandbox of level 'full' starts here: a soft one gives level 'soft' only."
    )
    assert "required_isolation = 'soft'" in refused.value.hint


def test_with_none_the_first_problem_and_its_remedy_are_told() -> None:
    with pytest.raises(IsolationUnavailable) as refused:
        choose(IsolationLevel.FULL, (MISSING,))
    assert refused.value.message == (
        "No sandbox of level 'full' starts here: "
        "/nowhere/bwrap cannot be run: No such file or directory."
    )
    assert "apt install bubblewrap" in refused.value.hint


def test_a_program_that_is_no_bubblewrap_does_not_work() -> None:
    probe = best(IsolationLevel.FULL, (Bubblewrap("/bin/false"),))
    assert (probe.works, probe.limits, bool(probe.problem)) == (False, (), True)


def test_a_process_within_a_job_gets_the_drivers_of_the_job_s_level() -> None:
    for level in IsolationLevel:
        assert {one.level for one in drivers_of(level)} <= {level}
    assert isinstance(drivers_of(IsolationLevel.CONTAINER)[0], UidDrop)
    [usual] = drivers()
    assert [type(one) for one in drivers_of(usual.level)] == [type(usual)]
