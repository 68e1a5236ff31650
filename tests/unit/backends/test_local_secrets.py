"""Secrets of a local job: looked up before it starts, and not waited for without end."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.backends.local import backend as local
from mcp_cloud_agents.backends.local.backend import LocalBackend
from mcp_cloud_agents.domain.errors import SecretUnusable
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Probe
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from mcp_cloud_agents.storage.job_folder import HostPlan
from tests.unit.conftest import SPEC

pytestmark = pytest.mark.anyio
WORKS = Probe(level=IsolationLevel.FULL, driver="d", works=True)
HOST = HostPlan(state="/s", uv="/uv", concurrent_jobs=2, keep_days=30, keep_gib=10, owner=None)
GRANT = SecretGrant(name="TOKEN", source="aws-sm:slow", phases=(Phase.RUN,))
GRANTED = replace(SPEC, secrets=(GRANT,))


async def test_a_service_that_does_not_answer_refuses_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_SECRETS_WITHIN_S", 0.05)
    over = threading.Event()

    def slow(_: Sequence[SecretGrant]) -> dict[str, str]:
        over.wait(30)
        return {}

    backend = LocalBackend(str(tmp_path), HOST, lambda: WORKS, secrets=slow)
    with pytest.raises(SecretUnusable, match=r"TOKEN \(aws-sm:slow\) did not come"):
        await backend.submit(GRANTED)
    over.set()
    assert os.listdir(tmp_path) == []


async def test_without_a_source_of_secrets_a_granted_job_is_refused(tmp_path: Path) -> None:
    backend = LocalBackend(str(tmp_path), HOST, lambda: WORKS)
    with pytest.raises(SecretUnusable, match="Nobody here can look up aws-sm:slow for TOKEN"):
        await backend.submit(GRANTED)
    assert os.listdir(tmp_path) == []
