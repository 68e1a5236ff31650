from __future__ import annotations

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.runners.selection import selected

NAMES = frozenset(
    {
        *("tests/__init__.py", "tests/test_a.py", "tests/deep/test_b.py", "src/a[1].test.js"),
        *("src/a.test.js", "a/a_test.go", "a/b/b_test.go", "Cargo.toml", "src/lib.rs"),
        *("src/bin/tool.rs", "tests/outer.rs", "crates/x/Cargo.toml", "crates/x/tests/it.rs"),
    }
)
TOP, BELOW = "python3 -m unittest", "python3 -m unittest discover -s tests"
DOC = "--doc -- src/lib.rs - a (line 1)"
MEMBER = "--manifest-path crates/x/Cargo.toml"


@pytest.mark.parametrize(
    ("runner", "command", "paths", "words"),
    [
        (
            "pytest",
            "pytest",
            ["tests/test_a.py::T::test_x[a b]"],
            "tests/test_a.py::T::test_x[a b]",
        ),
        ("unittest", TOP, ["tests/test_a.py", "tests.test_a.A.test_x"], None),
        ("unittest", TOP, ["tests.test_a.A.test_x (n=1)"], "tests.test_a.A.test_x"),
        ("unittest", TOP, ["tests"], "discover -s tests -t ."),
        ("unittest", BELOW, ["tests/"], "discover -s tests"),
        ("unittest", BELOW, ["tests/deep"], "discover -s tests/deep -t tests"),
        ("unittest", BELOW, ["test_a.A.test_x"], "discover -s tests -k test_a.A.test_x"),
        ("unittest", BELOW, ["tests/deep/test_b.py"], "discover -s tests -k deep.test_b.*"),
        ("unittest", BELOW, ["t.py"], None),
        ("jest", "npm test", ["src/a.test.js", "src/"], None),
        ("jest", "npm test", ["src/a[1].test.js"], r"src/a\[1\].test.js"),
        ("vitest", "npx vitest run", ["src/a[1].test.js"], None),
        (
            "jest",
            "npm test",
            ["src/a.test.js > adds (1 + 1)", "src/a.test.js > b"],
            r"-- src/a.test.js -t ^(?:adds \(1 \+ 1\)|b)$",
        ),
        ("vitest", "npx vitest run", ["src/a.test.js > a > b"], "src/a.test.js -t ^(?:a b)$"),
        ("vitest", "npx vitest run", ["src/a.test.js > a", "src/b"], "src/a.test.js src/b"),
        ("go", "go test ./...", ["a/a_test.go", "a", "./a"], "./a ./a/..."),
        ("go", "go test", ["example.com/demo/b", "./c/..."], None),
        ("go", "go test", ["example.com/a.TestX/sub_one"], "-run ^TestX$/^sub_one$ example.com/a"),
        (
            "go",
            "go test",
            ["example.com/a.TestX/sub", "example.com/b.TestY"],
            "-run ^(TestX|TestY)$ example.com/a example.com/b",
        ),
        ("go", "go test", ["example.com/a.TestX", "a/b"], "example.com/a ./a/b/..."),
        ("cargo", "cargo test", ["tests/outer.rs", "src/lib.rs"], "--test outer --lib"),
        ("cargo", "cargo test", ["src/bin/tool.rs"], "--bin tool"),
        ("cargo", "cargo test", ["demo src/lib.rs tests::good"], "--lib -- tests::good"),
        ("cargo", "cargo test", ["tests::good", "bad"], "-- tests::good bad"),
        ("cargo", "cargo test -- --nocapture", ["tests::good"], "tests::good"),
        ("cargo", "cargo test", ['demo test "outer"'], "--test outer"),
        ("cargo", "cargo test", ["d doc-tests src/lib.rs - a (line 1)"], DOC),
        ("cargo", "cargo test", ["crates/x"], MEMBER),
        ("cargo", "cargo test", ["crates/x/tests/it.rs"], f"{MEMBER} --test it"),
    ],
)
def test_each_runner_is_asked_in_its_own_words(
    runner: str, command: str, paths: list[str], words: str | None
) -> None:
    expected = " ".join(paths) if words is None else words
    assert " ".join(selected(runner, command, paths, NAMES)) == expected


@pytest.mark.parametrize(
    ("runner", "command", "paths"),
    [
        ("unittest", TOP, ["tests", "tests/deep"]),
        ("unittest", TOP, ["tests", "tests.test_a"]),
        ("cargo", "cargo test -- --nocapture", ["tests/outer.rs"]),
    ],
)
def test_what_a_runner_cannot_be_asked_for_is_refused(
    runner: str, command: str, paths: list[str]
) -> None:
    with pytest.raises(InvalidArgument):
        selected(runner, command, paths, NAMES)
