"""jest and vitest through the server: packages of the registry, verdicts, workspaces of npm.

The versions run on node 18 as well as on later ones.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.suites import (
    HOSTILE,
    TRUST,
    UNREACHABLE,
    Told,
    artifacts,
    counts,
    failures,
    fill,
    junit,
    program,
    run_tests,
)
from tests.e2e.wire import Connect, Repository

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]

JEST = {"jest": "29.7.0"}
VITEST = {"vitest": "3.2.7", "vite": "6.4.6"}
SUITE = f"""
describe('group', () => {{
  test('good', () => {{}});
  test('bad', () => {{
    expect(1).toBe(2);
  }});
  test.skip('skipped', () => {{}});
  test.todo('later');
}});
test('hostile', () => {{
  throw new Error('{HOSTILE} \\ud800');
}});
test('network', async () => {{
  await new Promise((_, fail) => net.connect(443, '{UNREACHABLE}').on('error', fail));
}});
"""
FOR_JEST = "const net = require('net');" + SUITE
FOR_VITEST = "import net from 'node:net'; import { describe, expect, test } from 'vitest';" + SUITE
NO_NETWORK = f"Error: connect ENETUNREACH {UNREACHABLE}:443"


def manifest(name: str, packages: dict[str, str], **more: object) -> str:
    scripts = {"test": next(iter(packages))} if packages else {"test": "jest"}
    package = {"name": name, "version": "1.0.0", "scripts": scripts, "devDependencies": packages}
    return json.dumps({**package, **more})


def install(repository: Repository) -> None:
    """The lock file as a person's npm makes it, committed."""
    done = subprocess.run(
        [program("npm"), "install", "--package-lock-only", "--no-audit", "--no-fund"],
        cwd=repository.path,
        env={**repository.env, **TRUST},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"the registry gives no packages here: {done.stderr[-300:]}")
    repository.git("add", "package-lock.json")
    repository.git("commit", "-qm", "lock")


@pytest.fixture
def jest(repository: Repository) -> Repository:
    program("node")
    files = {
        "package.json": manifest("demo", JEST),
        ".gitignore": "node_modules\n",
        "src/a.test.js": FOR_JEST,
        "src/b.test.js": "require('./nothing');\n",
    }
    fill(repository, files, {})
    install(repository)
    repository.write("src/dirty.test.js", "test('dirty', () => {});\n")
    return repository


def jest_failures(folder: str) -> list[Told]:
    at, broken = f"{folder}/a.test.js", f"{folder}/b.test.js"
    return [
        Told(
            f"{at} > group bad",
            f"{at}:5",
            "assert",
            "Error: expect(received).toBe(expected) // Object.is equality",
        ),
        Told(f"{at} > hostile", f"{at}:11", "error", "Error: red \ufffd \ufffd \ufffd end \ufffd"),
        Told(f"{at} > network", f"{at}:13", "error", NO_NETWORK),
        Told(broken, f"{broken}:1", "collection", "Cannot find module './nothing'"),
    ]


def shortened(told: list[Told]) -> list[Told]:
    """Without what depends on the version of node or on the place the command began at."""
    return [
        Told(one.id, one.at, one.kind, one.message.split(" - Local")[0].split(" from '")[0])
        for one in told
    ]


def test_the_verdict_of_jest_is_complete(jest: Repository, connect: Connect) -> None:
    del jest
    wire = connect()
    answer = run_tests(wire)
    assert (answer["command"], answer["verdict"]) == ("npm test", "failed")
    assert (answer["tree"]["dirty"], answer["environment"]) == (True, "built")
    assert counts(answer) == {"total": 8, "passed": 2, "failed": 3, "errors": 1, "skipped": 2}
    assert shortened(failures(answer)) == jest_failures("src")
    assert artifacts(answer) == ["junit.xml"]
    assert "src/dirty.test.js &gt; dirty" in junit(wire, answer)


def test_files_and_ids_of_jest_can_be_asked_for(jest: Repository, connect: Connect) -> None:
    del jest
    wire = connect()
    file = run_tests(wire, paths=["src/dirty.test.js"])
    assert (counts(file), file["environment"]) == ({"total": 1, "passed": 1}, "built")
    one = run_tests(wire, paths=["src/a.test.js > group bad"])
    assert counts(one) == {"total": 6, "failed": 1, "skipped": 5}
    assert (one["environment"], one["timings_s"]["setup"] < 1) == ("cached", True)
    assert shortened(failures(one)) == jest_failures("src")[:1]
    chosen = run_tests(wire, command="npx jest -t good src/a")
    assert counts(chosen) == {"total": 6, "passed": 1, "skipped": 5}


def test_packages_of_an_npm_workspace_are_named_from_the_top(
    repository: Repository, connect: Connect
) -> None:
    program("node")
    files = {
        "package.json": manifest("top", JEST, workspaces=["packages/*"]),
        "packages/web/package.json": manifest("web", {}),
        "packages/web/src/a.test.js": FOR_JEST,
        "packages/web/src/b.test.js": "require('./nothing');\n",
        "packages/api/package.json": manifest("api", {}),
        "packages/api/src/a.test.js": "test('api', () => {});\n",
        ".gitignore": "node_modules\n",
    }
    fill(repository, files, {})
    install(repository)
    wire = connect()
    below = str(repository.path / "packages/web")
    expected = {"total": 7, "passed": 1, "failed": 3, "errors": 1, "skipped": 2}
    for command in ("npm test", "npx jest"):
        answer = run_tests(wire, workspace=below, command=command)
        assert counts(answer) == expected
        assert shortened(failures(answer)) == jest_failures("packages/web/src")
    api = run_tests(wire, command="npm test --workspace=api")
    assert (counts(api), api["environment"]) == ({"total": 1, "passed": 1}, "cached")


@pytest.fixture
def vitest(repository: Repository) -> Repository:
    """Without a lock file, so that set-up resolves the packages itself."""
    program("npm")
    files = {
        "package.json": manifest("demo", VITEST, type="module"),
        ".gitignore": "node_modules\n",
        "src/a.test.js": FOR_VITEST,
        "src/b.test.js": "import './nothing';\n",
        "web/checks/a.test.js": FOR_VITEST,
        "web/vitest.config.js": "export default {};\n",
    }
    fill(repository, files, {})
    dirty = "import { test } from 'vitest';\ntest('dirty', () => {});\n"
    repository.write("src/dirty.test.js", dirty)
    return repository


def vitest_failures(folder: str) -> list[Told]:
    at, broken = f"{folder}/a.test.js", f"{folder}/b.test.js"
    unequal = "AssertionError: expected 1 to be 2 // Object.is equality"
    return [
        Told(f"{at} > group > bad", f"{at}:5", "assert", unequal),
        Told(f"{at} > hostile", f"{at}:11", "error", "Error: red   \ufffd end"),
        Told(f"{at} > network", at, "error", NO_NETWORK),
        Told(broken, f"{broken}:1", "collection", "Error: Cannot find module './nothing' imported"),
    ]


def test_the_verdict_of_vitest_is_complete(vitest: Repository, connect: Connect) -> None:
    del vitest
    wire = connect()
    answer = run_tests(wire, paths=["src"])
    assert (answer["verdict"], answer["environment"]) == ("failed", "built")
    assert counts(answer) == {"total": 8, "passed": 2, "failed": 3, "errors": 1, "skipped": 2}
    assert shortened(failures(answer)) == vitest_failures("src")
    assert artifacts(answer) == ["junit.xml"]
    assert 'name="dirty"' in junit(wire, answer)
    one = run_tests(wire, paths=["src/a.test.js > group > bad"])
    assert (one["environment"], one["timings_s"]["setup"] < 1) == ("cached", True)
    assert counts(one) == {"total": 6, "failed": 1, "skipped": 5}
    assert shortened(failures(one)) == vitest_failures("src")[:1]
    below = run_tests(wire, command="cd web && npx vitest run")
    assert counts(below) == {"total": 6, "passed": 1, "failed": 3, "skipped": 2}
    assert shortened(failures(below)) == vitest_failures("web/checks")[:3]
