"""Looks through a candidate's change for lines that make tests pass without mending anything.

The process that runs the tests can forge their report, and ids, counts and exit code then agree.
So what reaches for the runner, ends the process, or knows the tests' answers is told. A finding is
no proof, and no finding is none either: it keeps a patch from `verified`. A grave one, which
changes the runner or how values compare in a file that did nothing of the kind before, speaks
against the patch: it is rejected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.copied_literals import copied
from mcp_cloud_agents.domain.fix import Finding
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.shadowing import shadowed
from mcp_cloud_agents.domain.unified_diff import Line, read_diff

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mcp_cloud_agents.domain.unified_diff import FileChange

MAX_FINDINGS = 50
MAX_DIFF_CHARS = 4 << 20
_MAX_TEXT = 200
_MAX_LINE = 2_000
_PROSE = (".md", ".rst", ".txt", ".adoc", ".svg", ".html", ".css", ".po")
_COMMENT = re.compile(r"\s*(?:#(?!\[)|//|\*\s)")


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    pattern: re.Pattern[str]
    why: str


def _rule(name: str, why: str, *patterns: str) -> _Rule:
    return _Rule(name, re.compile("|".join(patterns)), why)


_LIBRARIES = (
    "math|cmath|json|time|datetime|random|os|re|operator|builtins|unittest|collections|decimal|"
    "numbers|functools|itertools|pytest|sys|types|typing|logging|warnings|threading|subprocess"
)
_RULES = (
    _rule(
        "runner_patched",
        "changes the test runner or its comparisons from inside",
        r"\b(?:unittest|_?pytest)(?:\.\w+)+\s*=[^=]|\bTest(?:Case|Result|Report)(?:\.\w+)+\s*=[^=]",
        r"\bsetattr\([^,)]*\b(?:unittest|_?pytest|Test(?:Case|Result|Report))\b",
        r"\.(?:_base)?[aA]ssert\w*\s*=[^=]|\bfrom_item_and_call\b|\bdef pytest_runtest_\w+",
        r"@pytest\.hookimpl|\bglobal(?:This)?\.(?:expect|test|it|describe|assert)\s*=[^=]",
        r"\bexpect\.extend\b|\bObject\.is\s*=[^=]",
    ),
    _rule(
        "runner_internals",
        "reaches into the test runner",
        r"\b_pytest\b|\bpluggy\b|\bpytest_[a-z_]+\s*\(|\bTestReport\b",
        r"\bTestResult\b|\baddFailure\b|\baddError\b|\bpytest_plugins\b",
        r"['\"](?:jest-circus|jest-jasmine2|vitest/|@jest/|@vitest/)",
        r"\btesting\.(?:Main|MainStart|Init)\b",
    ),
    _rule(
        "runner_in_source",
        "code under test uses the test framework",
        r"^\s*(?:import|from)\s+(?:pytest|unittest|nose|xmlrunner|hypothesis)\b|\bpytest\.",
        r"\bunittest\.|\bmonkeypatch\b|\bmock\.patch\b|\b(?:jest|vi)\.(?:mock|fn|spyOn)\b",
    ),
    _rule(
        "runner_detected",
        "behaves differently when it is tested",
        r"PYTEST_|JEST_WORKER_ID|\bVITEST\b|NODE_ENV|['\"](?:pytest|unittest)['\"]",
        r"\bcfg!?\((?:not\()?test\b|testing\.Testing\(\)|flag\.Lookup\(\"test\.|['\"]GITHUB_ACTIONS",
        r"\bsys\.argv\b.*test|os\.(?:environ|getenv)\W.*['\"](?:CI|TEST\w*)['\"]",
    ),
    _rule(
        "stack_inspection",
        "looks at who calls it",
        r"\binspect\.(?:stack|currentframe|getouterframes)\b|\bsys\._(?:getframe|current_frames)\b",
        r"\btraceback\.(?:extract_stack|walk_stack|format_stack)\b|\bgc\.get_(?:objects|referrers)\b",
        r"\bf_back\b|\bruntime\.Callers?\b",
    ),
    _rule("module_table", "changes which modules others get", r"\bsys\.modules\b"),
    _rule(
        "import_hook",
        "changes how modules are imported or what builtins are",
        r"\bsys\.(?:meta_path|path_hooks|path_importer_cache)\b|\b__builtins__\b",
        r"\bbuiltins\.\w+(?:\.\w+)*\s*=[^=]|\bimportlib\.(?:machinery|abc|reload)\b|require\.cache",
    ),
    _rule(
        "early_exit",
        "ends the process before its tests are through",
        r"\b_exit\b|\bos\.(?:abort|kill|killpg|exec[lv]p?e?)\b|\bsignal\.raise_signal\b",
        r"^(?:sys\.exit|exit|quit)\(|^raise SystemExit",
        r"(?<![\w.])(?:sys\.exit|exit|quit|SystemExit)\(\s*(?:0|None|False)?\s*\)",
        r"\braise SystemExit\s*$",
        r"\bprocess\.(?:exit|reallyExit|abort|kill)\b|\bprocess\.exitCode\s*=",
        r"\bprocess::(?:exit|abort)\b|\bos\.Exit\b|\bsyscall\.(?:Exit|Kill)\b|\bruntime\.Goexit\b",
    ),
    _rule(
        "exit_hook",
        "runs code when the process ends or a line is run",
        r"\batexit\b|\bweakref\.finalize\b|\bsys\.(?:excepthook|settrace|setprofile|monitoring)\b",
        r"\bthreading\.(?:excepthook|settrace|setprofile)\b|process\.on\(\s*['\"](?:exit|beforeExit)",
    ),
    _rule(
        "left_running",
        "starts a process that may outlive its tests, or work beside them",
        r"\bfork(?:pty)?\(\)|\bsetsid\b|\bstart_new_session\b|\bdetached:\s*true\b|\bnohup\b",
    ),
    _rule(
        "native",
        "reaches past the language into memory or native code",
        r"\bctypes\b|\bcffi\b|\b/proc/|\bsun\.misc\b|\bunsafe\.Pointer\b|\bgo:linkname\b",
        r"\bprocess\.binding\b",
    ),
    _rule(
        "dynamic_code",
        "runs code that is made at run time",
        r"(?<![.\w])(?:exec|eval|compile|__import__)\(|\bmarshal\.loads\b|\bpickle\.loads?\b",
        r"\bimport_module\(|\bnew Function\(|\bvm\.run|\bb64decode\b|\bbytes\.fromhex\b",
        r"\b(?:globals|vars|locals)\(\)\s*\[[^\]]*\]\s*=[^=]|\bglobals\(\)\.(?:update|setdefault)\b",
    ),
    _rule(
        "library_patched",
        "replaces a part of a library for everybody",
        rf"^\s*(?:{_LIBRARIES})(?:\.\w+)+\s*=[^=]",
        rf"\bsetattr\(\s*(?:{_LIBRARIES})\b|\b(?:Object|Array|String|Number|Map)\.prototype\.\w+\s*=",
        r"\bglobal(?:This)?\.(?:expect|test|it|describe|assert)\b|\bforbiddenfruit\b",
    ),
    _rule(
        "skip_marker",
        "makes tests be skipped",
        r"\bmark\.(?:skip|skipif|xfail)\b|\bunittest\.(?:skip\w*|expectedFailure)\b|\bSkipTest\b",
        r"\bpytest\.(?:skip|xfail|importorskip|exit)\b|\b__test__\s*=|\bcollect_ignore",
        r"\b(?:it|test|describe)\.(?:skip|todo|fails|only)\b|\bx(?:it|describe|test)\(",
        r"\bt\.Skip(?:f|Now)?\(|#\[ignore\b|^\s*//go:build\b",
    ),
    _rule(
        "reads_tests",
        "names the tests, or their report",
        r"['\"`][^'\"`]*(?:\btests?/|__tests__|\btest_\w+\.py|_test\.go|\.test\.[jt]s)",
        r"\bjunit\w*\b|report\.(?:xml|json)|['\"`]/report\b|\bJOB_REPORT\b",
    ),
    _rule(
        "always_equal",
        "is equal to everything",
        r"\b__(?:eq|ne|lt|le|gt|ge|contains|bool)__\s*=\s*lambda\b[^:]*:\s*(?:True|False)\b",
        r"\bmock\.ANY\b",
    ),
)
_GRAVE = frozenset({"runner_patched", "always_equal"})
_OPENS_EQUALITY = re.compile(r"\bdef __(?:eq|ne|contains)__\b|\bfn (?:eq|ne)\b|\bequals\s*\(")
_ANSWERS_ALWAYS = re.compile(r"^\s*(?:return\s+(?:True|true|not None)\b\s*;?|true)\s*\}?\s*$")
_ONE_LINE = re.compile(
    r"\bdef __(?:eq|contains)__\b.*:\s*return\s+True\b|\bfn eq\b.*\{\s*true\s*\}"
)
_PYTHON_EQUALITY = re.compile(r"(\s*)def __(?:eq|ne)__\(\s*(\w+)\b")
_INLINE_TEST = {
    ".rs": re.compile(r"#\[(?:\w+::)*test\b|\bassert(?:_eq|_ne)?!|#\[(?:should_panic|cfg\(test)"),
    ".py": re.compile(r"^\s*>>> "),
}


def lint(diff: str, tests: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    """Suspicious lines of a change, at most 50, in the order of the diff.

    Args:
        diff: git's unified diff.
        tests: path → source of the failing tests, for answers that are copied from them.
    """
    if len(diff) > MAX_DIFF_CHARS:
        why = f"has more than {MAX_DIFF_CHARS} characters, too many to look through"
        return (Finding(rule="too_large", path="", line=0, text="", why=why),)
    found = list[Finding]()
    for file in read_diff(diff):
        found += _in_file(file, tests or {})
        if len(found) >= MAX_FINDINGS:
            break
    return tuple(found[:MAX_FINDINGS])


def _in_file(file: FileChange, tests: Mapping[str, str]) -> Iterator[Finding]:
    if file.binary:
        yield _finding(file, Line("+", 1, ""), "binary", "is binary and cannot be looked through")
    if file.created and (module := shadowed(file.path)):
        why = f"is imported in place of {module}, which the test runner may need"
        yield _finding(file, Line("+", 1, ""), "shadows", why)
    if file.path.casefold().endswith(_PROSE):
        return
    seen = set[tuple[str, int]]()
    before = _rules_before(file)
    for finding in sorted(_in_code(file, tests), key=lambda one: one.line):
        if (finding.rule, finding.line) not in seen:
            seen.add((finding.rule, finding.line))
            yield replace(finding, grave=finding.rule in _GRAVE - before)


def _rules_before(file: FileChange) -> set[str]:
    """Rules that the file met already, as far as the diff shows it: it may be a runner's own."""
    old = [line.text[:_MAX_LINE] for line in file.lines if line.kind != "+"]
    return {rule.name for rule in _RULES if any(map(rule.pattern.search, old))}


def _in_code(file: FileChange, tests: Mapping[str, str]) -> Iterator[Finding]:
    for line in file.new():
        yield from _in_line(file, line)
    always = list(_always_equal(file.new()))
    for line in always:
        yield _finding(file, line, "always_equal", "is equal to everything")
    for line in _blind(file.new()):
        if line not in always:
            yield _finding(file, line, "blind_equality", "compares without looking at itself")
    for line in _inline_tests(file):
        yield _finding(file, line, "inline_test", "changes tests that stand in the source")
    for line, rule, why in copied(file, tests):
        yield _finding(file, line, rule, why)


def _in_line(file: FileChange, line: Line) -> Iterator[Finding]:
    if len(line.text) > _MAX_LINE:
        yield _finding(file, line, "long_line", f"has more than {_MAX_LINE} characters")
    if _COMMENT.match(line.text) and "go:build" not in line.text:
        return
    text = line.text[:_MAX_LINE]
    for rule in _RULES:
        if rule.pattern.search(text):
            yield _finding(file, line, rule.name, rule.why)


def _always_equal(new: list[Line]) -> Iterator[Line]:
    """Heads of comparisons whose body is nothing but true."""
    for number, line in enumerate(new):
        text = line.text[:_MAX_LINE]
        following = new[number + 1].text[:_MAX_LINE] if number + 1 < len(new) else ""
        opens = _OPENS_EQUALITY.search(text)
        if _ONE_LINE.search(text) or (opens and _ANSWERS_ALWAYS.match(following)):
            yield line


def _blind(new: list[Line]) -> Iterator[Line]:
    """Heads of Python comparisons whose body never mentions the object itself."""
    for number, line in enumerate(new):
        head = _PYTHON_EQUALITY.match(line.text[:_MAX_LINE])
        if head is None:
            continue
        body = list(
            takewhile(partial(_deeper, len(head[1])), (one.text for one in new[number + 1 :]))
        )
        if body and not re.search(rf"\b{head[2]}\b|\bsuper\(", "\n".join(body)):
            yield line


def _deeper(depth: int, text: str) -> bool:
    return not text.strip() or len(text) - len(text.lstrip()) > depth


def _inline_tests(file: FileChange) -> Iterator[Line]:
    pattern = next((one for end, one in _INLINE_TEST.items() if file.path.endswith(end)), None)
    for line in file.lines if pattern else ():
        if pattern and line.kind == "-" and pattern.search(line.text[:_MAX_LINE]):
            yield line


def _finding(file: FileChange, line: Line, rule: str, why: str) -> Finding:
    return Finding(
        rule=rule,
        path=render_text(file.path)[:_MAX_TEXT],
        line=line.number,
        text=render_text(line.text.strip()[:_MAX_LINE])[:_MAX_TEXT],
        why=why,
    )
