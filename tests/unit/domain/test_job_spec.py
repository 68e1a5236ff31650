from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from mcp_cloud_agents.domain.job import SPEC_VERSION, JobSpec
from mcp_cloud_agents.domain.setup import SetupPlan
from tests.unit.conftest import SPEC


def test_a_specification_of_version_1_starts_at_the_top() -> None:
    old = json.loads(msgspec.json.encode(SPEC))
    del old["folder"], old["setup"]["folder"], old["snapshot"]["origin"]["folder"]
    old["version"] = 1
    read = msgspec.json.decode(json.dumps(old), type=JobSpec)
    assert read == replace(SPEC, version=1)
    assert (read.folder, read.setup.folder, SPEC_VERSION) == ("", "", 3)


@pytest.mark.parametrize("folder", ["a", "a/b", "a b/ü", "-a", "..."])
def test_a_folder_of_the_tree_is_taken(folder: str) -> None:
    assert replace(SPEC, folder=folder).folder == folder


@pytest.mark.parametrize("folder", ["/", "/a", "..", "a/../..", "a/", "a//b", "./a", ".", "a\0"])
def test_a_folder_outside_of_the_tree_is_none(folder: str) -> None:
    with pytest.raises(ValueError, match="no folder of the tree"):
        replace(SPEC, folder=folder)
    with pytest.raises(ValueError, match="no folder of the tree"):
        replace(SPEC, setup=SetupPlan(folder=folder))
    forged = json.loads(msgspec.json.encode(SPEC)) | {"folder": folder}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(forged), type=JobSpec)
