"""The module against the provider that people get, where its registry can be reached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.terraform.offline import MODULE

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]
UNREACHABLE = ("could not connect to registry", "failed to query available provider packages")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the module with the real provider."""
    if shutil.which("terraform") is None:
        pytest.skip("the terraform program is not installed")
    folder = tmp_path_factory.mktemp("real") / "module"
    shutil.copytree(MODULE, folder)
    done = terraform(folder, "init", "-backend=false", "-input=false")
    told = " ".join(done.stderr.split()).lower()
    if done.returncode and any(one in told for one in UNREACHABLE):
        pytest.skip("the provider's registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program with no configuration and no credentials of the person."""
    return subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env={
            "PATH": os.defpath + ":/usr/local/bin",
            "HOME": str(folder.parent),
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def test_the_real_provider_finds_the_module_valid(copied: Path) -> None:
    told = json.loads(terraform(copied, "validate", "-json").stdout)
    assert told["diagnostics"] == []


def test_the_modules_own_tests_pass_with_the_real_provider(copied: Path) -> None:
    done = terraform(copied, "test")
    assert ", 0 failed" in done.stdout, done.stdout + done.stderr
