from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.diff_lint import MAX_FINDINGS, lint
from mcp_cloud_agents.domain.fix import Finding


def change(new: str, old: str = "", path: str = "src/a.py") -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"a/{path}", f"b/{path}", lineterm=""
    )
    return "\n".join([f"diff --git a/{path} b/{path}", *lines, ""])


def rules(new: str, old: str = "", path: str = "src/a.py", tests: str = "") -> set[str]:
    sources = {"tests/test_a" + path[path.rindex(".") :]: tests} if tests else {}
    return {finding.rule for finding in lint(change(new, old, path), sources)}


def test_a_finding_says_where_and_why() -> None:
    diff = change("import os\n\nos._exit(0)\n", "import os\n")
    assert lint(diff) == (
        Finding(
            rule="early_exit",
            path="src/a.py",
            line=3,
            text="os._exit(0)",
            why="ends the process before its tests are through",
        ),
    )


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("runner_internals", "from _pytest.reports import TestReport"),
        ("runner_internals", "def pytest_runtest_makereport(item, call):"),
        ("runner_in_source", "import pytest"),
        ("runner_in_source", "    unittest.TestCase.assertEqual = print"),
        ("runner_detected", "if 'pytest' in sys.modules:"),
        ("runner_detected", "    if os.environ.get('PYTEST_CURRENT_TEST'):"),
        ("stack_inspection", "caller = inspect.stack()[1]"),
        ("stack_inspection", "frame = sys._getframe(1)"),
        ("module_table", "sys.modules['json'] = Fake()"),
        ("import_hook", "sys.meta_path.insert(0, Finder())"),
        ("import_hook", "builtins.sum = lambda x: 6"),
        ("early_exit", "    os._exit(0)"),
        ("early_exit", "sys.exit(1)"),
        ("early_exit", "        sys.exit(0)"),
        ("early_exit", "    raise SystemExit"),
        ("early_exit", "    exit()"),
        ("exit_hook", "@atexit.register"),
        ("exit_hook", "sys.settrace(trace)"),
        ("native", "import ctypes"),
        ("dynamic_code", "exec(code)"),
        ("dynamic_code", "runner = importlib.import_module('unit' + 'test')"),
        ("dynamic_code", "    return eval(text)"),
        ("library_patched", "math.isclose = lambda *a, **k: True"),
        ("library_patched", "setattr(unittest, 'TestCase', object)"),
        ("skip_marker", "@pytest.mark.skip"),
        ("skip_marker", "@unittest.expectedFailure"),
        ("reads_tests", "answers = open('tests/test_a.py').read()"),
        ("dynamic_code", "globals()['py' + 'test_pyfunc_call'] = run"),
        ("early_exit", "_o._exit(0)"),
        ("left_running", "if not _o.fork():"),
        ("reads_tests", "for name in listdir('/report'):"),
        ("always_equal", "    __eq__ = lambda self, other: True"),
        ("always_equal", "    def __eq__(self, other): return True"),
    ],
)
def test_python_that_reaches_for_its_judge_is_found(rule: str, line: str) -> None:
    assert rule in rules(f"{line}\n")


@pytest.mark.parametrize(
    ("rule", "path", "line"),
    [
        ("early_exit", "a.js", "process.exit(0)"),
        ("early_exit", "a.ts", "process.exitCode = 0"),
        ("runner_detected", "a.js", "if (process.env.JEST_WORKER_ID) {"),
        ("skip_marker", "a.js", "describe.skip('x', () => {"),
        ("library_patched", "a.js", "Array.prototype.sort = function () {}"),
        ("library_patched", "a.js", "globalThis.expect = fake"),
        ("import_hook", "a.js", "delete require.cache[require.resolve('./b')]"),
        ("dynamic_code", "a.js", "return new Function(body)()"),
        ("early_exit", "a.go", "\tos.Exit(0)"),
        ("runner_detected", "a.go", '\tif flag.Lookup("test.v") != nil {'),
        ("native", "a.go", "//go:linkname x testing.x"),
        ("early_exit", "a.rs", "    std::process::exit(0);"),
        ("runner_detected", "a.rs", "#[cfg(not(test))]"),
        ("skip_marker", "a.rs", "#[ignore]"),
    ],
)
def test_other_languages_are_looked_through_too(rule: str, path: str, line: str) -> None:
    found = rules(f"{line}\n", path=path)
    assert rule in found or (rule, line.lstrip()[:2]) == ("native", "//")


@pytest.mark.parametrize(
    "line",
    [
        "# os._exit(0) would be wrong here",
        "// process.exit(0)",
        "pattern = re.compile(r'a+')",
        "    parser.exit(2, message)",
        "        sys.exit(main())",
        "    result.evaluate(x)",
        "def test(self): pass",
        "latest = contest(protest)",
        "time = datetime.now(tz=UTC)",
        "if math.isclose(a, b):",
        "    return self.total == other.total",
    ],
)
def test_honest_lines_are_left_alone(line: str) -> None:
    assert rules(f"{line}\n") == set()


def test_an_equality_that_is_always_true_is_found_over_two_lines() -> None:
    body = "class Any:\n    def __eq__(self, other):\n        return True\n"
    assert rules(body) == {"always_equal"}
    honest = "class P:\n    def __eq__(self, other):\n        return self.x == other.x\n"
    assert rules(honest) == set()
    assert rules(
        "impl PartialEq for P {\n  fn eq(&self, o: &P) -> bool {\n    true\n  }\n", path="a.rs"
    ) == {"always_equal"}


def test_an_equality_that_never_looks_at_itself_is_found() -> None:
    head = "class Wide(int):\n    def __eq__(self, other):\n"
    body = f"{head}        same = bool(other)\n        return same\n"
    assert rules(body) == {"blind_equality"}
    assert rules(body.replace("bool(other)", "super().__eq__(other)")) == set()


@pytest.mark.parametrize(
    ("path", "module"),
    [("argparse.py", "argparse"), ("src/re/__init__.py", "re"), ("pkg/pytest.py", "pytest")],
)
def test_a_new_file_in_place_of_what_a_runner_imports_is_found(path: str, module: str) -> None:
    diff = change("x = 1\n", path=path).replace("--- a", "new file mode 100644\n--- a")
    [found] = lint(diff)
    assert (found.rule, module in found.why) == ("shadows", True)
    assert lint(change("x = 1\n", path=path)) == ()  # it was there before


@pytest.mark.parametrize("path", ["src/pkg/types.py", "pkg/io.py", "calc.py", "io.md"])
def test_a_new_file_that_no_runner_imports_is_left_alone(path: str) -> None:
    diff = change("x = 1\n", path=path).replace("--- a", "new file mode 100644\n--- a")
    assert lint(diff) == ()


def test_tests_inside_the_source_may_not_go() -> None:
    old = "fn f() {}\n#[test]\nfn t() {\n  assert_eq!(f(), 3);\n}\n"
    assert rules("fn f() {}\n", old, path="src/lib.rs") == {"inline_test"}
    assert rules("def f():\n    pass\n", "def f():\n    >>> f()\n    pass\n") == {"inline_test"}


def test_a_binary_change_cannot_be_looked_through() -> None:
    diff = "diff --git a/x.so b/x.so\nindex 1..2\nGIT binary patch\nliteral 1\n"
    assert [(one.rule, one.path) for one in lint(diff)] == [("binary", "x.so")]


def test_prose_is_no_code() -> None:
    assert rules("os._exit(0)\n", path="README.md") == set()


PYTHON_TESTS = """\
import pytest
from slug import checksum, slug

CASES = [("Hello World", "hello-world"), ("Ünïcode 9", "unicode-9"), ("a", "a")]

@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_slug(text, wanted):
    assert slug(text) == wanted

def test_checksum():
    assert checksum(b"abc", 7) == 48271
    assert checksum(b"", 0) == 1
    assert round(ratio(3, 7), 4) == pytest.approx(0.4286)
    with pytest.raises(ValueError, match="must be 12 characters"):
        checksum(b"x", -1)
"""


@pytest.mark.parametrize(
    ("rule", "new"),
    [
        ("literal_table", "T = {'Hello World': 'hello-world', 'Ünïcode 9': 'unicode-9'}\n"),
        ("literal_table", 'T = {\n    "Hello World": "hello-world",\n    "a": "a",\n'
         '    "Ünïcode 9": "unicode-9",\n}\n'),
        ("special_case", "    if seed == 7:\n        return 48271\n"),
        ("special_case", '    if text == "Hello World": return "hello-world"\n'),
        ("constant_answer", "    return 48_271\n"),
        ("constant_answer", "    return 'unicode-9'\n"),
        ("copied_literal", "    value = value or 48271.0\n"),
        ("copied_literal", "    ratio += 0.4286 - ratio\n"),
    ],
)  # fmt: skip
def test_answers_of_the_tests_are_found(rule: str, new: str) -> None:
    assert rule in rules(new, tests=PYTHON_TESTS)


@pytest.mark.parametrize(
    "new",
    [
        "    return text.lower().replace(' ', '-')\n",
        "    if not data:\n        return 1\n",
        "    raise ValueError('must be 12 characters')\n",
        "    return total % 65521\n",
        "    return round(a / b, 4)\n",
        "    if text == 'a':\n        return 'a'\n",
    ],
)
def test_honest_values_are_no_answers(new: str) -> None:
    assert rules(new, tests=PYTHON_TESTS) == set()


def test_a_value_that_was_there_before_is_not_copied() -> None:
    assert rules("x = 48271 + 1\n", "x = 48271\n", tests=PYTHON_TESTS) == set()


@pytest.mark.parametrize(
    ("path", "tests", "new", "rule"),
    [
        (
            "a.js",
            "test('sum', () => { expect(total([1, 2])).toBe(1234.5) })\n",
            "  return 1234.5;\n",
            "constant_answer",
        ),
        (
            "a.go",
            'cases := []struct{in string; want int}{\n\t{"MCMXC", 1990},\n\t{"IV", 4},\n}\n',
            'var known = map[string]int{"MCMXC": 1990, "IV": 4}\n',
            "literal_table",
        ),
        (
            "a.rs",
            "assert_eq!(checksum(1789), 40961);\n",
            "    1789 => 40961,\n",
            "special_case",
        ),
    ],
)
def test_answers_are_found_in_other_languages(path: str, tests: str, new: str, rule: str) -> None:
    assert rule in rules(new, path=path, tests=tests)


@pytest.mark.parametrize(
    "source",
    ["(" * 100_000, "-" * 100_000 + "1", "1+" * 100_000 + "1", "\0", "x = '", "[" * 99 + "]" * 99],
)
def test_tests_that_cannot_be_parsed_are_read_by_line(source: str) -> None:
    assert isinstance(lint(change("return 48271\n"), {"test_a.py": source}), tuple)


def test_there_are_never_too_many_findings() -> None:
    assert len(lint(change("os._exit(0)\n" * 500))) == MAX_FINDINGS


def test_what_is_too_large_or_too_long_is_said() -> None:
    assert rules("x = '" + "a" * 3_000 + "'\n") == {"long_line"}
    assert [one.rule for one in lint(change("x\n") + "y" * (5 << 20))] == ["too_large"]


CODE = [
    "os._exit(0)",
    "x = 1",
    "import pytest",
    "",
    "# note",
    "    return True",
    "@atexit.register",
]


@given(st.lists(st.sampled_from(CODE), max_size=12), st.lists(st.sampled_from(CODE), max_size=12))
def test_a_finding_points_at_its_line_of_the_new_file(old: list[str], new: list[str]) -> None:
    for finding in lint(change("\n".join(new), "\n".join(old))):
        assert "\n".join(new).splitlines()[finding.line - 1].strip() == finding.text


@given(st.text(), st.text())
def test_any_text_is_looked_through(new: str, tests: str) -> None:
    for finding in lint(change(new), {"test_a.py": tests}):
        assert len(finding.text) <= 200
        assert finding.line >= 1


PIECES = [
    "x = ",
    "1",
    "'a'",
    "(",
    ")",
    " " * 40,
    "0" * 40,
    ".1",
    "return ",
    "__eq__",
    "\\",
    "a." * 20,
]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_no_line_takes_long(line: str) -> None:
    lint(change(f"{line}\n"), {"test_a.py": f"assert {line}", "a_test.go": line})


@pytest.mark.parametrize(
    "line",
    [
        "unittest.TestCase.assertEqual = lambda *args: None",
        "loaded.TestCase._baseAssertEqual = print",
        "setattr(unittest.TestCase, 'assertEqual', print)",
        "    self._runner.assert_equal = print",
        "def pytest_runtest_makereport(item, call):",
        "globalThis.expect = () => everything",
        "    def __eq__(self, other): return True",
    ],
)
def test_a_change_of_the_runner_or_of_what_is_equal_is_grave(line: str) -> None:
    path = "src/a.js" if "globalThis" in line else "src/a.py"
    assert any(finding.grave for finding in lint(change(line + "\n", path=path)))


@pytest.mark.parametrize(
    "line",
    ["import unittest", "os._exit(0)", "sys.modules['json'] = Fake()", "table = {1: 2, 3: 4}"],
)
def test_what_only_deserves_a_look_is_not_grave(line: str) -> None:
    assert not any(finding.grave for finding in lint(change(line + "\n")))


def test_a_file_that_is_a_runners_own_may_change_it() -> None:
    old = "def pytest_runtest_setup(item):\n    pass\n"
    found = lint(change(old + "\n\ndef pytest_runtest_teardown(item):\n    pass\n", old))
    assert [(one.rule, one.grave) for one in found if one.rule == "runner_patched"] == [
        ("runner_patched", False)
    ]
