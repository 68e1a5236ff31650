"""Plans for a caller whose workspace lies below the top of the tree."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.environments.planner import TreePlanner
from mcp_cloud_agents.environments.toolchains import Search, on_this_machine
from mcp_cloud_agents.ports.planner import Plan, Wish
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

Planned = Callable[..., Plan]
PACKAGES = {
    "packages/a/pyproject.toml": "[project]\nname='a'\n[tool.pytest.ini_options]\n",
    "packages/a/src/a.py": "",
    "packages/a/tests/test_a.py": "",
    "packages/b/go.mod": "module b\n\ngo 1.19\n",
    "packages/b/b_test.go": "package b\n",
}


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Plans for a caller in `folder`: the tests, unless a command is given."""
    snapshots = GitSnapshots(str(tmp_path / "state"), ScreenRules(), home=str(tmp_path))
    tree = tmp_path / "tree"

    def plan(
        files: Mapping[str, str], folder: str, command: str | None = None, *paths: str
    ) -> Plan:
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        subprocess.run(["git", "init", "-q", str(tree)], check=True)
        search = Search(search_path="/usr/bin:/bin", home="/nonexistent")
        planner = TreePlanner(snapshots, Limits(), on_this_machine(search), ())
        wish = Wish(kind=Kind.TESTS, command=command, paths=paths, folder=folder)
        return planner.plan(snapshots.take(snapshots.locate(str(tree))), wish)

    return plan


@pytest.mark.parametrize(
    ("folder", "command", "start"),
    [
        ("packages/a", "python3 -m pytest", "packages/a"),
        ("packages/a/src", "python3 -m pytest", "packages/a"),
        ("packages/b", "go test ./...", "packages/b"),
    ],
)
def test_the_nearest_folder_that_tells_it_runs_the_tests(
    planned: Planned, folder: str, command: str, start: str
) -> None:
    plan = planned(PACKAGES, folder)
    assert (plan.command, plan.folder, plan.setup.folder) == (command, start, start)


def test_a_callers_command_starts_where_the_caller_is(planned: Planned) -> None:
    plan = planned(PACKAGES, "packages/a/src", "pytest ../tests")
    assert (plan.folder, plan.setup.folder) == ("packages/a/src", "packages/a")


def test_the_repositorys_own_command_starts_at_the_top(planned: Planned) -> None:
    own = {".cloud-agents/config.toml": "[tests]\ncommand = 'pytest packages'\n"}
    plan = planned({**PACKAGES, **own}, "packages/a", None, "tests/test_a.py::test_x")
    assert plan.command == "pytest packages packages/a/tests/test_a.py::test_x"
    assert plan.folder == ""


@pytest.mark.parametrize("path", ["tests/test_a.py", "packages/a/tests/test_a.py"])
def test_paths_are_relative_to_the_workspace_or_to_the_top(planned: Planned, path: str) -> None:
    assert planned(PACKAGES, "packages/a", None, path).command == (
        "python3 -m pytest tests/test_a.py"
    )


def test_a_workspace_of_packages_is_installed_as_a_whole(planned: Planned) -> None:
    top = {"pyproject.toml": "[tool.uv.workspace]\nmembers=['packages/*']\n", "uv.lock": "x\n"}
    plan = planned({**PACKAGES, **top}, "packages/a")
    assert (plan.folder, plan.setup.folder) == ("packages/a", "")
    assert plan.setup.source == "uv.lock"


def test_node_modules_are_shown_in_the_folder_that_declares_them(planned: Planned) -> None:
    manifest = '{"scripts": {"test": "vitest"}, "devDependencies": {"vitest": "1"}}'
    setup = planned({"web/package.json": manifest}, "web").setup
    assert setup.folder == "web"
    assert [bind.inside for bind in setup.binds] == ["/workspace/web/node_modules"]
    assert setup.path == ("/workspace/web/node_modules/.bin",)
    assert all(path.startswith("/workspace/web/node_modules/") for path in setup.tmpfs)


def test_environments_of_two_folders_are_two(planned: Planned) -> None:
    files = {f"{name}/requirements.txt": "pytest\n" for name in ("x", "y")}
    assert planned(files, "x").setup.key != planned(files, "y").setup.key
