"""A TOML text read into a frozen dataclass; errors name file, line, column and what is allowed."""

from __future__ import annotations

import math
import re
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    NoReturn,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.toml_places import Path, line_and_column, spots_of

T = TypeVar("T")
MAX_BYTES = 65_536
MAX_DEPTH = 32
"""Of tables and arrays in each other."""
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
_TOLD_AT = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_HUGE_NUMBER = re.compile(r"[0-9_]{4000,}")
_SYNTAX = "Correct the syntax."
_DEEP = "tables are nested too deeply"


def read_toml(data: bytes, shape: type[T], *, file: str, max_bytes: int = MAX_BYTES) -> T:
    """The text as a value of the dataclass `shape`, checked to the last key.

    Args:
        data: the file's content.
        shape: a dataclass; tables are fields that are dataclasses, or tuples or dicts of them.
        file: what to call the file in messages.
        max_bytes: the most that is read.

    Raises:
        BadConfig: not TOML, an unknown key, a wrong type, or a value out of its range.
    """
    import msgspec

    table = parse(data, file=file, max_bytes=max_bytes)
    _refuse_unknown(table, shape, (), file=file, data=data)
    try:
        return msgspec.convert(table, shape)
    except msgspec.ValidationError as exc:
        found = _WHERE.match(str(exc))
        steps = _steps(found["path"] or "", key=bool(found["key"])) if found else []
        path = _resolved(table, shape, steps)
        what = found["what"] if found else str(exc)
        raise BadConfig(
            f"{place(data, path, file=file)}: wrong value for {_name(path) or 'the file'!r}: "
            f"{what}.",
            hint="Correct the value, or remove the key to get the default.",
        ) from exc


def parse(data: bytes, *, file: str, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The text as plain tables.

    Raises:
        BadConfig: not TOML, larger than allowed, or with numbers nobody can count with.
    """
    import tomllib

    if len(data) > max_bytes:
        raise BadConfig(
            f"{file}: {len(data)} bytes; at most {max_bytes} are read.", hint="Shorten the file."
        )
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError is a ValueError
        _not_toml(data, file, exc)
    _refuse_odd_values(table, data, file)
    return table


def place(data: bytes, path: Path, *, file: str, key: bool = False) -> str:
    """File, line and column of a value, or of its key; of what holds it, when it is not there.

    Args:
        data: a TOML text that `parse` took.
        path: keys and indices from the top.
        file: what to call the file.
        key: whether the key is meant.
    """
    text = data.decode()
    spots = spots_of(text)
    while path and path not in spots:
        path = path[:-1]
    spot = spots[path] if path else (0, 0)
    return _told(file, *line_and_column(text, spot[0] if key else spot[1]))


def _told(file: str, line: int, column: int) -> str:
    return f"{file}, line {line}, column {column}"


def _not_toml(data: bytes, file: str, exc: ValueError | RecursionError) -> NoReturn:
    """Tell what tomllib, or the decoder before it, stumbled over, and where."""
    text = data.decode(errors="replace")
    what, at = str(exc), len(text)
    if isinstance(exc, UnicodeDecodeError):
        what, at = "it is not UTF-8", len(data[: exc.start].decode())
    elif isinstance(exc, RecursionError):
        what, at = _DEEP, _deepest(text)
    found = _TOLD_AT.search(what)
    if found is None and (number := _HUGE_NUMBER.search(text)):
        what, at = "a number has too many digits", number.start()
    line, column = line_and_column(text, at)
    if found is not None:
        what = what[: found.start()]
        if found["line"]:
            line, column = int(found["line"]), int(found["column"])
    raise BadConfig(f"{_told(file, line, column)}: not valid TOML: {what}.", hint=_SYNTAX) from exc


def _deepest(text: str) -> int:
    """Offset of the bracket that stands inside the most others."""
    depth, most, at = 0, 0, 0
    for bracket in re.finditer(r"[\[{\]}]", text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > most:
            most, at = depth, bracket.start()
    return at


def _refuse_odd_values(table: dict[str, Any], data: bytes, file: str) -> None:
    """`nan` and `inf` compare with nothing, and endless nesting ends every stack."""
    todo: list[tuple[Path, object]] = [((), table)]
    odd: list[tuple[Path, float]] = []
    while todo:
        path, value = todo.pop()
        if len(path) > MAX_DEPTH:
            text = data.decode()
            where = _told(file, *line_and_column(text, _deepest(text)))
            raise BadConfig(f"{where}: not valid TOML: {_DEEP}.", hint=_SYNTAX)
        if isinstance(value, float) and not math.isfinite(value):
            odd.append((path, value))
        elif isinstance(value, dict):
            inside = cast("dict[str, object]", value).items()
            todo += [((*path, key), one) for key, one in inside]
        elif isinstance(value, list):
            todo += [((*path, i), one) for i, one in enumerate(cast("list[object]", value))]
    for path, value in odd:  # `place` has a stack as well, so the depth is known by now
        what = f"{value} is no number that can be used here"
        raise BadConfig(f"{place(data, path, file=file)}: not valid TOML: {what}.", hint=_SYNTAX)


def _refuse_unknown(value: object, hint: Any, path: Path, *, file: str, data: bytes) -> None:
    for one in _members(hint):
        for key, inner in _inside(value, one, path, file=file, data=data):
            below = cast("dict[str | int, object]", value)[key]
            _refuse_unknown(below, inner, (*path, key), file=file, data=data)


@cache
def _hints_of(shape: Any) -> dict[str, Any]:
    """The types of a class's fields; their texts are compiled, so each class has this once."""
    return get_type_hints(shape)


def _inside(
    value: object, hint: Any, path: Path, *, file: str, data: bytes
) -> list[tuple[str | int, Any]]:
    """Keys or indices of what lies in a table or array of this type, each with its own type."""
    arguments = get_args(hint)
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        if is_dataclass(hint):
            known = _hints_of(hint)
            allowed = [field.name for field in fields(hint)]
            _refuse_key(table, allowed, path, file=file, data=data)
            return [(key, known[key]) for key in table]
        if get_origin(hint) is dict:
            return [(key, arguments[1]) for key in table]
    elif isinstance(value, list) and get_origin(hint) in (tuple, list):
        return [(index, arguments[0]) for index in range(len(cast("list[object]", value)))]
    return []


def _refuse_key(
    table: dict[str, object], allowed: list[str], path: Path, *, file: str, data: bytes
) -> None:
    for key in table:
        if key not in allowed:
            here = (*path, key)
            raise BadConfig(
                f"{place(data, here, file=file, key=True)}: unknown key {_name(here)[:80]!r}.",
                hint=f"Allowed here: {', '.join(allowed)}.",
            )


def _members(hint: Any) -> list[Any]:
    """The types that a value may have: those of a union, each without its bounds."""
    if get_origin(hint) is Annotated:
        return _members(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [one for part in get_args(hint) for one in _members(part)]
    return [hint]


def _steps(path: str, *, key: bool) -> list[str | int | None]:
    """A path as msgspec tells it; None: some key of a table whose keys are free."""
    found: list[str | int | None] = [
        int(step["index"]) if step["index"] else step["name"] for step in _STEP.finditer(path)
    ]
    return [*found, None] if key else found


def _resolved(table: dict[str, Any], shape: type, steps: list[str | int | None]) -> Path:
    """The path with its free keys found out."""
    path: Path = ()
    value: Any = table
    for step in steps:
        known = step if step is not None else _culprit(table, shape, path, list(value))
        if known is None:
            break
        path = (*path, known)
        value = value[known]
    return path


def _culprit(table: dict[str, Any], shape: type, path: Path, keys: list[str]) -> str | None:
    """The first key of the table at `path` that is wrong although it stands alone."""
    import msgspec

    for key in keys:
        try:
            msgspec.convert(_alone(table, path, key), shape)
        except msgspec.ValidationError:
            return key
    return None


def _alone(value: Any, path: Path, key: str) -> Any:
    """The same, but the table at `path` has this one key only."""
    if not path:
        return {key: value[key]}
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        rows = cast("list[object]", value)
        return [_alone(one, rest, key) if index == head else one for index, one in enumerate(rows)]
    return {**value, head: _alone(value[head], rest, key)}


def _name(path: Path) -> str:
    """The path as a person writes it: `rules[0].when.agent`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
