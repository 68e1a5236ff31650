"""Shell command lines taken apart just far enough to see which programs they call.

Nothing is expanded or run. What cannot be parsed calls nothing, so it is not recognised.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|\\\n)
      | (?P<comment>\#[^\n]*)
      | (?P<redirect>\d*(?:<<<?|<&|<>|>>|>&|>\||<|>)|&>>?)
      | (?P<operator>&&|\|\||\|&|[;&|()\n])
      | (?P<word>(?:[^\s'"\\|&;<>()`]|\\.|'[^']*'|"(?:\\.|[^"\\])*"|\$\([^()]*\))+)""",
    re.VERBOSE,
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PYTHON = re.compile(r"python\d*(?:\.\d+)?$")
_KEYWORDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time"})
_LAUNCHERS = frozenset({"env", "exec", "command", "nohup", "nice", "stdbuf", "xvfb-run"})
_PACKAGE_RUN = frozenset({"npx", "bunx", "pnpx"})
_RUNNING_SUBCOMMANDS = {
    **dict.fromkeys(("uv", "poetry", "pdm", "hatch", "pipenv", "rye", "pixi"), ("run",)),
    **dict.fromkeys(("npm", "yarn", "pnpm", "bun"), ("exec", "x", "dlx")),
}
_WITH_VALUE = frozenset(
    {
        "--with", "--with-editable", "--with-requirements", "--extra", "--group", "--only-group",
        "--no-group", "--python", "-p", "--directory", "--project", "--package", "--env-file",
        "--index", "-n", "-s", "-k", "-W", "-X", "-C", "-r", "--require", "--loader", "--import",
        "--rcfile", "--source", "--data-file", "--omit", "--include",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command line, with its place in the text."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Call:
    """One simple command of a command line, seen through its launchers (`uv run`, `npx`, ...)."""

    name: str
    """The program's base name; the module for `python -m module`."""
    words: tuple[Word, ...]
    """Of the whole simple command; redirections are left out."""
    at: int
    """Index in `words` of the word that names the program or module."""
    start: int
    end: int
    """Where the simple command ends in the text, redirections included."""
    piped: bool
    """Whether its output goes into another command."""
    module: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows the name."""
        return tuple(word.value for word in self.words[self.at + 1 :])


@dataclass(slots=True)
class _Segment:
    words: list[Word]
    start: int = -1
    end: int = -1
    piped: bool = False


def calls(command: str) -> tuple[Call, ...]:
    """The simple commands of a command line, in order; empty when it cannot be parsed."""
    found: list[Call] = []
    for segment in _segments(command):
        words = tuple(segment.words)
        seen = _see_through([word.value for word in words])
        if seen is not None:
            name, at, module = seen
            call = Call(name, words, at, segment.start, segment.end, segment.piped, module)
            found.append(call)
    return tuple(found)


def insert(command: str, position: int, text: str) -> str:
    """The command line with words added at a position of its text."""
    return f"{command[:position]} {text}{command[position:]}"


def prepend(command: str, variable: str, text: str, separator: str) -> str:
    """Where the command line sets `variable` itself, put `text` in front of its value.

    `text` must need no quoting: the assignment may stand inside quotes of any kind.
    """
    setting = re.compile(rf"(?<![\w$-])({re.escape(variable)}=)([^\s;&|)]?)")
    return setting.sub(
        lambda found: found[1] + text + (separator + found[2] if found[2] else ""), command
    )


def _segments(command: str) -> list[_Segment]:
    segments, target, position = [_Segment([])], False, 0
    while position < len(command):
        token = _TOKEN.match(command, position)
        if token is None:
            return []
        current = segments[-1]
        match token.lastgroup:
            case "operator":
                current.piped = token[0] in ("|", "|&")
                segments.append(_Segment([]))
            case "redirect" | "word":
                current.start = token.start() if current.start < 0 else current.start
                current.end = token.end()
                if token.lastgroup == "word" and not target:
                    current.words.append(Word(_value(token[0]), token.start(), token.end()))
            case _:
                pass
        if token.lastgroup != "space":
            target = token.lastgroup == "redirect"
        position = token.end()
    return [segment for segment in segments if segment.words]


def _value(raw: str) -> str:
    try:
        parts = shlex.split(raw)
    except ValueError:
        return raw
    return parts[0] if len(parts) == 1 else raw


def _see_through(words: list[str]) -> tuple[str, int, bool] | None:
    """Name, index, and whether it is a module, of the program that a simple command ends up in."""
    at, module = 0, False
    while at < len(words):
        name = words[at].rsplit("/", 1)[-1]
        following = words[at + 1] if at + 1 < len(words) else ""
        if not module and (_ASSIGNMENT.match(words[at]) or name in _KEYWORDS):
            at += 1
        elif name in _LAUNCHERS or name in _PACKAGE_RUN:
            at = _past_options(words, at + 1)
        elif name == "timeout":
            at = _past_options(words, at + 1) + 1
        elif following in _RUNNING_SUBCOMMANDS.get(name, ()):
            at = _past_options(words, at + 2)
        elif _PYTHON.match(name) or (name == "coverage" and following == "run"):
            module_at = _module(words, at + 1)
            if module_at is None:
                return name, at, module
            at, module = module_at, True
        elif name == "node":
            at = _past_options(words, at + 1)
        else:
            return re.sub(r"\.[cm]?js$", "", name), at, module
    return None


def _past_options(words: list[str], at: int) -> int:
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            return at + 1
        at += 2 if words[at] in _WITH_VALUE else 1
    return at


def _module(words: list[str], at: int) -> int | None:
    """Index of the module's name after `-m`, looking only at the interpreter's own options."""
    if at < len(words) and words[at] == "run":
        at += 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "-m":
            return at + 1 if at + 1 < len(words) else None
        at += 2 if words[at] in _WITH_VALUE else 1
    return None
