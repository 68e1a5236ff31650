"""The contract of `ports/planner.py`, for every implementation."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import BackendFailed, BadConfig, InvalidArgument
from mcp_cloud_agents.domain.job import Kind, Snapshot
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.environments.planner import TreePlanner
from mcp_cloud_agents.environments.toolchains import Search, on_this_machine
from mcp_cloud_agents.ports.planner import Plan, Planner, Wish
from mcp_cloud_agents.ports.snapshots import Snapshots
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

LIMITS = Limits(timeout_s=600, memory_mib=1_000, processes=100, disk_mib=2_000)
TESTS = Wish(kind=Kind.TESTS, command=None)
CONFIG = ".cloud-agents/config.toml"
SEARCH = Search(search_path="/usr/bin:/bin", home="/nonexistent")
TREE = {"pyproject.toml": "[tool.pytest.ini_options]\n", "tests/test_a.py": ""}
PLANNERS: dict[str, Callable[[Snapshots], Planner]] = {
    "tree": lambda snapshots: TreePlanner(snapshots, LIMITS, on_this_machine(SEARCH), ())
}


@dataclass(frozen=True, slots=True)
class Place:
    """Trees, and a planner for them."""

    scratch: Path
    snapshots: GitSnapshots
    planner: Planner

    def tree(self, files: Mapping[str, str], name: str = "tree") -> Snapshot:
        top = self.scratch / name
        for path, text in files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        subprocess.run(["git", "init", "-q", str(top)], check=True)
        return self.snapshots.take(self.snapshots.locate(str(top)))

    def plan(self, files: Mapping[str, str], wish: Wish = TESTS) -> Plan:
        return self.planner.plan(self.tree(files), wish)


@pytest.fixture(params=PLANNERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    snapshots = GitSnapshots(str(tmp_path / "state"), ScreenRules(), home=str(tmp_path))
    return Place(tmp_path, snapshots, PLANNERS[request.param](snapshots))


def test_tests_have_a_runner_and_commands_have_none(place: Place) -> None:
    assert place.plan(TREE).runner == "pytest"
    command = place.plan(TREE, Wish(kind=Kind.COMMAND, command="pytest -q"))
    assert (command.command, command.runner) == ("pytest -q", None)


def test_the_caller_goes_before_the_repository_and_that_before_detection(place: Place) -> None:
    declared = {**TREE, CONFIG: "[tests]\ncommand = 'pytest declared'\n"}
    said = Wish(kind=Kind.TESTS, command="pytest said")
    assert place.plan(TREE).command == "python3 -m pytest"
    assert place.plan(declared).command == "pytest declared"
    assert place.plan(declared, said).command == "pytest said"


def test_a_repository_tightens_every_limit(place: Place) -> None:
    tight = "[limits]\ntimeout_minutes = 1\nmemory_mib = 500\nprocesses = 50\ndisk_mib = 900\n"
    assert place.plan({**TREE, CONFIG: tight}).limits == replace(
        LIMITS, timeout_s=60, memory_mib=500, processes=50, disk_mib=900
    )


def test_a_repository_widens_no_limit(place: Place) -> None:
    wide = "[limits]\ntimeout_minutes = 99\nmemory_mib = 9000\nprocesses = 900\ndisk_mib = 9000\n"
    assert place.plan({**TREE, CONFIG: wide}).limits == LIMITS


def test_the_caller_sets_the_time_and_the_repository_may_shorten_it(place: Place) -> None:
    wish = Wish(kind=Kind.COMMAND, command="true", timeout_s=7_200)
    assert place.plan(TREE, wish).limits == replace(LIMITS, timeout_s=7_200)
    short = {**TREE, CONFIG: "[limits]\ntimeout_minutes = 1\n"}
    assert place.plan(short, wish).limits == replace(LIMITS, timeout_s=60)


def test_a_tree_without_tests_is_told_what_to_pass(place: Place) -> None:
    with pytest.raises(InvalidArgument) as caught:
        place.plan({"README": "nothing\n"})
    assert "command" in caught.value.hint


@pytest.mark.parametrize("text", ["[tests", "[tests]\nrunner = 'none'\n", "[nothing]\nx = 1\n"])
def test_a_wrong_configuration_is_named(place: Place, text: str) -> None:
    with pytest.raises(BadConfig) as caught:
        place.plan({**TREE, CONFIG: text})
    assert CONFIG in caught.value.message


def test_equal_trees_give_equal_plans_whichever_worktree_they_are_of(place: Place) -> None:
    one = place.tree(TREE)
    linked = place.scratch / "linked"
    who = ("-c", "user.name=t", "-c", "user.email=t@invalid")
    for words in (
        ("add", "-A"),
        (*who, "commit", "-q", "-m", "x"),
        ("worktree", "add", "-q", "--detach", str(linked)),
    ):
        subprocess.run(["git", *words], cwd=place.scratch / "tree", check=True)
    other = place.snapshots.take(place.snapshots.locate(str(linked)))
    assert (one.tree, other.origin.workspace) == (other.tree, str(linked))
    assert place.planner.plan(one, TESTS) == place.planner.plan(other, TESTS)


def test_many_threads_may_plan_at_once(place: Place) -> None:
    snapshots = [place.tree({**TREE, "n": str(n)}, f"t{n}") for n in range(4)]
    alone = [place.planner.plan(snapshot, TESTS) for snapshot in snapshots]
    with ThreadPoolExecutor(8) as pool:
        together = [pool.submit(place.planner.plan, each, TESTS) for each in snapshots * 4]
    assert [one.result() for one in together] == alone * 4


def test_the_snapshot_alone_counts_and_nothing_of_it_is_run(place: Place) -> None:
    trap = "raise SystemExit(open('ran', 'w').write('ran'))\n"
    snapshot = place.tree({**TREE, "setup.py": trap, "conftest.py": trap})
    before = place.planner.plan(snapshot, TESTS)
    top = place.scratch / "tree"
    assert not (top / "ran").exists()
    (top / "pyproject.toml").write_text("[tool")
    assert place.planner.plan(snapshot, TESTS) == before
    shutil.rmtree(top)
    assert place.planner.plan(snapshot, TESTS) == before


def test_a_snapshot_that_was_cleaned_up_is_told_as_that(place: Place) -> None:
    snapshot = replace(place.tree(TREE), repository="0" * 32)
    with pytest.raises(BackendFailed):
        place.planner.plan(snapshot, TESTS)
