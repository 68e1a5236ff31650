"""Folders moved to where commands see them, and back; without any command, and as any user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import IsolationUnavailable
from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.sandbox.shown_folders import ShownFolders


class Stage:
    """A scratch folder with a tree in it."""

    def __init__(self, folder: Path) -> None:
        self.scratch = folder / "scratch"
        self.inside = self.scratch / "inside"
        self.tree = self.scratch / "job/workspace"
        self.tree.mkdir(parents=True)
        (self.tree / "file").write_text("text")
        self.outside = folder / "program"
        self.outside.write_text("program")
        self.shown = ShownFolders(str(self.inside), str(self.scratch), os.geteuid())

    def bind(self, host: Path, inside: str, *, writable: bool = True) -> Bind:
        return Bind(host=str(host), inside=inside, writable=writable)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path.resolve())


def test_a_folder_is_at_its_place_while_shown_and_back_afterwards(stage: Stage) -> None:
    stage.shown.show([stage.bind(stage.tree, "/workspace")])
    assert (stage.inside / "workspace/file").read_text() == "text"
    assert stage.tree.is_symlink()
    (stage.inside / "workspace/new").touch()
    stage.shown.hide()
    assert sorted(os.listdir(stage.tree)) == ["file", "new"]
    assert os.listdir(stage.inside) == []


def test_what_is_outside_of_the_scratch_folder_is_linked_and_never_moved(stage: Stage) -> None:
    stage.shown.show([stage.bind(stage.outside, "/tools/uv/uv", writable=False)])
    assert (stage.inside / "tools/uv/uv").read_text() == "program"
    stage.shown.hide()
    assert stage.outside.read_text() == "program"
    with pytest.raises(IsolationUnavailable, match="outside of the worker's folder"):
        stage.shown.show([stage.bind(stage.outside, "/tools/uv/uv")])


def test_a_part_of_one_folder_is_shown_inside_another(stage: Stage) -> None:
    env = stage.scratch / "env"
    part = env / "node/modules"
    part.mkdir(parents=True)
    (part / "package").touch()
    binds = [
        stage.bind(stage.tree, "/workspace"),
        stage.bind(env, "/env", writable=False),
        stage.bind(part, "/workspace/deep/modules", writable=False),
    ]
    stage.shown.show(binds)
    assert (stage.inside / "workspace/deep/modules/package").exists()
    stage.shown.hide()
    assert os.listdir(part) == ["package"]
    assert os.listdir(stage.tree / "deep") == []


def test_each_command_gets_its_own_empty_folders(stage: Stage) -> None:
    for _ in range(2):
        stage.shown.show([])
        assert os.listdir(stage.inside / "tmp") == os.listdir(stage.inside / "home") == []
        (stage.inside / "tmp/left").touch()
        stage.shown.hide()


def test_a_missing_host_path_leaves_all_as_it_was(stage: Stage) -> None:
    binds = [
        stage.bind(stage.tree, "/workspace"),
        stage.bind(stage.scratch / "missing", "/env", writable=False),
    ]
    with pytest.raises(IsolationUnavailable):
        stage.shown.show(binds)
    assert (stage.tree / "file").read_text() == "text"
    assert os.listdir(stage.inside) == []


def test_a_full_folder_in_the_tree_is_never_covered(stage: Stage) -> None:
    part = stage.scratch / "part"
    part.mkdir()
    (stage.tree / "taken").mkdir()
    (stage.tree / "taken/file").touch()
    binds = [stage.bind(stage.tree, "/workspace"), stage.bind(part, "/workspace/taken")]
    with pytest.raises(IsolationUnavailable):
        stage.shown.show(binds)
    assert (stage.tree / "taken/file").exists()
    assert part.is_dir()


def test_a_toolchain_of_the_image_stays_where_it_is(stage: Stage) -> None:
    stage.shown.show([Bind(host=str(stage.outside), inside=str(stage.outside))])
    stage.shown.hide()
    with pytest.raises(IsolationUnavailable):
        stage.shown.show([Bind(host="/opt/no/such/node", inside="/opt/no/such/node")])


@pytest.mark.parametrize("inside", ["/etc/x", "/workspace/../x", "workspace", "/", "/env//x"])
def test_only_plain_paths_below_known_tops_can_be_shown(stage: Stage, inside: str) -> None:
    with pytest.raises(IsolationUnavailable, match="nothing can be shown"):
        stage.shown.show([stage.bind(stage.tree, inside)])
    assert (stage.tree / "file").exists()
