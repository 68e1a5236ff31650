"""What jest and vitest share: package.json, test scripts, stack frames, adding arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from mcp_cloud_agents.domain.result import FailureKind
from mcp_cloud_agents.runners import shell
from mcp_cloud_agents.runners.runner import Instrumented

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = "package.json"
FRAMES = (
    re.compile(r"\((?:file://)?(?P<path>(?!node:|<)[^()]+?):(?P<line>\d+):\d+\)"),
    re.compile(
        r"^\s*(?:at(?: async)?|\u276f) (?:[^\s()]+ )?(?:file://)?(?P<path>[^\s():]+):(?P<line>\d+):\d+"
    ),
)
_MANAGERS = frozenset({"npm", "yarn", "pnpm", "bun"})
_RUN = frozenset({"run", "run-script"})
_TEST = frozenset({"test", "t", "tst"})
_ASSERTS = re.compile(r"(?:\w*Error: )?(?:expect\(|expected |AssertionError|assert)|AssertionError")
_TIMEOUTS = re.compile(r"(?:Error: )?(?:thrown: \")?(?:Exceeded timeout of|Test timed out in)")


@dataclass(frozen=True, slots=True)
class _Package:
    scripts: dict[str, Any] = field(default_factory=dict[str, Any])
    dependencies: dict[str, Any] = field(default_factory=dict[str, Any])
    devDependencies: dict[str, Any] = field(default_factory=dict[str, Any])  # npm's name


def recognises(program: str, command: str, files: Mapping[str, bytes]) -> bool:
    """Whether the command line calls the program, or a script of package.json that ends in it."""
    for call in shell.calls(command):
        if call.name == program:
            return True
        script = _script(call)
        if script is None:
            continue
        if script == program or _ends_in(program, _package(files).scripts.get(script)):
            return True
    return False


def detect(program: str, otherwise: str, files: Mapping[str, bytes]) -> str | None:
    """`npm test` where that runs the program, `otherwise` where the program is a dependency."""
    package = _package(files)
    if _ends_in(program, package.scripts.get("test")):
        return "npm test"
    return otherwise if program in {*package.dependencies, *package.devDependencies} else None


def instrument(
    program: str, command: str, arguments: str, subcommands: frozenset[str]
) -> Instrumented:
    """Add arguments behind the program's name and subcommand, or at the end of a script's call."""
    calls = shell.calls(command)
    own = [call for call in calls if call.name == program]
    own = own or [call for call in calls if _is_test(program, _script(call))]
    if len(own) != 1:
        note = f"No single call of {program} in the command: there may be no report."
        return Instrumented(command=command, notes=(note,))
    call = own[0]
    if call.name != program:
        dashes = "-- " if call.name == "npm" and "--" not in call.arguments else ""
        return Instrumented(
            command=shell.insert(command, call.words[-1].end, f"{dashes}{arguments}")
        )
    behind = call.at + (1 if call.arguments[:1] and call.arguments[0] in subcommands else 0)
    return Instrumented(command=shell.insert(command, call.words[behind].end, arguments))


def kind(message: str) -> FailureKind:
    """What sort of failure a message tells of."""
    if _TIMEOUTS.match(message):
        return FailureKind.TIMEOUT
    return FailureKind.ASSERT if _ASSERTS.match(message) else FailureKind.ERROR


def _script(call: shell.Call) -> str | None:
    """The script of package.json that a package manager's call runs."""
    if call.name not in _MANAGERS:
        return None
    words = [word for word in call.arguments if not word.startswith("-")]
    if words and words[0] in _RUN:
        return words[1] if len(words) > 1 else None
    if words and words[0] in _TEST:
        return "test"
    return words[0] if words and call.name != "npm" else None


def _is_test(program: str, script: str | None) -> bool:
    return script is not None and (script == program or "test" in script)


def _ends_in(program: str, script: object) -> bool:
    """Whether arguments added to the script reach the program."""
    calls = shell.calls(script) if isinstance(script, str) else ()
    return bool(calls) and calls[-1].name == program


def _package(files: Mapping[str, bytes]) -> _Package:
    try:
        return msgspec.json.decode(files.get(PACKAGE, b"{}"), type=_Package)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Package()
