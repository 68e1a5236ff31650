"""Version specifiers, as far as choosing an interpreter needs them (PEP 440, release part)."""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"\s*(===|~=|==|!=|<=|>=|<|>)\s*v?(\d+(?:\.\d+)*)(\.\*)?[\w.+-]*\s*")
_RELEASE = re.compile(r"(?:[a-z ]*)(\d+(?:\.\d+)*)")


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version: `v3.11.2rc1` is (3, 11, 2); empty when it has none."""
    found = _RELEASE.match(version.strip())
    return tuple(int(part[:9]) for part in found[1].split(".")) if found else ()


def satisfies(version: str, specifiers: str) -> bool:
    """Whether `version` meets all clauses; a clause that cannot be read is taken as met."""
    have = release(version)
    return all(_meets(have, clause) for clause in specifiers.split(",") if clause.strip())


def _meets(have: tuple[int, ...], clause: str) -> bool:
    found = _CLAUSE.fullmatch(clause)
    if found is None:
        return True
    operator, wanted = found[1], release(found[2])
    if found[3]:  # ==3.11.* and !=3.11.*
        return (have[: len(wanted)] == wanted) is (operator != "!=")
    width = max(len(have), len(wanted))
    mine, theirs = _padded(have, width), _padded(wanted, width)
    match operator:
        case "~=":
            return mine >= theirs and have[: len(wanted) - 1] == wanted[:-1]
        case "!=":
            return mine != theirs
        case "<=":
            return mine <= theirs
        case ">=":
            return mine >= theirs
        case "<":
            return mine < theirs
        case ">":
            return mine > theirs
        case _:
            return mine == theirs


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return numbers + (0,) * (width - len(numbers))
