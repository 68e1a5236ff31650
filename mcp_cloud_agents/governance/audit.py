r"""The audit's chain: a line of JSON for each entry, bound to all before it. Nothing is read here.

    {"number":7,"previous":"<hash of 6>","entry":{…},"hash":"<hash of 7>"}\n
     └────────────── sha256 over exactly these bytes, closed by } ──────┘

The hash is over the bytes that were written, not over what they mean, so what later versions add
to an entry breaks no old chain. Fields that are empty are left out.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.ports.audit import Entry, Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mcp_cloud_agents.domain.actor import Actor

_LINE = re.compile(
    rb'\{"number":([1-9][0-9]{0,17}),"previous":"([0-9a-f]{64})",'
    rb'"entry":\{.*\},"hash":"([0-9a-f]{64})"\}\n'
)
_HASH_PART = len(',"hash":"') + 64 + len('"}\n')
_FILE_NAME = re.compile(r"(?:^|/)([0-9]{8,18})\.jsonl$")
_EMPTY: tuple[object, ...] = ("", None, ())
_LINKS = msgspec.json.Decoder(Link)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends: it says all that stands before."""

    number: int
    hash: str


START = Head(number=0, hash="0" * 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line and where it stands."""

    file: str
    line: int
    """From 1."""
    data: bytes
    """With its newline, when it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What somebody else remembers of the chain."""

    where: str
    """E.g. `audit/head`, or the key of an object."""
    head: Head


class Fault(StrEnum):
    """What is wrong where a chain breaks."""

    CHANGED = "changed entry"
    UNREADABLE = "no entry"
    UNFINISHED = "unfinished line"
    """A writer was killed there, or somebody cut it."""
    MISSING = "missing entries"
    REORDERED = "reordered entries"
    REPLACED = "replaced entry"
    """An entry was written anew, with a hash that fits it, but not what others know of it."""
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Nothing was changed, as far as the chain and what is known of it tell."""

    entries: int
    first: int
    """Number of the first entry that was looked at."""
    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Where the chain breaks first; before that place it is whole."""

    file: str
    line: int
    number: int
    """Of the entry that belongs there."""
    fault: Fault
    said: str


def seal(entry: Entry, *, after: Head) -> Link:
    """The entry as the next one of its chain."""
    number = after.number + 1
    digest = hashlib.sha256(_body(entry, number, after.hash)).hexdigest()
    return Link(number=number, previous=after.hash, hash=digest, entry=entry)


def line_of(link: Link) -> bytes:
    """As it stands in a file, with its newline."""
    body = _body(link.entry, link.number, link.previous)
    return body[:-1] + f',"hash":"{link.hash}"}}\n'.encode()


def link_of(data: bytes) -> Link:
    """The link that stands in a line, its hash not looked at.

    Raises:
        msgspec.MsgspecError: it is none, or a newer version wrote it.
    """
    return _LINKS.decode(data)


def head_of(data: bytes) -> Head | None:
    """The head after this line alone; None when it is no line whose hash fits it."""
    found = _LINE.fullmatch(data)
    if found is None or not _fits(data, found[3]):
        return None
    return Head(number=int(found[1]), hash=found[3].decode())


def verify(
    lines: Iterable[Line], *, start: Head | None = START, known: Sequence[Known] = ()
) -> Verified | Broken:
    """Go through a chain, oldest first.

    Args:
        lines: of all files, in order.
        start: what stands before the first line; None: the first line is believed in that.
        known: what others remember of the chain.
    """
    rest = iter(lines)
    head = start
    first = 0
    last = Line(file="", line=0, data=b"")
    for last in rest:
        head = _before(last) if head is None else head
        first = first or head.number + 1
        found = _step(head, last) or _misnamed(head, last)
        if found is not None:
            return _told_apart(found, rest)
        head = Head(number=head.number + 1, hash=last.data[-67:-3].decode())
        if unlike := [one for one in known if _unlike(one.head, head)]:
            said = f"it is another entry than {unlike[0].where} knows"
            return _broken(head.number, last, Fault.REPLACED, said)
    head = head or START
    if short := [one for one in known if one.head.number > head.number]:
        return _truncated(head, last, max(short, key=lambda one: one.head.number))
    return Verified(entries=head.number + 1 - (first or head.number + 1), first=first, head=head)


def _body(entry: Entry, number: int, previous: str) -> bytes:
    plain = _given(entry) | {"actor": _given(entry.actor)}
    return msgspec.json.encode({"number": number, "previous": previous, "entry": plain})


def _given(value: Entry | Actor) -> dict[str, object]:
    """Fields that are not empty, in the order of the class."""
    found = {one.name: getattr(value, one.name) for one in fields(value)}
    return {name: one for name, one in found.items() if one not in _EMPTY}


def _fits(data: bytes, digest: bytes) -> bool:
    body = data[:-_HASH_PART] + b"}"
    return hashlib.sha256(body).hexdigest().encode() == digest


def _before(line: Line) -> Head:
    found = _LINE.fullmatch(line.data)
    return Head(number=int(found[1]) - 1, hash=found[2].decode()) if found else START


def _step(head: Head, line: Line) -> Broken | None:
    """What is wrong with a line that has to follow on `head`."""
    wanted = head.number + 1
    found = _LINE.fullmatch(line.data)
    if found is None:
        if not line.data.endswith(b"\n"):
            said = "the line has no end: its writer was killed there, or somebody cut or added it"
            return _broken(wanted, line, Fault.UNFINISHED, said)
        return _broken(wanted, line, Fault.UNREADABLE, "the line is no entry of a chain")
    number = int(found[1])
    if not _fits(line.data, found[3]):
        return _broken(wanted, line, Fault.CHANGED, "its bytes do not have the hash they had")
    if number > wanted:
        return _broken(wanted, line, Fault.MISSING, _missing(wanted, number - 1))
    if number < wanted:
        said = f"entry {number} stands where entry {wanted} belongs"
        return _broken(wanted, line, Fault.REORDERED, said)
    if found[2].decode() != head.hash:
        said = f"it does not follow on the entry {head.number} that stands before it"
        return _broken(wanted, line, Fault.REPLACED, said)
    return None


def _misnamed(head: Head, line: Line) -> Broken | None:
    """Files are named by their first entry."""
    named = _FILE_NAME.search(line.file)
    if line.line != 1 or named is None or int(named[1]) == head.number + 1:
        return None
    said = f"the file's name says that it begins with entry {int(named[1])}"
    return _broken(head.number + 1, line, Fault.REORDERED, said)


def _told_apart(broken: Broken, rest: Iterator[Line]) -> Broken:
    """What seems to be missing may only stand elsewhere."""
    if broken.fault is not Fault.MISSING:
        return broken
    for line in rest:
        found = _LINE.fullmatch(line.data)
        if found is not None and int(found[1]) == broken.number:
            said = f"entry {broken.number} stands in {line.file}, line {line.line}"
            return replace(broken, fault=Fault.REORDERED, said=said)
    return broken


def _truncated(head: Head, last: Line, one: Known) -> Broken:
    said = f"{_missing(head.number + 1, one.head.number)}: {one.where} knows of them"
    return _broken(head.number + 1, last, Fault.TRUNCATED, said)


def _missing(first: int, last: int) -> str:
    if first == last:
        return f"entry {first} is missing"
    return f"entries {first} to {last} are missing"


def _unlike(known: Head, head: Head) -> bool:
    return known.number == head.number and known.hash != head.hash


def _broken(number: int, line: Line, fault: Fault, said: str) -> Broken:
    return Broken(file=line.file, line=line.line, number=number, fault=fault, said=said)
