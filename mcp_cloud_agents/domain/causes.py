"""Why a command did no work at all, read from its exit code and the first of its output."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.result import Cause, CauseKind

_MAX_EXCERPT = 20
_HEAD_CHARS = 65_536
_PATH_HINT = (
    "Check the path: the command starts in the folder of workspace, and only files of the tree "
    "and of its environment are there."
)
_PROGRAM = r"[\w@./+-]{1,100}"


@dataclass(frozen=True, slots=True)
class _Sign:
    """A line that tells why nothing ran; `{0}` in message and hint is what its group found."""

    pattern: re.Pattern[str]
    message: str
    hint: str
    exit_codes: frozenset[int] | None = None
    """None: any but 0."""


_SIGNS = (
    _Sign(
        re.compile(rf"^\S*python[\w.]*: No module named '?({_PROGRAM})"),
        "Python has no module {0} in the job's environment.",
        "Add {0} to the project's requirements, or to setup commands, so that it is installed.",
    ),
    _Sign(
        re.compile(r'Error importing plugin "(job_report)"'),
        "pytest could not load the plugin that reports its tests: something in the command "
        "replaces PYTHONPATH.",
        "Call pytest directly in command, with its own PYTHONPATH=... in front where needed.",
    ),
    _Sign(
        re.compile(r"(?i)^npm (?:err!|error) (code ENOENT|.*missing script)"),
        "npm found no package.json, or no such script in it.",
        "Check the script's name in package.json, and the folder the command runs in.",
    ),
    _Sign(
        re.compile(rf"(?:^|: )({_PROGRAM}): (?:command )?not found$"),
        "The job has no program {0}.",
        "Add it to the project's requirements, or install it in setup commands.",
        frozenset({127}),
    ),
    _Sign(
        re.compile(rf"^(?:\S+: )*?({_PROGRAM}): No such file or directory$"),
        "There is no program {0} in the job.",
        _PATH_HINT,
        frozenset({127}),
    ),
    _Sign(
        re.compile(rf"(?:: cannot open |: can't open file ')({_PROGRAM})"),
        "There is no script {0} in the job.",
        _PATH_HINT,
        frozenset({2, 127}),
    ),
    _Sign(
        re.compile(rf"({_PROGRAM}): Permission denied$"),
        "{0} cannot be run: it is not executable.",
        "Set its executable bit (git update-index --chmod=+x), or call it by its interpreter.",
        frozenset({126}),
    ),
    _Sign(
        re.compile(r"^go: (cannot find main module|no go\.mod file).*"),
        "go found no module here.",
        "Run it in the folder that holds go.mod: cd FOLDER && go test ./...",
    ),
    _Sign(
        re.compile(r"^error: could not find `(Cargo\.toml)`"),
        "cargo found no Cargo.toml here.",
        "Run it in the folder that holds Cargo.toml: cd FOLDER && cargo test",
    ),
)
_BY_CODE = {
    127: _Sign(
        re.compile(""),
        "A program that the command calls does not exist in the job.",
        "The log names it; add it to the requirements or install it in setup commands.",
    ),
    126: _Sign(
        re.compile(""),
        "A program that the command calls cannot be executed.",
        "The log names it; check its executable bit and its first line.",
    ),
}


def explain(log_head: str, exit_code: int | None, command: str) -> Cause | None:
    """Why a command that left no report did nothing, when its output tells.

    Args:
        log_head: the first of its output, untrusted.
        exit_code: of the command; None when it never started.
        command: the shell command line.

    Returns:
        None when nothing known stands there: then the output itself is all there is.
    """
    if not exit_code:
        return None
    lines = render_text(log_head[:_HEAD_CHARS]).strip("\n").split("\n")
    for number, line in enumerate(lines):
        for sign in _SIGNS:
            if sign.exit_codes is not None and exit_code not in sign.exit_codes:
                continue
            found = sign.pattern.search(line[:1_000])
            if found is not None:
                return _cause(sign, found[1] or "", lines[max(0, number - 2) :])
    if exit_code in _BY_CODE:
        return _cause(_BY_CODE[exit_code], command, lines)
    return None


def _cause(sign: _Sign, found: str, lines: list[str]) -> Cause:
    return Cause(
        kind=CauseKind.COMMAND_NOT_FOUND,
        message=sign.message.format(found),
        hint=sign.hint.format(found),
        excerpt=tuple(line for line in lines[:_MAX_EXCERPT] if line),
    )
