"""Reading the answers of AWS, plain JSON without types: what is of another shape is absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

Json = dict[str, Any]


def record(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of this name, empty when there is none."""
    found = answer.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def records(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects in the list of this name."""
    found = answer.get(name)
    listed = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("Mapping[str, Any]", one) for one in listed if isinstance(one, Mapping)]
