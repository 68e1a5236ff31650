"""Environments from the real registries: made with network, used without, the same when warm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.sandbox import Bind, Confinement, Limits, Network
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.environments import detect
from mcp_cloud_agents.environments.toolchains import Search, find
from mcp_cloud_agents.environments.uv_program import uv_program
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.environments import EnvironmentFolder
from mcp_cloud_agents.worker.run import Watch, run
from mcp_cloud_agents.worker.setup import (
    Prepared,
    Site,
    environment_binds,
    prepare,
    search_path,
)

pytestmark = pytest.mark.network

OWNER = 62_000 if os.geteuid() == 0 else None
LIMITS = Limits(setup_timeout_s=100)
INTEGRITY = (
    "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741"
    "+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng=="
)
PACKAGE_LOCK = """
{
  "name": "demo", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
  "packages": {
    "": {"name": "demo", "version": "1.0.0", "dependencies": {"is-number": "7.0.0"}},
    "node_modules/is-number": {
      "version": "7.0.0",
      "integrity": "%INTEGRITY%",
      "engines": {"node": ">=0.12.0"}
    }
  }
}
""".replace("%INTEGRITY%", INTEGRITY)


class Machine:
    """A state folder and the host's toolchains, for trees given as text."""

    def __init__(self, open_path: Path) -> None:
        self.log = b""
        self._path = open_path
        self._uv = uv_program(str(open_path / "tools"), job_uid=OWNER)
        self._folder = EnvironmentFolder(str(open_path / "environments"), owner=OWNER)
        self._folder.open()
        self._files: Mapping[str, str] = {}

    def plan(self, files: Mapping[str, str], runner: str | None) -> SetupPlan:
        self._files = files
        content = {name: text.encode() for name, text in files.items()}
        tree = detect.gather(frozenset(files), lambda paths: content, declared=None)
        search = Search(search_path="/usr/bin:/bin", home=str(self._path), job_uid=OWNER)
        host = find(detect.wanted(tree, runner=runner), search)
        return detect.plan(tree, host, repository="r", runner=runner)

    def prepare(self, plan: SetupPlan) -> Prepared:
        site = Site(
            sandbox=Bubblewrap(),
            folder=self._folder,
            uv=self._uv,
            checkout=self.check_out,
            log=self._say,
            limits=LIMITS,
        )
        return prepare(plan, site)

    def check_out(self, path: str) -> None:
        for name, text in self._files.items():
            file = Path(path, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for folder, _, names in os.walk(path):
            for one in (folder, *(os.path.join(folder, name) for name in names)):
                os.chmod(one, 0o700)
                if OWNER is not None:
                    os.chown(one, OWNER, OWNER)

    def run(self, plan: SetupPlan, env: str | None, command: str) -> tuple[int | None, str]:
        """As the run phase does: no network, the environment read-only."""
        workspace = str(self._path / "workspace")
        shutil.rmtree(workspace, ignore_errors=True)
        self.check_out(workspace)
        confinement = Confinement(
            binds=(
                Bind(host=workspace, inside="/workspace", writable=True),
                *environment_binds(plan, env, uv=self._uv),
            ),
            limits=LIMITS,
            network=Network.NONE,
            env=(*plan.env, *plan.run_env),
            path=search_path(plan),
            tmpfs=plan.tmpfs,
        )
        output: list[bytes] = []
        ran = run(
            Bubblewrap(),
            ["/bin/sh", "-c", command],
            confinement,
            sink=output.append,
            watch=Watch(timeout_s=60),
        )
        return ran.exit_code, b"".join(output).decode()

    def _say(self, data: bytes) -> None:
        self.log += data


@pytest.fixture
def machine(open_path: Path) -> Machine:
    return Machine(open_path)


def an_environment(machine: Machine, plan: SetupPlan) -> str:
    prepared = machine.prepare(plan)
    assert prepared.cause is None, f"{prepared.cause}\n{machine.log.decode()}"
    assert prepared.env is not None
    return prepared.env


def test_requirements_are_installed_and_tests_run_without_network(machine: Machine) -> None:
    files = {
        "requirements.txt": "iniconfig==2.1.0\n",
        "test_it.py": "import iniconfig, socket, pytest\n"
        "def test_import():\n    assert iniconfig.__file__.startswith('/env/venv/')\n"
        "def test_no_network():\n"
        "    with pytest.raises(OSError):\n"
        "        socket.create_connection(('192.0.2.1', 443), timeout=2)\n",
    }
    plan = machine.plan(files, "pytest")
    env = an_environment(machine, plan)
    code, said = machine.run(plan, env, "pytest -q -p no:cacheprovider && git status 2>&1; ls -a")
    assert "2 passed" in said, said
    assert said.split()[-4:] == [".", "..", "requirements.txt", "test_it.py"]
    assert code == 0
    assert machine.prepare(plan).how == "cached"


def test_a_project_with_extras_and_groups_is_importable_from_the_tree(machine: Machine) -> None:
    files = {
        "pyproject.toml": "[build-system]\nrequires=['hatchling','hatch-vcs']\n"
        "build-backend='hatchling.build'\n[project]\nname='demo-x'\ndynamic=['version']\n"
        "optional-dependencies={test=['iniconfig']}\n[dependency-groups]\ndev=['pluggy']\n"
        "[tool.hatch.version]\nsource='vcs'\n"
        "[tool.hatch.build.targets.wheel]\npackages=['src/demo']\n",
        "src/demo/__init__.py": "ANSWER = 42\n",
        "tests/test_demo.py": "import demo, iniconfig, pluggy\n"
        "def test_answer():\n    assert demo.ANSWER == 42\n"
        "    assert demo.__file__ == '/workspace/src/demo/__init__.py'\n",
    }
    plan = machine.plan(files, "pytest")
    code, said = machine.run(plan, an_environment(machine, plan), "pytest -q")
    assert (code, "1 passed" in said) == (0, True), said


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "iniconfig\n"},
        {"pyproject.toml": "[project]\nname='a'\nversion='1'\ndependencies=['iniconfig']"},
    ],
    ids=["requirements", "project"],
)
def test_uv_run_uses_the_environment_as_it_is(files: dict[str, str], machine: Machine) -> None:
    test = {"test_a.py": "import iniconfig\ndef test_a():\n    pass\n"}
    plan = machine.plan({**files, **test}, "pytest")
    env = an_environment(machine, plan)
    code, said = machine.run(plan, env, "uv run pytest -q -p no:cacheprovider && ls")
    assert (code, "1 passed" in said) == (0, True), said
    assert said.split()[-2:] == sorted([*files, *test])


def test_npm_packages_are_there_and_their_caches_are_writable(machine: Machine) -> None:
    files = {
        "package.json": '{"name":"demo","version":"1.0.0","dependencies":{"is-number":"7.0.0"},'
        '"scripts":{"test":"node check.js"}}',
        "package-lock.json": PACKAGE_LOCK,
        "check.js": "const n = require('is-number'); const fs = require('fs');\n"
        "fs.writeFileSync('node_modules/.cache/x', '1');\n"
        "try { fs.writeFileSync('node_modules/y', '1'); console.log('writable'); }\n"
        "catch (e) { console.log(e.code, n(3)); }\n",
    }
    plan = machine.plan(files, "jest")
    env = an_environment(machine, plan)
    code, said = machine.run(plan, env, "npm test --silent")
    assert (code, said) == (0, "EROFS true\n")


def test_python_and_node_share_one_environment(machine: Machine) -> None:
    files = {
        "requirements.txt": "iniconfig\n",
        "package.json": '{"name":"demo","version":"1.0.0","dependencies":{"is-number":"7.0.0"}}',
        "package-lock.json": PACKAGE_LOCK,
    }
    plan = machine.plan(files, None)
    env = an_environment(machine, plan)
    command = "python -c 'import iniconfig' && node -p \"require('is-number')(3)\""
    assert machine.run(plan, env, command) == (0, "true\n")


def test_a_package_that_does_not_exist_is_a_told_cause(machine: Machine) -> None:
    plan = machine.plan({"requirements.txt": "iniconfig==0.0.0.dev99999\n"}, "pytest")
    prepared = machine.prepare(plan)
    assert prepared.cause is not None
    assert prepared.cause.message == (
        "Set-up command failed with exit code 1: `uv pip install -r requirements.txt`."
    )
    assert prepared.cause.hint.startswith("The declared versions cannot be met")
    assert any("iniconfig==0.0.0.dev99999" in line for line in prepared.cause.excerpt)


def test_a_mirror_that_is_down_is_told_as_such(machine: Machine) -> None:
    plan = machine.plan({"requirements.txt": "iniconfig\n"}, "pytest")
    mirror = (("UV_DEFAULT_INDEX", "http://127.0.0.1:9/x"), ("UV_HTTP_RETRIES", "0"))
    dead = replace(plan, setup_env=(*plan.setup_env, *mirror))
    cause = machine.prepare(dead).cause
    assert cause is not None
    assert cause.hint.startswith("The package registry could not be reached")
