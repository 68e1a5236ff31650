"""A candidate's process: `python -I -m mcp_cloud_agents.worker.fix.candidate`, order on stdin.

It runs one engine. It is ours and trusted, and holds the models' keys; what it runs for the engine
is in a sandbox. It may be killed at any moment: workspace, transcript and what was spent are on the
disk by then, and its commands end with it. What it writes to stdout goes to the job's log.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed
from mcp_cloud_agents.domain.fix import Engine, StopReason
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.sandbox.choose import choose, drivers_of
from mcp_cloud_agents.storage.files import write_all, write_durably
from mcp_cloud_agents.worker.fix.engine import CandidateStopped, Ended, Workbench
from mcp_cloud_agents.worker.fix.lab import Lab
from mcp_cloud_agents.worker.fix.order import ENDED, SPENT, TRANSCRIPT, WRITTEN, CandidateOrder
from mcp_cloud_agents.worker.fix.transcript import TranscriptFile
from mcp_cloud_agents.worker.fix.workbench import Hands
from mcp_cloud_agents.worker.vault import Exposure

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.result import Progress
    from mcp_cloud_agents.worker.fix.engine import EngineRun

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4  # prctl(2)
_STOPPED = 3


class Stage:
    """`lab.Attendant` of a candidate: its lines go to stdout, its end comes by SIGTERM."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._ended = False

    def listen(self) -> None:
        """From now on SIGTERM ends the candidate's commands, then the candidate."""
        signal.signal(signal.SIGTERM, self._end)

    def log(self, data: bytes) -> None:
        """See `Attendant`."""
        write_all(sys.stdout.fileno(), data)

    def say(self, text: str) -> None:
        """See `Attendant`."""
        self.log(f"{text}\n".encode())

    def beat(self, progress: Progress | None) -> None:
        """See `Attendant`. The worker itself looks whether we are alive."""

    def cancelled(self) -> bool:
        """See `Attendant`. Without the worker there is nobody to work for."""
        return self._ended or os.getppid() != self._parent

    def _end(self, *_: object) -> None:
        self._ended = True


class _Quiet(Stage):
    """The same, where the transcript tells what commands print."""

    def log(self, data: bytes) -> None:
        """Said in the transcript."""


def main() -> None:
    """Make one candidate."""
    _die_with_parent()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=CandidateOrder)
    os.umask(0o077)
    stage = (Stage if order.engine is Engine.COMMAND else _Quiet)(order.parent)
    stage.listen()
    try:
        ended = _make(order, stage)
    except CandidateStopped:
        if stage.cancelled():
            sys.exit(_STOPPED)
        ended = Ended(reason=StopReason.WALL_CLOCK, message="The candidate's time was up.")
    except AgentsError as exc:
        ended = Ended(reason=_reason(order.engine), message=f"{exc.message} {exc.hint}")
    write_durably(os.path.join(order.places.job, ENDED), msgspec.json.encode(ended))


def _make(order: CandidateOrder, stage: Stage) -> Ended:
    sandbox, _ = choose(order.level, drivers_of(order.level, job_uid=order.places.owner))
    lab = Lab(
        spec=order.spec,
        sandbox=sandbox,
        places=order.places,
        env=order.env,
        desk=stage,
        deadline=order.deadline,
        exposure=Exposure(env=order.secrets, redactor=_redactor(order), known=order.known),
    )
    if order.writes:
        return _write_tests(order)
    hands = Hands(lab=lab, base=order.base, echo=order.engine is Engine.COMMAND)
    if order.spec.fix is None:
        raise BackendFailed("This job is no fix.", hint="Submit it again.")
    bench = Workbench(
        order=order.spec.fix,
        number=order.number,
        budget=order.budget,
        reproduction=order.base.reproduction,
        failures=order.base.failures,
        target=order.spec.command,
        folder=order.spec.folder,
        run=hands.run,
        run_tests=hands.run_tests,
        verify=hands.verify,
        transcript=TranscriptFile(lab.places.path(TRANSCRIPT), lab.exposure.redactor),
        left_s=lambda: max(0.0, order.deadline - time.monotonic()),
        scratch=order.places.job,
        known=order.known,
    )
    return _engine(order)(bench)


def _redactor(order: CandidateOrder) -> Redactor:
    return Redactor((*order.keys.values(), *order.known))


def _write_tests(order: CandidateOrder) -> Ended:
    """Have tests written, by a model that sees the unchanged tree."""
    from mcp_cloud_agents.worker.fix.meter import Meter
    from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers
    from mcp_cloud_agents.worker.fix.written_tests import Wanted, Writer

    folder, fix = order.places.job, order.spec.fix
    if fix is None or order.spec.runner is None:
        raise BackendFailed("This job has no tests to write.", hint="Submit it again.")
    writer = Writer(
        routes=fix.models,
        keys=order.keys.__getitem__,
        meter=Meter(order.budget, os.path.join(folder, SPENT)),
        budget=order.budget,
        transcript=TranscriptFile(os.path.join(folder, TRANSCRIPT), _redactor(order)),
        known=order.known,
        breakers=ModelBreakers(order.places.breakers),
    )
    wanted = Wanted(
        goal=fix.goal,
        runner=order.spec.runner,
        path=order.writes,
        failures=order.base.failures,
        sources={**order.sources, **order.base.tests},
    )
    written = writer.write(wanted)
    write_durably(os.path.join(folder, WRITTEN), msgspec.json.encode(written))
    return Ended(reason=StopReason.SUBMITTED, message=written.problem, notes=writer.breakers.notes)


def _engine(order: CandidateOrder) -> EngineRun:
    """Imported when it is used: a command needs nothing of a model."""
    if order.engine is Engine.COMMAND:
        from mcp_cloud_agents.worker.fix.engines.command import CommandEngine

        return CommandEngine()
    from mcp_cloud_agents.worker.fix.meter import Meter
    from mcp_cloud_agents.worker.fix.model_breakers import ModelBreakers

    meter = Meter(order.budget, os.path.join(order.places.job, SPENT))
    breakers = ModelBreakers(order.places.breakers)
    if order.engine is Engine.MODEL:
        from mcp_cloud_agents.worker.fix.engines.model import ModelEngine

        return ModelEngine(keys=order.keys.__getitem__, meter=meter, breakers=breakers)
    from mcp_cloud_agents.worker.fix.engines.agent_program import AgentEngine, agent_of

    agent = agent_of(order.engine)
    return AgentEngine(agent=agent, keys=order.keys, meter=meter, breakers=breakers)


def _reason(engine: Engine) -> StopReason:
    return StopReason.COMMAND_FAILED if engine is Engine.COMMAND else StopReason.MODEL_FAILED


def _die_with_parent() -> None:
    """Nothing of a job survives its worker; and nobody looks into root's memory, with its keys.

    An ordinary user's process would lose its own /proc/self/fd by that, which bubblewrap needs.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if os.geteuid() == 0:
            libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
