"""Files, folders and ids of tests, as the words that each runner's command line takes for them.

Runners differ here more than anywhere else, and a caller should not need to know: what a verdict
names (an id, a file) can be given back as it is. Where a runner has no word for exactly these
tests, more of them run, never fewer.
"""

from __future__ import annotations

import itertools
import posixpath
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.runners.shell import calls

if TYPE_CHECKING:
    from collections.abc import Callable

_HINT = "Write the tests into command itself, and leave paths out."
_ALL_TESTS = re.compile(r" \./\.\.\.$| discover\b.*$")
"""How a command says "all": go's package pattern, unittest's discovery."""
_GO_ID = re.compile(r"(?P<package>\S+?)\.(?P<test>(?:Test|Example|Fuzz|Benchmark)\w*(?:/.*)?)")
_REGEX = re.compile(r"[\\^$.*+?()\[\]{}|]")
_RUST_TARGET = re.compile(r"\S+ (?P<kind>test|bin|example|bench) \"(?P<name>[^\"]+)\".*")
_RUST_FOLDERS = {"tests": "--test", "examples": "--example", "benches": "--bench"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for, and where."""

    paths: Sequence[str]
    names: frozenset[str]
    """Every path of the tree: they tell folders and files from ids."""
    arguments: tuple[str, ...]
    """What the command line gives the runner already."""
    program: str
    """What the command line calls: the runner, or what starts it (`npm`)."""

    def is_folder(self, path: str) -> bool:
        """Whether the tree has anything below it."""
        return any(name.startswith(f"{path.rstrip('/')}/") for name in self.names)


def narrowed(runner: str, command: str, paths: Sequence[str], names: frozenset[str]) -> str:
    """The command for these tests only: they take the place of what means all tests.

    Args:
        runner: its name.
        command: as a person would type it.
        paths: files, folders or ids, as callers or verdicts name them.
        names: every path of the tree.

    Raises:
        InvalidArgument: they cannot be put into this command line, or this runner takes none.
    """
    found = calls(command)
    if len(found) != 1 or found[0].words[-1].end != len(command.rstrip()):
        raise InvalidArgument(
            f"paths cannot be put into the command line {command[:200]!r}: it is not one call.",
            hint=_HINT,
        )
    kept = _ALL_TESTS.sub("", command)
    return f"{kept} {shlex.join(selected(runner, command, paths, names))}"


def selected(
    runner: str, command: str, paths: Sequence[str], names: frozenset[str]
) -> tuple[str, ...]:
    """The words to add to the command so that it runs these tests only.

    Args:
        runner: its name.
        command: one simple call, with what means "all tests".
        paths: files, folders or ids, as callers or verdicts name them.
        names: every path of the tree.

    Raises:
        InvalidArgument: this runner cannot be asked for them.
    """
    call = calls(command)[-1]
    wanted = Wanted(paths=paths, names=names, arguments=call.arguments, program=call.name)
    return tuple(_WORDS.get(runner, _as_they_are)(wanted))


def _as_they_are(wanted: Wanted) -> list[str]:
    return list(wanted.paths)


def _unittest(wanted: Wanted) -> list[str]:
    """Modules and ids as they are; a folder, or ids of a discovery elsewhere, by discovery."""
    discovery = wanted.arguments if wanted.arguments[:1] == ("discover",) else ()
    start = _start_folder(discovery)
    folders = [path.rstrip("/") for path in wanted.paths if wanted.is_folder(path)]
    ids = [path.split(" (")[0] for path in wanted.paths if not wanted.is_folder(path)]
    if folders == [start] and not ids:
        return list(discovery)
    if len(folders) == 1 and not ids:
        return ["discover", "-s", folders[0], "-t", start]
    if folders:
        raise InvalidArgument("unittest takes one folder at a time, and nothing else.", hint=_HINT)
    elsewhere = [one for one in ids if one.endswith(".py") and not one.startswith(f"{start}/")]
    if start == "." or elsewhere:
        return ids
    patterns = [_module(one, start) if one.endswith(".py") else one for one in ids]
    return [*discovery, *(word for pattern in patterns for word in ("-k", pattern))]


def _start_folder(discovery: tuple[str, ...]) -> str:
    for option, value in itertools.pairwise(discovery):
        if option in ("-s", "--start-directory") or (
            option == "discover" and not value.startswith("-")
        ):
            return posixpath.normpath(value)
    return "."


def _module(path: str, start: str) -> str:
    """The ids of a file's tests, as a pattern of `-k`."""
    return f"{posixpath.relpath(path, start).removesuffix('.py').replace('/', '.')}.*"


def _jest(wanted: Wanted) -> list[str]:
    """Files are regular expressions here; the dots of plain names do no harm."""
    special = re.compile(r"[\\^$*+?()\[\]{}|]")
    return _node(wanted, lambda file: special.sub(r"\\\g<0>", file))


def _vitest(wanted: Wanted) -> list[str]:
    """Files are parts of their names."""
    return _node(wanted, str)


def _node(wanted: Wanted, pattern_of: Callable[[str], str]) -> list[str]:
    """Files; `-t` when all are ids, which are a file and titles."""
    split = [
        (path, "") if path in wanted.names else path.partition(" > ")[::2] for path in wanted.paths
    ]
    files = [pattern_of(file) for file in dict.fromkeys(file for file, _ in split)]
    titles = [_REGEX.sub(r"\\\g<0>", title.replace(" > ", " ")) for _, title in split]
    if not all(titles):
        return files
    dashes = ["--"] if wanted.program == "npm" and "--" not in wanted.arguments else []
    return [*dashes, *files, "-t", f"^(?:{'|'.join(titles)})$"]


def _go(wanted: Wanted) -> list[str]:
    """Packages; `-run` when all are ids of single tests."""
    packages: dict[str, None] = {}
    tests: list[str] = []
    for path in wanted.paths:
        found = _GO_ID.fullmatch(path) if path not in wanted.names else None
        packages[found["package"] if found else _go_package(path, wanted)] = None
        tests += [found["test"]] if found else []
    if len(tests) < len(wanted.paths):
        return list(packages)
    return ["-run", _go_pattern(tests), *packages]


def _go_package(path: str, wanted: Wanted) -> str:
    if path in wanted.names:
        return f"./{posixpath.dirname(path)}"
    return f"./{posixpath.normpath(path)}/..." if wanted.is_folder(path) else path


def _go_pattern(tests: list[str]) -> str:
    """One test with its subtest; of several the whole tests: older go knows no more."""
    if len(tests) == 1:
        return "/".join(f"^{re.escape(level)}$" for level in tests[0].split("/"))
    tops = dict.fromkeys(re.escape(test.split("/")[0]) for test in tests)
    return f"^({'|'.join(tops)})$"


def _cargo(wanted: Wanted) -> list[str]:
    """Targets for files and for ids that name one, filters for tests."""
    options: dict[tuple[str, ...], None] = {}
    filters: list[str] = []
    for path in wanted.paths:
        found = _RUST_TARGET.fullmatch(path)
        parts = path.split(" ", 2)
        if found:
            options[f"--{found['kind']}", found["name"]] = None
        elif len(parts) == 3:
            filters.append(parts[2])
            options |= dict.fromkeys(_rust_target(parts[1], wanted))
        else:
            options |= dict.fromkeys(_rust_target(path, wanted))
            filters += [] if _is_place(path, wanted) else [path]
    if ("--doc",) in options and len(options) > 1:  # cargo does not mix them
        options = {}
    if options and "--" in wanted.arguments:
        raise InvalidArgument("Behind '--' cargo takes no files of tests.", hint=_HINT)
    dashes = ["--"] if filters and "--" not in wanted.arguments else []
    return [*(word for option in options for word in option), *dashes, *filters]


def _is_place(path: str, wanted: Wanted) -> bool:
    return path in wanted.names or wanted.is_folder(path)


def _rust_target(source: str, wanted: Wanted) -> list[tuple[str, ...]]:
    """The options for a file or folder of a package, relative to the package or the tree."""
    if source == "doc-tests":
        return [("--doc",)]
    package, kind, rest = _rust_place(source, wanted)
    manifest = [("--manifest-path", f"{package}/Cargo.toml")] if package else []
    first = rest.split("/")[0].removesuffix(".rs")
    if kind in _RUST_FOLDERS and first:
        return [*manifest, (_RUST_FOLDERS[kind], first)]
    if kind == "src" and rest.startswith("bin/"):
        return [*manifest, ("--bin", rest.split("/")[1].removesuffix(".rs"))]
    if kind == "src" and rest == "main.rs":
        return [*manifest, ("--bins",)]
    return [*manifest, ("--lib",)] if kind == "src" else manifest


def _rust_place(source: str, wanted: Wanted) -> tuple[str, str, str]:
    """The package's folder, the kind of target, and the rest of the path."""
    parts = source.strip("/").split("/")
    for at in range(len(parts), 0, -1):
        folder = "/".join(parts[:at])
        if f"{folder}/Cargo.toml" in wanted.names:
            return folder, parts[at] if at < len(parts) else "", "/".join(parts[at + 1 :])
    return "", parts[0] if len(parts) > 1 else "", "/".join(parts[1:])


_WORDS: dict[str, Callable[[Wanted], list[str]]] = {
    "unittest": _unittest,
    "jest": _jest,
    "vitest": _vitest,
    "go": _go,
    "cargo": _cargo,
}
