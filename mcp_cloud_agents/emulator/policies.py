"""Whether a statement of an IAM policy applies to a request, conditions included.

As the reference of IAM's JSON policy elements says: a condition on a key that the request does not
have is not met, except for negated operators, `…IfExists`, `Null` and `ForAllValues`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

Keys = Mapping[str, tuple[str, ...]]
"""Condition keys of a request in lower case, such as `aws:securetransport`, to their values."""
Matches = Callable[[str, str], bool]
"""The request's value and the policy's."""

_NEGATED = re.compile(r"Not(?=Equals|Like|IpAddress)")


def applies(statement: Mapping[str, Any], action: str, resource: str, keys: Keys) -> bool:
    """Whether the statement says something about the request, whatever its effect is.

    One for named principals only says nothing here: nobody is known by an ARN.
    """
    return (
        _is_for_everyone(statement.get("Principal", "*"))
        and _element(statement, "Action", action, ignore_case=True)
        and _element(statement, "Resource", resource, ignore_case=False)
        and conditions_met(statement.get("Condition") or {}, keys)
    )


def conditions_met(conditions: Mapping[str, Mapping[str, object]], keys: Keys) -> bool:
    """All operators, and all keys of each; an operator that IAM does not have is never met."""
    return all(
        _met(operator, keys.get(key.lower(), ()), _texts(wanted))
        for operator, by_key in conditions.items()
        for key, wanted in by_key.items()
    )


def _is_for_everyone(principal: object) -> bool:
    if isinstance(principal, dict):
        principal = cast("dict[str, object]", principal).get("AWS")
    return "*" in _texts(principal)


def _element(statement: Mapping[str, Any], name: str, value: str, *, ignore_case: bool) -> bool:
    wanted = _texts(statement.get(name, statement.get(f"Not{name}")))
    found = any(_like(value, one, ignore_case=ignore_case) for one in wanted)
    return found if name in statement else not found


def _met(operator: str, values: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    quantifier, _, name = operator.rpartition(":")
    if name == "Null":
        return (wanted == ("true",)) is not bool(values)
    plain = name.removesuffix("IfExists")
    if not values:
        return plain != name or quantifier == "ForAllValues" or bool(_NEGATED.search(plain))
    matches = _OPERATORS.get(_NEGATED.sub("", plain))
    if matches is None:
        return False
    negated = bool(_NEGATED.search(plain))
    said = [any(matches(value, one) for one in wanted) is not negated for value in values]
    return any(said) if quantifier == "ForAnyValue" else all(said)


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(_text(one) for one in cast("list[object]", value))
    return (_text(value),)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _like(value: str, pattern: str, *, ignore_case: bool = False) -> bool:
    return _pattern(pattern, ignore_case=ignore_case).fullmatch(value) is not None


@cache
def _pattern(text: str, *, ignore_case: bool) -> re.Pattern[str]:
    """`*` is any text, `?` one character, and nothing else is special."""
    special = {"*": ".*", "?": "."}
    made = "".join(special.get(one, re.escape(one)) for one in text)
    return re.compile(made, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _same_case_or_not(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _in_range(value: str, wanted: str) -> bool:
    network = ipaddress.ip_network(wanted, strict=False)
    address = ipaddress.ip_address(value)
    return address in network


def _compared(read: Callable[[str], Any], orders: Iterable[str]) -> Matches:
    """The request's value stands to the policy's in one of these orders: <, = or >."""
    allowed = frozenset(orders)

    def matches(value: str, wanted: str) -> bool:
        one, other = read(value), read(wanted)
        return ("=" if one == other else "<" if one < other else ">") in allowed

    return matches


def _time(text: str) -> datetime:
    if text.isdecimal():
        return datetime.fromtimestamp(int(text), UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_ORDERS = {
    "Equals": "=",
    "LessThan": "<",
    "LessThanEquals": "<=",
    "GreaterThan": ">",
    "GreaterThanEquals": ">=",
}
_OPERATORS: dict[str, Matches] = {
    "StringEquals": str.__eq__,
    "StringEqualsIgnoreCase": _same_case_or_not,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "BinaryEquals": str.__eq__,
    "Bool": _same_case_or_not,
    "IpAddress": _in_range,
    **{f"Numeric{name}": _compared(float, orders) for name, orders in _ORDERS.items()},
    **{f"Date{name}": _compared(_time, orders) for name, orders in _ORDERS.items()},
}
