"""The engine `model` without its extra, and without its library in anybody else's process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.fix import ModelRoute, Provider
from mcp_cloud_agents.worker.fix.engines import model


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in ("pydantic_ai", "pydantic_ai_harness"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ModelUnusable) as refused:
        model.require_extra()
    assert refused.value.message == "The built-in engine needs the extra `fix`."
    assert refused.value.hint.startswith("pip install 'mcp-cloud-agents[fix]'. ")
    assert "worker image with LOCK=requirements-fix.lock" in refused.value.hint


@pytest.mark.parametrize(
    "module",
    [
        "mcp_cloud_agents.worker.fix.engines.model",
        "mcp_cloud_agents.worker.fix.candidate",
        "mcp_cloud_agents.worker.fix.written_tests",
        "mcp_cloud_agents.worker.fix.transcript",
    ],
)
def test_importing_it_brings_no_model_library(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "sys.exit(sorted({n.partition('.')[0] for n in sys.modules}"
        " & {'pydantic_ai', 'anthropic', 'openai', 'boto3', 'httpx', 'httpx2'}) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_each_key_is_resolved_once_by_its_reference() -> None:
    asked: list[str] = []

    def keys(reference: str) -> str:
        asked.append(reference)
        return f"key of {reference}"

    routes = [
        ModelRoute(provider=Provider.ANTHROPIC, model="a", key="env:A"),
        ModelRoute(provider=Provider.BEDROCK, model="b"),
    ]
    assert model.resolved(routes, keys) == {"env:A": "key of env:A"}
    assert asked == ["env:A"]
