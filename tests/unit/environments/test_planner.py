from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import BadConfig, InvalidArgument
from mcp_cloud_agents.domain.fix_policy import FixWish
from mcp_cloud_agents.domain.job import Kind
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.environments.planner import TreePlanner
from mcp_cloud_agents.environments.toolchains import Search, on_this_machine
from mcp_cloud_agents.ports.planner import Plan, Wish
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots

Planned = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Plans a tree of these files; `wish` defaults to the tests, all that can be left open."""
    snapshots = GitSnapshots(str(tmp_path / "state"), ScreenRules(), home=str(tmp_path))
    tree = tmp_path / "tree"

    def plan(files: Mapping[str, str], wish: Wish | None = None) -> Plan:
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        subprocess.run(["git", "init", "-q", str(tree)], check=True)
        search = Search(search_path="/usr/bin:/bin", home="/nonexistent")
        planner = TreePlanner(snapshots, Limits(), on_this_machine(search), ())
        snapshot = snapshots.take(snapshots.locate(str(tree)))
        return planner.plan(snapshot, wish or Wish(kind=Kind.TESTS, command=None))

    return plan


PYTEST_TREE = {"pyproject.toml": "[tool.pytest.ini_options]\n", "tests/test_a.py": ""}


def test_the_usual_command_of_the_tree_is_found(planned: Planned) -> None:
    plan = planned(PYTEST_TREE)
    assert (plan.command, plan.runner) == ("python3 -m pytest", "pytest")


def test_paths_are_quoted_and_appended(planned: Planned) -> None:
    wish = Wish(kind=Kind.TESTS, command="pytest -q", paths=("tests/test_a.py::t[a b]",))
    assert planned(PYTEST_TREE, wish).command == "pytest -q 'tests/test_a.py::t[a b]'"


def test_go_packages_take_the_place_of_all_of_them(planned: Planned) -> None:
    files = {"go.mod": "module x\n\ngo 1.19\n", "a_test.go": "package x\n"}
    wish = Wish(kind=Kind.TESTS, command=None, paths=("./sub",))
    assert planned(files, wish).command == "go test ./sub"


def test_named_tests_take_the_place_of_discovery(planned: Planned) -> None:
    files = {"tests/__init__.py": "", "tests/test_a.py": "import unittest\n"}
    wish = Wish(kind=Kind.TESTS, command="python3 -m unittest discover -s tests", paths=("t.py",))
    assert planned(files, wish).command == "python3 -m unittest t.py"


@pytest.mark.parametrize("command", ["pytest -q | tee log.txt", "pytest && true", "pytest > a.py"])
def test_paths_are_refused_where_they_would_mean_something_else(
    planned: Planned, command: str
) -> None:
    wish = Wish(kind=Kind.TESTS, command=command, paths=("test_b.py",))
    with pytest.raises(InvalidArgument) as caught:
        planned(PYTEST_TREE, wish)
    assert "not one call" in caught.value.message


def test_a_make_target_over_pytest_reports_by_its_environment(planned: Planned) -> None:
    plan = planned(PYTEST_TREE, Wish(kind=Kind.TESTS, command="make test"))
    assert (plan.command, plan.runner) == ("make test", "pytest")


def test_a_tree_without_tests_asks_for_a_command(planned: Planned) -> None:
    with pytest.raises(InvalidArgument) as caught:
        planned({"README": "x"})
    assert "run_in_sandbox" in caught.value.hint


def test_the_repository_may_name_command_and_runner(planned: Planned) -> None:
    config = '[tests]\ncommand = "./run-tests"\nrunner = "pytest"\n'
    plan = planned({".cloud-agents/config.toml": config})
    assert (plan.command, plan.runner) == ("./run-tests", "pytest")


def test_the_repository_may_tighten_limits_and_never_raise_them(planned: Planned) -> None:
    config = "[limits]\nmemory_mib = 512\ndisk_mib = 999999999\ntimeout_minutes = 1440\n"
    plan = planned({**PYTEST_TREE, ".cloud-agents/config.toml": config})
    usual = Limits()
    assert (plan.limits.memory_mib, plan.limits.disk_mib, plan.limits.timeout_s) == (
        512,
        usual.disk_mib,
        usual.timeout_s,
    )


def test_a_broken_repository_config_is_told_by_file_and_line(planned: Planned) -> None:
    with pytest.raises(BadConfig) as caught:
        planned({**PYTEST_TREE, ".cloud-agents/config.toml": "[setup]\ncomands = []\n"})
    assert ".cloud-agents/config.toml, line 2" in caught.value.message


def test_a_command_shares_the_environment_of_the_tests(planned: Planned) -> None:
    files = {**PYTEST_TREE, "requirements.txt": "attrs==25.1.0\n"}
    tests = planned(files)
    command = planned(files, Wish(kind=Kind.COMMAND, command="ruff check ."))
    assert command.setup.key == tests.setup.key != ""


def test_a_command_in_a_tree_without_packages_needs_no_set_up(planned: Planned) -> None:
    assert planned(PYTEST_TREE, Wish(kind=Kind.COMMAND, command="true")).setup.commands == ()


def fixing(command: str | None, *, edit: str | None = "ruff check --fix .") -> Wish:
    return Wish(kind=Kind.FIX, command=command, fix=FixWish(goal="g", edit_command=edit))


def test_a_fix_with_a_narrow_target_knows_the_whole_suite_too(planned: Planned) -> None:
    plan = planned(PYTEST_TREE, fixing("pytest -q tests/test_a.py"))
    assert (plan.command, plan.runner) == ("pytest -q tests/test_a.py", "pytest")
    assert plan.fix is not None
    assert plan.fix.suite == "python3 -m pytest"


def test_a_fix_without_a_target_takes_the_suite_for_it(planned: Planned) -> None:
    plan = planned(PYTEST_TREE, fixing(None))
    assert plan.fix is not None
    assert (plan.command, plan.fix.suite) == ("python3 -m pytest", "")


def test_a_fix_may_have_a_target_that_leaves_no_report(planned: Planned) -> None:
    plan = planned({"a.py": ""}, fixing("ruff check ."))
    assert (plan.command, plan.runner) == ("ruff check .", None)


def test_a_formatter_needs_no_tests_at_all(planned: Planned) -> None:
    plan = planned({"a.txt": ""}, fixing(None))
    assert (plan.command, plan.runner) == ("", None)


@pytest.mark.parametrize("command", ["make test", "./check.sh", "tox -q", "python3 check.py"])
def test_a_fix_s_target_that_may_end_in_pytest_is_asked_for_its_report(
    planned: Planned, command: str
) -> None:
    assert planned(PYTEST_TREE, fixing(command)).runner == "pytest"


@pytest.mark.parametrize("command", ["ruff check .", "grep -q x a.py", "mypy src && ruff check ."])
def test_a_linter_as_a_fix_s_target_is_judged_by_its_exit_code(
    planned: Planned, command: str
) -> None:
    assert planned(PYTEST_TREE, fixing(command)).runner is None
