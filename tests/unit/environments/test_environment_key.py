"""What an environment depends on, and the key it is kept under."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_cloud_agents.environments import detect
from tests.unit.environments.plans import HOST, PYTHON, a_plan

BASE = {
    "requirements.txt": "-r deps/base.txt\n-c ./limits.txt\n--requirement=../outside.txt\n",
    "deps/base.txt": "-r more.txt\n",
    "deps/more.txt": "six",
    "limits.txt": "",
    "README.md": "",
}


def test_included_requirement_files_are_inputs_at_any_depth() -> None:
    assert a_plan(BASE).inputs == (
        "deps/base.txt",
        "deps/more.txt",
        "limits.txt",
        "requirements.txt",
    )


def test_requirement_files_that_include_one_another_end() -> None:
    files = {
        "requirements.txt": "-r requirements-dev.txt",
        "requirements-dev.txt": "-r requirements.txt",
    }
    assert a_plan(files).inputs == ("requirements-dev.txt", "requirements.txt")


def test_files_named_by_dynamic_metadata_are_inputs() -> None:
    manifest = (
        "[build-system]\nrequires=['setuptools']\n[project]\nname='a'\ndynamic=['dependencies']\n"
        "[tool.setuptools.dynamic]\ndependencies = {file = ['deps/run.txt']}\n"
        "optional-dependencies.test = {file = 'deps/test.in'}"
    )
    files = {"pyproject.toml": manifest, "deps/run.txt": "six", "deps/test.in": "pytest"}
    assert a_plan(files).inputs == ("deps/run.txt", "deps/test.in", "pyproject.toml")


@pytest.mark.parametrize(
    "changed",
    [
        {**BASE, "deps/more.txt": "six>=1"},
        {**BASE, "limits.txt": "six<2"},
        {**BASE, ".python-version": "3.12"},
        {**BASE, "setup.py": ""},
    ],
    ids=["included file", "constraint", "python", "project"],
)
def test_the_key_changes_with_what_is_installed(changed: dict[str, str]) -> None:
    assert a_plan(changed).key != a_plan(BASE).key


def test_the_key_does_not_change_with_other_files_or_notes() -> None:
    noted = replace(HOST, notes=("something",))
    keys = {
        a_plan(BASE).key,
        a_plan({**BASE, "README.md": "more", "new.py": ""}).key,
        a_plan(BASE, host=noted).key,
    }
    assert len(keys) == 1


def test_the_key_depends_on_machine_toolchain_repository_and_settings() -> None:
    newer = replace(PYTHON, version="3.11.9")
    keys = {
        a_plan(BASE).key,
        a_plan(BASE, repository="other").key,
        a_plan(BASE, host=replace(HOST, image="debian 13")).key,
        a_plan(BASE, host=replace(HOST, toolchains=(newer,))).key,
        a_plan(BASE, setup_env=[("UV_DEFAULT_INDEX", "https://mirror.example")]).key,
        a_plan(BASE, runner=None).key,
    }
    assert len(keys) == 6


def test_the_persons_variables_are_not_written_into_the_plan() -> None:
    plan = a_plan(BASE, setup_env=[("UV_DEFAULT_INDEX", "https://token@mirror.example")])
    assert "token" not in repr(plan)


def test_an_input_that_cannot_be_read_makes_every_change_of_the_tree_count() -> None:
    names = frozenset({"requirements.txt"})
    plans = [
        detect.plan(
            detect.gather(names, lambda paths: {}, declared=None, identity=identity),
            HOST,
            repository="r",
            runner="pytest",
        )
        for identity in ("tree 1", "tree 2")
    ]
    assert plans[0].key != plans[1].key
