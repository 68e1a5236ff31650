"""Set-up plans from the files of a tree: what is installed, and what the key depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from mcp_cloud_agents.agents.repository_config import DeclaredSetup
from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.environments import detect
from mcp_cloud_agents.environments.host import Host, Want
from tests.unit.environments.plans import HOST, PYTHON, a_plan

VENV = "uv venv --quiet --python /usr/bin/python3.11 /env/venv"


PYTEST = "test -x /env/venv/bin/pytest || uv pip install pytest"


def the_installs(files: Mapping[str, str], *, runner: str | None = "pytest") -> tuple[str, ...]:
    plan = a_plan(files, runner=runner)
    assert plan.commands[:1] == (VENV,)
    return tuple(command for command in plan.commands[1:] if command != PYTEST)


def test_a_requirements_file_becomes_a_whole_plan() -> None:
    plan = a_plan({"requirements.txt": "six\n", "test_a.py": ""})
    assert len(plan.key) == 64
    assert replace(plan, key="") == SetupPlan(
        commands=(VENV, "uv pip install -r requirements.txt", PYTEST),
        inputs=("requirements.txt",),
        toolchains=(PYTHON,),
        path=("/env/venv/bin",),
        env=(("VIRTUAL_ENV", "/env/venv"), ("UV_PROJECT_ENVIRONMENT", "/env/venv")),
        setup_env=(
            ("UV_CACHE_DIR", "/env/.cache/uv"),
            ("UV_COMPILE_BYTECODE", "1"),
            ("UV_NO_PROGRESS", "1"),
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("UV_PYTHON_INSTALL_DIR", "/env/python"),
            ("TMPDIR", "/env/.cache/scratch"),
        ),
        run_env=(
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("UV_NO_SYNC", "1"),
            ("UV_OFFLINE", "1"),
            ("UV_PYTHON_DOWNLOADS", "never"),
        ),
        source="requirements.txt",
    )


def test_a_tree_without_manifests_gets_pytest_alone() -> None:
    plan = a_plan({"test_a.py": ""})
    assert (plan.commands, plan.source) == ((VENV, PYTEST), "no packages declared")


@pytest.mark.parametrize("runner", [None, "unittest"])
def test_without_manifests_and_pytest_there_is_nothing_to_set_up(runner: str | None) -> None:
    assert a_plan({"test_a.py": ""}, runner=runner) == SetupPlan(
        toolchains=(PYTHON,), run_env=(("PYTHONDONTWRITEBYTECODE", "1"),)
    )


@pytest.mark.parametrize(
    ("files", "install"),
    [
        (
            {"requirements.txt": "", "requirements-dev.txt": "", "requirements/test.txt": ""},
            "uv pip install -r requirements.txt -r requirements/test.txt",
        ),
        (
            {"requirements.txt": "", "requirements-dev.txt": ""},
            "uv pip install -r requirements.txt -r requirements-dev.txt",
        ),
        ({"dev-requirements.txt": ""}, "uv pip install -r dev-requirements.txt"),
        (
            {"pyproject.toml": "[build-system]\nrequires=['x']\n[project]\nname='a'"},
            "uv pip install -e .",
        ),
        (
            {
                "pyproject.toml": "[build-system]\nrequires=['x']\n[project]\nname='a'\n"
                "[project.optional-dependencies]\ntests=[]\ndocs=[]\ndev=[]\n"
                "[dependency-groups]\ntest=[]\nlint=[]"
            },
            "uv pip install -e '.[tests,dev]' --group test",
        ),
        (
            {"pyproject.toml": "[project]\nname='a'\n[dependency-groups]\ndev=[]"},
            "uv pip install -r pyproject.toml --group dev",
        ),
        (
            {"pyproject.toml": "[project]\nname='a'", "src/a/__init__.py": ""},
            "uv pip install -e .",
        ),
        ({"setup.py": "from setuptools import setup"}, "uv pip install -e ."),
        (
            {"setup.py": "setup(extras_require={'test': ['x'], 'docs': []})"},
            "uv pip install -e '.[test]'",
        ),
        (
            {"setup.cfg": "[metadata]\nname = a\n[options.extras_require]\ntesting = x"},
            "uv pip install -e '.[testing]'",
        ),
        (
            {"pyproject.toml": "[project]\nname='a'", "requirements.txt": "b"},
            "uv pip install -r pyproject.toml -r requirements.txt",
        ),
        ({"uv.lock": "", "pyproject.toml": "[project]\nname='a'"}, "uv sync --frozen"),
        (
            {
                "uv.lock": "",
                "pyproject.toml": "[project]\nname='a'\noptional-dependencies={test=[]}\n"
                "[dependency-groups]\ntests=[]\n[tool.uv.workspace]\nmembers=['p/*']",
            },
            "uv sync --frozen --all-packages --extra test --group tests",
        ),
        (
            {
                "poetry.lock": "",
                "pyproject.toml": "[tool.poetry]\nname='a'\n[tool.poetry.group.test]\n"
                "[tool.poetry.group.docs]",
            },
            'REQUESTS_CA_BUNDLE="${REQUESTS_CA_BUNDLE-$SSL_CERT_FILE}" '
            "uv tool run 'poetry>=2,<3' install --no-interaction --compile --with test",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_python_project_is_installed_its_way(
    files: dict[str, str], install: str
) -> None:
    assert the_installs(files) == (install,)


@pytest.mark.parametrize(
    "text", ["[tool.ruff]\nline-length = 100", "this is = = no toml", "project = 3"]
)
def test_a_pyproject_that_declares_no_project_installs_nothing(text: str) -> None:
    assert the_installs({"pyproject.toml": text}) == ()


@pytest.mark.parametrize(
    ("manifest", "variable"),
    [
        ("requires=['setuptools-scm']", "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_PKG_X"),
        ("requires=['hatch-vcs']", "SETUPTOOLS_SCM_PRETEND_VERSION"),
        ("requires=['poetry-dynamic-versioning']", "POETRY_DYNAMIC_VERSIONING_BYPASS"),
        ("[tool.pdm.version]\nsource='scm'", "PDM_BUILD_SCM_VERSION"),
    ],
)
def test_a_project_that_asks_git_for_its_version_is_told_one(manifest: str, variable: str) -> None:
    text = f"[project]\nname='my.pkg-x'\n[build-system]\n{manifest}"
    assert (variable, "999.0.0") in a_plan({"pyproject.toml": text}).setup_env
    tree = detect.gather(
        frozenset({"pyproject.toml"}),
        lambda paths: {"pyproject.toml": text.encode()},
        declared=None,
        version="1.2",
    )
    plan = detect.plan(tree, HOST, repository="r", runner="pytest")
    assert (variable, "1.2") in plan.setup_env


@pytest.mark.parametrize(
    ("files", "want"),
    [
        ({}, ""),
        ({"pyproject.toml": "[project]\nname='a'\nrequires-python='>=3.12'"}, ">=3.12"),
        ({".python-version": "3.12.4\n"}, "==3.12.*"),
        ({".python-version": "my-env\n"}, ""),
        ({".python-version": "3.9; rm -rf /\n"}, ""),
    ],
)
def test_the_tree_says_which_python_it_wants(files: dict[str, str], want: str) -> None:
    content = {name: text.encode() for name, text in files.items()}
    tree = detect.gather(frozenset(files), lambda paths: content, declared=None)
    assert detect.wanted(tree, runner="pytest") == (Want(name="python", version=want),)


def test_a_python_that_is_not_on_the_host_is_left_to_uv_to_download() -> None:
    manifest = "[project]\nname='a'\nrequires-python=\">=3.13,!=3.13.1; $(touch /x)\""
    plan = a_plan({"pyproject.toml": manifest})
    assert plan.commands[0] == ("uv venv --quiet --python '>=3.13,!=3.13.1; $(touch /x)' /env/venv")
    assert ("UV_PYTHON_DOWNLOADS", "automatic") in plan.setup_env


def test_without_any_python_toolchain_the_systems_is_used() -> None:
    plan = a_plan({"test_a.py": ""}, host=Host(image="x"))
    assert plan.commands[0] == "uv venv --quiet --python /usr/bin/python3 /env/venv"


def test_a_node_project_keeps_its_modules_in_the_environment() -> None:
    plan = a_plan({"package.json": "{}", "package-lock.json": "{}"}, runner="jest")
    modules = "/workspace/node_modules"
    assert replace(plan, key="") == SetupPlan(
        commands=(
            "npm ci --no-audit --no-fund",
            "mkdir -p node_modules/.cache node_modules/.vite node_modules/.vite-temp",
        ),
        inputs=("package-lock.json", "package.json"),
        toolchains=(PYTHON,),
        path=(f"{modules}/.bin",),
        env=(("npm_config_update_notifier", "false"),),
        setup_env=(
            ("npm_config_cache", "/env/.cache/npm"),
            ("npm_config_progress", "false"),
            ("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/ca-certificates.crt"),
            ("npm_config_fetch_retry_mintimeout", "1000"),
            ("TMPDIR", "/env/.cache/scratch"),
        ),
        run_env=(("PYTHONDONTWRITEBYTECODE", "1"), ("npm_config_offline", "true")),
        binds=(Bind(host="node/node_modules", inside=modules),),
        tmpfs=(f"{modules}/.cache", f"{modules}/.vite", f"{modules}/.vite-temp"),
        source="package-lock.json",
    )


@pytest.mark.parametrize(
    ("files", "first"),
    [
        ({"package.json": '{"dependencies": {"a": "1"}}'}, "npm install --no-package-lock"),
        ({"package.json": '{"devDependencies": {"a": "1"}}'}, "npm install --no-package-lock"),
        ({"package.json": '{"name": "a"}'}, None),
        ({"package.json": "not json"}, None),
        ({"package.json": "[]"}, None),
        ({"package.json": "{}", "package-lock.json": "{}", "node_modules/a/x.js": ""}, None),
    ],
)
def test_npm_runs_where_there_is_something_to_install(
    files: dict[str, str], first: str | None
) -> None:
    commands = a_plan(files, runner="vitest").commands
    assert (commands[0].removesuffix(" --no-audit --no-fund") if commands else None) == first


def test_modules_of_workspace_members_are_kept_as_well() -> None:
    packages: dict[str, object] = {
        "": {},
        "node_modules/b": {},
        "node_modules/b/node_modules/c": {},
        "packages/a/node_modules/d": {},
        "../../etc/node_modules/e": {},
        "/etc/node_modules/f": {},
        "packages/./a/node_modules/g": {},
        "nowhere/node_modules/h": {},
    }
    plan = a_plan(
        {
            "package.json": '{"workspaces": ["packages/*"]}',
            "package-lock.json": json.dumps({"packages": packages}),
            "packages/a/package.json": "{}",
        },
        runner="jest",
    )
    assert plan.binds == (
        Bind(host="node/node_modules", inside="/workspace/node_modules"),
        Bind(host="node/packages/a/node_modules", inside="/workspace/packages/a/node_modules"),
    )
    assert plan.inputs == ("package-lock.json", "package.json", "packages/a/package.json")


def test_go_modules_are_downloaded_and_the_proxy_is_off_afterwards() -> None:
    plan = a_plan({"go.mod": "module a", "go.sum": ""}, runner="go")
    assert replace(plan, key="") == SetupPlan(
        commands=("go mod download",),
        inputs=("go.mod", "go.sum"),
        toolchains=(PYTHON,),
        env=(("GOMODCACHE", "/env/go/mod"),),
        setup_env=(
            ("GOFLAGS", "-modcacherw"),
            ("GOCACHE", "/env/.cache/go"),
            ("TMPDIR", "/env/.cache/scratch"),
        ),
        run_env=(("PYTHONDONTWRITEBYTECODE", "1"), ("GOPROXY", "off"), ("GOSUMDB", "off")),
        source="go.mod",
    )


def test_vendored_go_modules_need_no_setup() -> None:
    assert a_plan({"go.mod": "", "vendor/modules.txt": ""}, runner="go").commands == ()


@pytest.mark.parametrize(
    ("lock", "command"), [({"Cargo.lock": ""}, "cargo fetch --locked"), ({}, "cargo fetch")]
)
def test_crates_are_fetched_as_locked_when_they_are(lock: dict[str, str], command: str) -> None:
    plan = a_plan({"Cargo.toml": "", **lock}, runner="cargo")
    assert plan.commands == (command,)
    assert plan.run_env[-1] == ("CARGO_NET_OFFLINE", "true")


def test_a_test_runner_needs_its_own_language_alone() -> None:
    files = {"requirements.txt": "", "package.json": "{}", "package-lock.json": "", "go.mod": ""}
    found = [a_plan(files, runner=name).source for name in ("pytest", "jest", "go", None)]
    assert found == [
        "requirements.txt",
        "package-lock.json",
        "go.mod",
        "requirements.txt + package-lock.json + go.mod",
    ]


def test_a_declared_setup_replaces_what_would_be_detected() -> None:
    declared = DeclaredSetup(commands=("make deps",), inputs=("Makefile",))
    plan = a_plan({"requirements.txt": "", "Makefile": "deps:"}, declared=declared)
    assert (plan.commands, plan.inputs, plan.path, plan.source) == (
        ("make deps",),
        ("Makefile",),
        ("/env/bin", "/env/venv/bin"),
        ".cloud-agents/config.toml",
    )


def test_a_declared_setup_without_commands_makes_no_environment() -> None:
    plan = a_plan({"requirements.txt": ""}, declared=DeclaredSetup())
    assert plan == SetupPlan(
        toolchains=(PYTHON,),
        run_env=(("PYTHONDONTWRITEBYTECODE", "1"),),
        source=".cloud-agents/config.toml",
    )
