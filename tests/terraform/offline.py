"""The real terraform program on the module, its provider's registry replaced by the offline tool.

The tool lies beside the repository, in shared/tools/terraform_offline, where it is at hand. Its
provider is a process of its own, so its packages need not be in the environment of the tests.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULE = ROOT / "terraform"
TOOL = ROOT.parent / "shared/tools/terraform_offline"
NEEDED = ("grpc", "google.protobuf", "msgpack", "boto3")


class Terraform(Protocol):
    """What the tool's harness offers of a copy of the module."""

    dir: Path

    def run(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]: ...
    def validate(self) -> list[dict[str, Any]]: ...
    def plan(self, *args: str) -> dict[str, Any]: ...
    def apply(self, *args: str) -> subprocess.CompletedProcess[str]: ...
    def destroy(self, *args: str) -> subprocess.CompletedProcess[str]: ...
    def test(self, *args: str) -> subprocess.CompletedProcess[str]: ...
    def outputs(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Resources:
    """Managed resources of a plan or a state: address to values, unknown ones left out."""

    values: dict[str, dict[str, Any]]

    def counts(self) -> dict[str, int]:
        """Type to how many."""
        return dict(sorted(Counter(kind_of(address) for address in self.values).items()))

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Those of one type: what stands after the type in the address, to values."""
        return {
            address.partition(f"{kind}.")[2]: values
            for address, values in self.values.items()
            if kind_of(address) == kind
        }

    def one(self, kind: str) -> dict[str, Any]:
        """The only one of a type."""
        ((_, values),) = self.of(kind).items()
        return values


def kind_of(address: str) -> str:
    """The type in an address such as module.agents.aws_vpc.this."""
    return address.partition("[")[0].rsplit(".", 2)[-2]


def planned(plan: dict[str, Any]) -> Resources:
    """What a plan will make."""
    return Resources(
        {
            change["address"]: change["change"]["after"]
            for change in plan["resource_changes"]
            if change["mode"] == "managed"
        }
    )


def applied(terraform: Terraform) -> Resources:
    """What is in the state."""
    root = json.loads(terraform.run("show", "-json").stdout)["values"]["root_module"]
    modules = [root, *root.get("child_modules", [])]
    return Resources(
        {
            resource["address"]: resource["values"]
            for module in modules
            for resource in module.get("resources", [])
            if resource["mode"] == "managed"
        }
    )


def variables(values: dict[str, Any]) -> list[str]:
    """Variables as arguments of terraform."""
    return [
        f"-var={name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
    ]


def copy_of_the_tool(folder: Path) -> Path:
    """The tool with the types that its schema lacks; skips the test where there is no tool."""
    if shutil.which("terraform") is None:
        pytest.skip("the terraform program is not installed")
    if not TOOL.is_dir():
        pytest.skip("the offline tool is not there: ../shared/tools/terraform_offline")
    tool = folder / "tool"
    shutil.copytree(TOOL, tool, ignore=shutil.ignore_patterns("__pycache__"))
    schema = json.loads(gzip.decompress((tool / "schema.json.gz").read_bytes()))
    (provider,) = schema["provider_schemas"].values()
    provider["resource_schemas"] |= json.loads((HERE / "more_types.json").read_text())
    (tool / "schema.json.gz").write_bytes(gzip.compress(json.dumps(schema).encode()))
    return tool


def has_what_the_provider_needs() -> bool:
    """Whether this interpreter can run the tool's provider."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in NEEDED)
    except ModuleNotFoundError:  # the parent of a dotted name
        return False


def environment(folder: Path, requirements: Path) -> Path:
    """A virtual environment with pinned packages; skips the test where they cannot be had."""
    uv = str(Path(sys.executable).with_name("uv"))
    python = folder / "bin/python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    done = subprocess.run(
        [uv, "pip", "install", "-q", "--python", str(python), "-r", str(requirements)],
        capture_output=True,
        text=True,
        check=False,
        timeout=480,
    )
    if done.returncode:
        pytest.skip(f"uv could not install {requirements.name}: {done.stderr.strip()[-300:]}")
    return folder


def harness(tool: Path) -> ModuleType:
    """The tool's own module, loaded from where it lies."""
    spec = importlib.util.spec_from_file_location("terraform_offline_harness", tool / "harness.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class Offline:
    """The tool, and the interpreter of its provider."""

    tool: Path
    python: str

    @contextmanager
    def opened(self, folder: str = ".", **env: str) -> Generator[Terraform]:
        """A copy of terraform/, initialised in a folder of it."""
        terraform = harness(self.tool).Terraform(MODULE, python=self.python, **env)
        terraform.dir = terraform.dir / folder
        with terraform:
            yield terraform
