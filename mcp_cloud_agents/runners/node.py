"""What jest and vitest share: package.json, test scripts, stack frames, adding arguments, JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from mcp_cloud_agents.domain.result import FailureKind
from mcp_cloud_agents.runners import shell
from mcp_cloud_agents.runners.runner import Inside, Instrumented

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.runners.runner import LogFilter, Tool

T = TypeVar("T")

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
_ONE_PACKAGE = frozenset(
    {"-w", "--workspace", "--prefix", "-C", "--dir", "--cwd", "--filter", "-F"}
)
_ALL_PACKAGES = frozenset({"-ws", "--workspaces", "-r", "--recursive"})
_ASSERTS = re.compile(r"(?:\w*Error: )?(?:expect\(|expected |AssertionError|assert)|AssertionError")
_TEXT_CHARS = 20_000
_TIMEOUTS = re.compile(r"(?:Error: )?(?:thrown: \")?(?:Exceeded timeout of|Test timed out in)")


@dataclass(frozen=True, slots=True)
class _Package:
    scripts: dict[str, Any] = field(default_factory=dict[str, Any])
    dependencies: dict[str, Any] = field(default_factory=dict[str, Any])
    devDependencies: dict[str, Any] = field(default_factory=dict[str, Any])  # npm's name

    def depends_on(self, program: str) -> bool:
        """Whether the manifest names the program."""
        return program in self.dependencies or program in self.devDependencies


class NodeRunner:
    """What `runner.Runner` asks for, but for `read`: that is each program's own."""

    name: str
    usual: str
    """The command where no script runs the program."""
    arguments: str
    """What makes the program write its report, `{report}` being the folder for it."""
    subcommands: frozenset[str] = frozenset()

    def __init__(self, inside: Inside | None = None) -> None:
        self._inside = inside or Inside()

    def recognises(self, command: str, files: Mapping[str, bytes]) -> bool:
        """The program through any launcher, or a script of package.json that ends in it."""
        package = _package(files)
        return any(
            call.name == self.name or _runs(self.name, call, package)
            for call in shell.calls(command)
        )

    def detect(self, names: frozenset[str], files: Mapping[str, bytes]) -> str | None:
        """`npm test` where that runs the program, the usual command where it is a dependency."""
        del names
        package = _package(files)
        if _ends_in(self.name, package.scripts.get("test")):
            return "npm test"
        return self.usual if package.depends_on(self.name) else None

    def instrument(self, command: str) -> Instrumented:
        """Add arguments behind the program and its subcommand, or at the end of a script's call."""
        calls = shell.calls(command)
        own = [call for call in calls if call.name == self.name]
        own = own or [call for call in calls if _is_test(self.name, _script(call))]
        if len(own) != 1 or self._in_all_packages(own[0]):
            note = f"Not one single run of {self.name} in the command: there may be no report."
            return Instrumented(command=command, notes=(note,))
        call, arguments = own[0], self.arguments.format(report=self._inside.report)
        if call.name != self.name:
            dashes = "-- " if call.name == "npm" and "--" not in call.arguments else ""
            end = call.words[-1].end
            return Instrumented(command=shell.insert(command, end, f"{dashes}{arguments}"))
        has_subcommand = call.arguments[:1] and call.arguments[0] in self.subcommands
        behind = call.words[call.at + (1 if has_subcommand else 0)].end
        return Instrumented(command=shell.insert(command, behind, arguments))

    def _in_all_packages(self, call: shell.Call) -> bool:
        """Whether it runs several times, each over the report of the one before."""
        return call.name != self.name and bool(_ALL_PACKAGES & set(call.arguments))

    def tools(self) -> tuple[Tool, ...]:
        """None: the program writes the report itself."""
        return ()

    def log_filter(self) -> LogFilter | None:
        """None: the program reports to a file."""
        return None


def decode(data: bytes, kind: type[T]) -> T:
    """A JSON report, halves of surrogate pairs in its texts included.

    JavaScript's strings may hold such halves, and one in a test's message must not hide the rest.

    Raises:
        msgspec.DecodeError, ValueError, RecursionError: it is no such report.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(data), type=kind)


UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
"""What `decode` raises."""


def root_of(file: str, text: str) -> str:
    """The folder that relative stack frames start at: told by a frame of `file` itself.

    Args:
        file: absolute path of the test file.
        text: the frames.

    Returns:
        An absolute path; empty when no relative frame names the file.
    """
    parts = file.split("/")
    for at in range(1, len(parts)):
        name = re.escape("/".join(parts[at:]))
        if re.search(rf"(?<![\w./@-]){name}:\d", text[:_TEXT_CHARS]):
            return "/".join(parts[:at]) or "/"
    return ""


def kind(message: str) -> FailureKind:
    """What sort of failure a message tells of."""
    if _TIMEOUTS.match(message):
        return FailureKind.TIMEOUT
    return FailureKind.ASSERT if _ASSERTS.match(message) else FailureKind.ERROR


def _runs(program: str, call: shell.Call, package: _Package) -> bool:
    """Whether a package manager's call ends in the program.

    The script may be that of a package below the top, whose manifest is not read: then the
    program must be a dependency at the top.
    """
    script = _script(call)
    if script is None:
        return False
    if script == program or _ends_in(program, package.scripts.get(script)):
        return True
    below = (_ONE_PACKAGE | _ALL_PACKAGES) & {word.split("=")[0] for word in call.arguments}
    return bool(below) and _is_test(program, script) and package.depends_on(program)


def _script(call: shell.Call) -> str | None:
    """The script of package.json that a package manager's call runs."""
    if call.name not in _MANAGERS:
        return None
    words = [
        word
        for before, word in zip(("", *call.arguments), call.arguments, strict=False)
        if not word.startswith("-") and before not in _ONE_PACKAGE
    ]
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
