"""A repository with a bug, and fix jobs on it: through the backend, by hand-made orders."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.bootstrap.runner import runner_for
from mcp_cloud_agents.delegation.place import Place
from mcp_cloud_agents.delegation.request import Request
from mcp_cloud_agents.domain.fix import Engine
from mcp_cloud_agents.domain.fix_policy import FixWish
from mcp_cloud_agents.domain.job import JobSpec, Kind
from mcp_cloud_agents.domain.result import JobResult
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.planner import Wish
from mcp_cloud_agents.settings import load
from tests.contracts.places import ended, until
from tests.e2e.wire import Repository

TARGET = "python3 -m unittest test_double"
SUITE = "python3 -m unittest"
CALC = """\
def double(number):
    return number + 3


def half(number):
    return number / 2
"""
TEST_DOUBLE = """\
import unittest

from calc import double


class TestDouble(unittest.TestCase):
    def test_two(self):
        self.assertEqual(double(2), 4)

    def test_five(self):
        self.assertEqual(double(5), 10)

    def test_three(self):
        self.assertEqual(double(3), 6)
"""
TEST_HALF = """\
import unittest

from calc import half


class TestHalf(unittest.TestCase):
    def test_four(self):
        self.assertEqual(half(4), 2)
"""
FAILING = ("test_double.TestDouble.test_five", "test_double.TestDouble.test_two")
FIX = "sed -i 's/number + 3/number * 2/' calc.py"


@dataclass
class Bench:
    """Submits fix jobs for one repository."""

    repository: Repository
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        runner = runner_for(load(self.repository.env, cwd=str(self.repository.path)))
        self.place = runner._places.first

    @property
    def backend(self) -> LocalBackend:
        assert isinstance(self.place.backend, LocalBackend)
        return self.place.backend

    def spec(
        self, edit: str, *, command: str = TARGET, limits: Limits | None = None, **changes: Any
    ) -> JobSpec:
        """A job whose engine is a command; `changes` replace fields of its order."""
        cwd = str(self.repository.path)
        fix = FixWish(goal="make it pass", engine=Engine.COMMAND, edit_command=edit)
        wish = Wish(kind=Kind.FIX, command=command, fix=fix)
        request = Request(agent="fix_in_sandbox", workspace=cwd, wish=wish, key=None)
        packed = self.place.packer.pack(request, self.place.packer.locate(cwd))
        assert packed.fix is not None
        order = replace(packed.fix, suite=SUITE, **changes)
        return replace(packed, limits=limits or packed.limits, fix=order)

    async def run(self, spec: JobSpec) -> Done:
        """Run a job to its end."""
        await self.backend.submit(spec)
        return await self.done(spec)

    async def done(self, spec: JobSpec) -> Done:
        """Wait for the end of a submitted job."""
        status = await until(self.backend, spec.id, ended)
        log = await self.backend.log(spec.id, offset=0, limit=1 << 20)
        result = await self.backend.result(spec.id)
        return Done(bench=self, spec=spec, status=status, result=result, log=log.data.decode())


@dataclass
class Done:
    """A job that has ended."""

    bench: Bench
    spec: JobSpec
    status: JobStatus
    result: JobResult | None
    log: str

    @property
    def told(self) -> dict[str, Any]:
        """The report, as plain data."""
        assert self.result is not None, self.log
        assert self.result.fix is not None, (self.status, self.log)
        return json.loads(msgspec.json.encode(self.result.fix))

    @property
    def candidate(self) -> dict[str, Any]:
        """The only candidate."""
        [one] = self.told["candidates"]
        return one

    @property
    def evidence(self) -> dict[str, Any]:
        """Of the only candidate."""
        return self.candidate["evidence"]

    async def artifact(self, name: str) -> str:
        """Its content."""
        found = await self.bench.backend.artifact(self.spec.id, name, offset=0, limit=1 << 20)
        return found.data.decode()


def fill(repository: Repository, files: dict[str, str] | None = None) -> None:
    """Commit the bug, or other files."""
    (repository.path / "test_it.py").unlink()
    usual = {"calc.py": CALC, "test_double.py": TEST_DOUBLE, "test_half.py": TEST_HALF}
    for name, text in (files or usual).items():
        repository.write(name, text)
    repository.git("add", "-A")
    repository.git("commit", "-qm", "a bug")
