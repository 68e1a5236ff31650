"""The filters that ship: picked by machine, and what the builder makes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Network
from mcp_cloud_agents.sandbox import seccomp_profile
from mcp_cloud_agents.sandbox.seccomp_profile import seccomp_filter

SHIPPED = Path(seccomp_profile.__file__).parent / "seccomp"
BUILDER = Path(__file__).resolve().parents[3] / "scripts" / "build_seccomp.py"


@pytest.mark.parametrize(
    ("machine", "network", "name"),
    [
        ("x86_64", Network.NONE, "run.x86_64.bpf"),
        ("AMD64", Network.HOST, "setup.x86_64.bpf"),
        ("aarch64", Network.NONE, "run.aarch64.bpf"),
        ("arm64", Network.HOST, "setup.aarch64.bpf"),
    ],
)
def test_the_filter_is_the_one_of_machine_and_network(
    monkeypatch: pytest.MonkeyPatch, machine: str, network: Network, name: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert seccomp_filter(network) == (SHIPPED / name).read_bytes()


def test_without_a_network_namespace_the_filter_takes_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    offline = seccomp_filter(Network.NONE, namespaces=False)
    assert offline == (SHIPPED / "offline.x86_64.bpf").read_bytes()
    assert seccomp_filter(Network.HOST, namespaces=False) == seccomp_filter(Network.HOST)


def test_a_machine_without_a_filter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(IsolationUnavailable, match="riscv64") as refused:
        seccomp_filter(Network.NONE)
    assert refused.value.hint == "Jobs run on x86_64 and aarch64."


def test_all_filters_differ_and_are_whole_instructions() -> None:
    filters = [path.read_bytes() for path in SHIPPED.glob("*.bpf")]
    assert len(set(filters)) == 6
    assert [len(data) % 8 for data in filters] == [0] * 6


def test_the_builder_makes_the_filters_that_ship(tmp_path: Path) -> None:
    pytest.importorskip("ctypes.util")
    done = subprocess.run(
        [sys.executable, BUILDER, tmp_path], capture_output=True, text=True, timeout=60
    )
    if "Unable to find libseccomp" in done.stderr:
        pytest.skip("the builder needs libseccomp")
    assert done.returncode == 0, done.stderr
    built_with = (tmp_path / "BUILT_WITH").read_text()
    shipped_with = (SHIPPED / "BUILT_WITH").read_text()
    if built_with != shipped_with:
        pytest.skip(f"built with {shipped_with.strip()}, and here is {built_with.strip()}")
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {
        name: (SHIPPED / name).read_bytes() for name in os.listdir(SHIPPED)
    }
