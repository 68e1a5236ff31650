"""Errors of TOML files tell line and column, wherever the value stands."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.toml import parse, place, read_toml
from mcp_cloud_agents.domain.toml_places import Path, line_and_column, spots_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    name: str
    size: Annotated[int, Meta(ge=0)] = 0
    words: str | tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    entries: tuple[Entry, ...] = ()
    by_name: dict[Annotated[str, Meta(pattern="^[a-z]+$")], Entry] = field(
        default_factory=dict[str, Entry]
    )
    one: Entry | None = None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[entries]]\nname = 'a'\n[[entries]]\nname = 'b'\nsize = -1", "f, line 5, column 8:"),
        ("[[entries]]\nname = 'a'\n  sise = 1", "f, line 3, column 3: unknown key"),
        ("[[entries]]\nname = 'a'\n\n[[entries]]\nsize = 1", "f, line 4, column 1:"),
        ("entries = [\n  {name = 'a'},\n  {name = 'b', size = 'c'},\n]", "f, line 3, column 23:"),
        ("[by_name.a]\nname='a'\n[by_name.b]\nname='b'\nsize = -5", "f, line 5, column 8:"),
        ("[by_name.a]\nname='a'\n[by_name.B]\nname='b'", "f, line 3, column 1:"),
        ("[by_name]\na = {name = 'x', extra = 1}", "f, line 2, column 18: unknown key"),
        ("one.name = 'a' # one\none . \"size\" = 1.5", "f, line 2, column 16:"),
        ("[one]\nname = '''\n#\n'''\nwords = ['a', 2]", "f, line 5, column 15:"),
        ("one = 1", "f, line 1, column 7:"),
        ("[one]\nname = 'a'\nsize = 1e999", "f, line 3, column 8: not valid TOML: inf"),
        ("x = " + "1" * 5_000, "f, line 1, column 5: not valid TOML: a number has too many digits"),
        ("[one]\nname = 'ä' b", "f, line 2, column 12: not valid TOML: Expected newline"),
        ("one = '", "f, line 1, column 8: not valid TOML:"),
        ("a" + ".a" * 40 + " = 1", "nested too deeply"),
        ("a = nan\nb = " + "[" * 400 + "]" * 400, "f, line 2, column 404: not valid TOML: tables"),
        (f"# {'1' * 5_000}\na = ", "f, line 2, column 5: not valid TOML: Invalid value"),
    ],
)
def test_the_error_points_at_the_very_value(text: str, told: str) -> None:
    with pytest.raises(BadConfig) as caught:
        read_toml(text.encode(), Shape, file="f")
    assert told in caught.value.message


def test_bytes_that_are_no_text_are_told_with_their_place() -> None:
    with pytest.raises(BadConfig, match=r"f, line 2, column 6: not valid TOML: it is not UTF-8"):
        read_toml("a = 1\nb = 'ä".replace("ä", "é").encode("latin-1"), Shape, file="f")


def test_what_is_not_there_is_told_by_what_holds_it() -> None:
    data = b"\n[[entries]]\nname = 'a'"
    assert place(data, ("entries", 0, "size"), file="f") == "f, line 2, column 1"
    assert place(data, ("nothing",), file="f") == "f, line 1, column 1"


KEYS = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", '"h\\u0069"'])
LEAVES = st.sampled_from(
    ["1", "-2.5", "true", '"s#]}"', "'l'", '"""m\n"x"\n"""', "'''n\n'''", '""', "1979-05-27"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3).map(lambda found: "[ " + ", # c\n".join(found) + "\n]"),
        st.dictionaries(KEYS, inside.filter(lambda v: "\n" not in v), max_size=3).map(
            lambda found: "{" + ", ".join(f"{k} = {v}" for k, v in found.items()) + "}"
        ),
    ),
    max_leaves=8,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=3)
HEADERS = st.sampled_from(["[[x]]", "[[x.y]]", "[t]", "[ t . u ]", '[["x"."y".z]]'])


def paths_of(value: object, path: Path = ()) -> set[Path]:
    """Every path of a document."""
    inside: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inside = list(value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of what was parsed
    elif isinstance(value, list):
        inside = list(enumerate(value))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of what was parsed
    found = {path} if path else set[Path]()
    return found.union(*(paths_of(one, (*path, key)) for key, one in inside))


@given(top=TABLES, rest=st.lists(st.tuples(HEADERS, TABLES), max_size=4))
def test_every_value_of_a_random_document_has_its_place(
    top: dict[str, str], rest: list[tuple[str, dict[str, str]]]
) -> None:
    parts = [("", top), *rest]
    text = "\n".join(
        f"{head} # [c]\n" + "\n".join(f"{key} = {value}" for key, value in pairs.items())
        for head, pairs in parts
    )
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a table twice
    spots = spots_of(text)
    assert paths_of(document) == set(spots)
    for path, spot in spots.items():
        value: Any = document
        for step in path:
            value = value[step]
        starts = "1-t\"'"
        if isinstance(value, dict | list):
            starts = "[{\"'ab" if isinstance(value, dict) else "["
        assert text[spot.value] in starts


def test_lines_and_columns_count_from_one() -> None:
    assert [line_and_column("ab\nc", at) for at in range(4)] == [(1, 1), (1, 2), (1, 3), (2, 1)]


def test_sound_text_is_read_as_it_is() -> None:
    assert parse(b"a = [1, {b = 2}]\r\n", file="f") == {"a": [1, {"b": 2}]}
