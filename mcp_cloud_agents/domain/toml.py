"""A TOML text read into a frozen dataclass; errors name file, line, key and what is allowed."""

from __future__ import annotations

import math
import re
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast, get_args, get_type_hints

from mcp_cloud_agents.domain.errors import BadConfig

T = TypeVar("T")
MAX_BYTES = 65_536
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def read_toml(data: bytes, shape: type[T], *, file: str) -> T:
    """The text as a value of the dataclass `shape`, checked to the last key.

    Args:
        data: the file's content.
        shape: a dataclass whose fields have defaults; tables are fields that are dataclasses.
        file: what to call the file in messages.

    Raises:
        BadConfig: not TOML, an unknown key, a wrong type, or a value out of its range.
    """
    import msgspec

    table = parse(data, file=file)
    _refuse_unknown(table, shape, (), file=file, data=data)
    try:
        return msgspec.convert(table, shape)
    except msgspec.ValidationError as exc:
        found = _WHERE.match(str(exc))
        path = (found["path"] or "") if found else ""
        what = found["what"] if found else str(exc)
        raise _wrong(path, what, file=file, data=data) from exc


def parse(data: bytes, *, file: str) -> dict[str, Any]:
    """The text as plain tables.

    Raises:
        BadConfig: not TOML, or larger than 64 KiB.
    """
    import tomllib

    if len(data) > MAX_BYTES:
        raise BadConfig(
            f"{file}: {len(data)} bytes; at most {MAX_BYTES} are read.", hint="Shorten the file."
        )
    try:
        return tomllib.loads(data.decode(), parse_float=_finite)
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError is a ValueError
        what = "tables are nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise BadConfig(f"{file}: not valid TOML: {what}.", hint="Correct the syntax.") from exc


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number that can be used here")
    return value


def _refuse_unknown(
    table: dict[str, Any], shape: type, path: tuple[str, ...], *, file: str, data: bytes
) -> None:
    known = get_type_hints(shape)
    allowed = [field.name for field in fields(shape)]
    for key, value in table.items():
        here = (*path, key)
        if key not in allowed:
            raise BadConfig(
                f"{_place(here, file=file, data=data)}: unknown key {'.'.join(here)[:80]!r}.",
                hint=f"Allowed here: {', '.join(allowed)}.",
            )
        inner = _table_type(known[key])
        if inner is not None and isinstance(value, dict):
            _refuse_unknown(cast("dict[str, Any]", value), inner, here, file=file, data=data)


def _table_type(hint: Any) -> type | None:
    return next((one for one in (hint, *get_args(hint)) if is_dataclass(one)), None)  # pyright: ignore[reportReturnType]  # the hints of our shapes hold dataclass types only


def _wrong(path: str, what: str, *, file: str, data: bytes) -> BadConfig:
    keys = tuple(re.sub(r"\[[^\]]*\]", "", path).split("."))
    place = _place(keys, file=file, data=data)
    return BadConfig(
        f"{place}: wrong value for {path or 'the file'!r}: {what}.",
        hint="Correct the value, or remove the key to get the default.",
    )


def _place(path: tuple[str, ...], *, file: str, data: bytes) -> str:
    line = line_of(data, path)
    return file if line is None else f"{file}, line {line}"


def line_of(data: bytes, path: tuple[str, ...]) -> int | None:
    """The 1-based line where the key stands, None when it is written in a way not looked for."""
    table: tuple[str, ...] = ()
    for number, text in enumerate(data.decode(errors="replace").splitlines(), start=1):
        line = text.strip()
        if header := re.match(r"\[\[?\s*([^\]]+?)\s*\]", line):
            table = tuple(part.strip(" \"'") for part in header[1].split("."))
            if table == path:
                return number
        elif assigned := re.match(r"([\w.\-\"' ]+?)\s*=", line):
            keys = tuple(part.strip(" \"'") for part in assigned[1].split("."))
            if (*table, *keys) == path:
                return number
    return None
