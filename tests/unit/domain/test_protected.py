from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.protected import AGENT, CI, LOCK, RUNNER, TEST, protected

PROTECTED = {
    TEST: (
        *("test_a.py", "src/a_test.py", "tests/data.json", "pkg/tests.py", "src/__tests__/a.js"),
        *("web/a.test.ts", "web/a.spec.tsx", "a.test.mjs", "pkg/a_test.go", "spec/a_spec.rb"),
        *("src/test/java/AThing.java", "x/__snapshots__/a.snap", "testdata/golden.txt"),
        *("TESTS/Data.json", "src/Test_A.py", "tests.rs", "fixtures/a.json"),
    ),
    RUNNER: (
        *("a.egg-info/entry_points.txt", "src/a-1.dist-info/METADATA", "a.egg", "test-setup.ts"),
        *("conftest.py", "a/b/conftest.py", "tests/conftest.py", "sitecustomize.py", "x.pth"),
        *("lib/usercustomize.py", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "setup.py"),
        *("pyproject.toml", "jest.config.js", "jest.setup.ts", "vitest.config.mts", "package.json"),
        *(
            "vite.config.ts",
            "Cargo.toml",
            "build.rs",
            "go.mod",
            "go.work",
            "Makefile",
            "noxfile.py",
        ),
        *(".cargo/config.toml", ".coveragerc", "tsconfig.base.json", ".npmrc", "babel.config.cjs"),
        *("pytest.py", "src/_pytest/runner.py", "unittest/__init__.py", "lib/pluggy.py"),
        *("a/__pycache__/a.cpython-311.pyc", "node_modules/jest/index.js", ".python-version"),
    ),
    CI: (
        *(".github/workflows/ci.yml", ".gitlab-ci.yml", ".circleci/config.yml", "Jenkinsfile"),
        *("azure-pipelines.yml", ".ci/run", ".buildkite/pipeline.yml"),
    ),
    LOCK: (
        *("package-lock.json", "web/yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock"),
        *(
            "Cargo.lock",
            "go.sum",
            "requirements.txt",
            "requirements-dev.txt",
            "dev-requirements.txt",
        ),
    ),
    AGENT: (
        *("CLAUDE.md", "AGENTS.md", "sub/CLAUDE.local.md", ".claude/settings.json", ".envrc"),
        *(".codex/config.toml", ".mcp.json", ".cloud-agents/config.toml", ".vscode/tasks.json"),
        *(".cursor/rules/a.mdc", ".pre-commit-config.yaml", ".gitattributes"),
    ),
}
FREE = (
    *("src/a.py", "a.py", "contest.py", "attest.py", "latest/a.py", "protest.go", "testing.py"),
    *("src/pytester.py", "integrations/pytest.py", "lib/unit.ts", "spectrum.js", "README.md"),
    *("docs/requirements.md", "src/main.rs", "cmd/main.go", "inspect.py", "data/config.json"),
)


@pytest.mark.parametrize(("why", "path"), [(w, p) for w, paths in PROTECTED.items() for p in paths])
def test_what_judges_or_steers_is_protected(why: str, path: str) -> None:
    assert protected(path) == why


@pytest.mark.parametrize("path", FREE)
def test_sources_may_change(path: str) -> None:
    assert protected(path) is None


def test_a_person_lets_patterns_through() -> None:
    assert protected("tests/unit/test_a.py", ["tests/"]) is None
    assert protected("tests/unit/test_a.py", ["tests/*.py"]) is None
    assert protected("go.mod", ["go.mod"]) is None
    assert protected("a/conftest.py", ["conftest.py", "tests/"]) == RUNNER


@given(st.sampled_from([p for paths in PROTECTED.values() for p in paths]))
def test_what_is_protected_stays_so_in_whatever_case(path: str) -> None:
    assert protected(path.upper()) == protected(path)


@given(st.text())
def test_every_path_has_an_answer(path: str) -> None:
    assert protected(path) in (None, TEST, RUNNER, CI, LOCK, AGENT)
