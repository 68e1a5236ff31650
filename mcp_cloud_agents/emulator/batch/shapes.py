"""Optional parts of JSON requests: absent, null and empty are the same to AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]


def part(given: Mapping[str, Any], name: str) -> Json:
    """An object, empty when it is not there."""
    return given.get(name) or Json()


def parts(given: Mapping[str, Any], name: str) -> list[Json]:
    """A list of objects."""
    return given.get(name) or list[Json]()


def words(given: Mapping[str, Any], name: str) -> list[str]:
    """A list of strings."""
    return given.get(name) or list[str]()
