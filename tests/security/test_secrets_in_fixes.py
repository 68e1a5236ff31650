"""In a fix the target's tests get a secret; the engine, the patch and the report never do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from mcp_cloud_agents.storage.job_folder import WORKING
from tests.cloud_worker import eventually
from tests.contracts.places import ended, until
from tests.e2e.fix_jobs import FIX, Bench, fill
from tests.e2e.wire import a_repository
from tests.leaks import leaks, shown

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
CANARY = "fix-canary/55+aa&0"
GRANT = SecretGrant(name="CANARY", source="env:MINE", phases=(Phase.RUN,))
TELL = 'echo "target sees ${CANARY:-nothing}"; printf %s "$CANARY" >seen; '
EDIT = 'echo "engine sees ${CANARY:-nothing}"; cat seen; '


@pytest.fixture
def bench(open_path: Path) -> Bench:
    repository = a_repository(open_path)
    fill(repository)
    return Bench(repository)


async def run(bench: Bench, edit: str) -> tuple[str, Path]:
    def given(grants: Sequence[SecretGrant]) -> dict[str, str]:
        return {grant.name: CANARY for grant in grants}

    known = bench.backend
    backend = LocalBackend(known._jobs, known._host, known._probe, secrets=given)
    plain = bench.spec(edit, command=f"{TELL}python3 -m unittest test_double")
    spec = replace(plain, secrets=(GRANT,), runner="unittest")
    await backend.submit(spec)
    await until(backend, spec.id, ended)
    folder = Path(known._jobs, spec.id)
    eventually(lambda: not any((folder / name).exists() for name in WORKING))
    return (folder / "log").read_text(), folder


async def test_the_target_gets_the_secret_and_the_engines_command_does_not(bench: Bench) -> None:
    log, folder = await run(bench, f"{EDIT}{FIX}")
    assert "target sees [redacted]" in log
    assert "engine sees nothing" in log
    assert "target sees nothing" not in log
    assert leaks(folder, CANARY) == {}
    assert (folder / "artifacts" / "candidate-1.diff").exists()


async def test_a_candidate_that_carries_the_secret_is_not_offered(bench: Bench) -> None:
    log, folder = await run(bench, f"{FIX}; printf '\\0%s' 'fix-canary/55+aa&0' >blob")
    assert not (folder / "artifacts" / "candidate-1.diff").exists()
    assert "it would carry a secret of this job, in blob" in log
    found = leaks(folder, CANARY)
    assert set(found) <= {"spec.json"}, found  # where the test itself wrote it, as its command
    assert shown(log.encode(), CANARY) == []
