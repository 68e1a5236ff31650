"""The chain of the audit, as values: sealed, written as lines, verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import pytest

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.governance.audit import (
    START,
    Broken,
    Fault,
    Head,
    Known,
    Line,
    Verified,
    head_of,
    line_of,
    link_of,
    seal,
    verify,
)
from mcp_cloud_agents.ports.audit import Action, Entry
from tests.audit_entries import an_entry

FULL = Entry(
    at=1.25,
    action=Action.SECRETS,
    actor=Actor(
        client="c", client_version="1", call_id="i", session="s", os_user="u", principal="p"
    ),
    job_id="j",
    agent="a",
    backend="b",
    workspace="/w ü",
    rule="r",
    reason='said "no"\n\\',
    worst_micros=0,
    actual_micros=7,
    spec_digest="d",
    policy_digest="e",
    tree="t",
    facts='{"a":1}',
    details=(("k", "v"), ("", "x")),
)


def chain(count: int, *, after: Head = START) -> list[bytes]:
    found: list[bytes] = []
    for _ in range(count):
        link = seal(an_entry(job_id=f"j-{after.number + 1}"), after=after)
        after = Head(number=link.number, hash=link.hash)
        found.append(line_of(link))
    return found


def lines(datas: list[bytes], file: str = "f") -> Iterator[Line]:
    return (Line(file=file, line=at, data=data) for at, data in enumerate(datas, start=1))


def end_of(datas: list[bytes]) -> Head:
    head = head_of(datas[-1])
    assert head is not None
    return head


def broken(datas: list[bytes], **options: Known) -> tuple[int, int, Fault]:
    found = verify(lines(datas), known=tuple(options.values()))
    assert isinstance(found, Broken), found
    return found.line, found.number, found.fault


@pytest.mark.parametrize("entry", [an_entry(), FULL], ids=["usual", "full"])
def test_a_line_gives_back_the_link_that_was_written(entry: Entry) -> None:
    link = seal(entry, after=START)
    assert link_of(line_of(link)) == link
    assert (link.number, link.previous, link.entry) == (1, "0" * 64, entry)


def test_the_hash_is_one_that_other_programs_can_compute() -> None:
    data = line_of(seal(FULL, after=START))
    body = data[: data.rindex(b',"hash":')] + b"}"
    assert hashlib.sha256(body).hexdigest() == json.loads(data)["hash"]
    assert json.loads(body)["entry"]["action"] == "secrets"
    assert data.count(b"\n") == 1


def test_the_form_of_a_line_stays_for_ever() -> None:
    link = seal(Entry(at=1.5, action=Action.STOPPED, actor=Actor(os_user="ada")), after=START)
    assert line_of(link) == (
        b'{"number":1,"previous":"' + b"0" * 64 + b'","entry":{"at":1.5,"action":"stopped",'
        b'"actor":{"os_user":"ada"}},"hash":'
        b'"5a3ef46e4e2980930597e3e5d10ab68443d874579adae9baab731d4e68efd09b"}\n'
    )


def test_a_whole_chain_is_verified_to_its_head() -> None:
    datas = chain(5)
    assert verify(lines(datas)) == Verified(entries=5, first=1, head=end_of(datas))
    assert verify(lines([])) == Verified(entries=0, first=0, head=START)


def test_a_piece_is_verified_where_its_beginning_is_believed() -> None:
    datas = chain(5)
    found = verify(lines(datas[2:]), start=None)
    assert found == Verified(entries=3, first=3, head=end_of(datas))
    assert verify(lines(datas[2:]), start=end_of(datas[:2])) == found


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], tuple[int, int, Fault]]] = {
    "a text": (
        lambda d: [*d[:2], d[2].replace(b"j-3", b"j-4"), *d[3:]],
        (3, 3, Fault.CHANGED),
    ),
    "a number": (
        lambda d: [*d[:2], d[2].replace(b'"number":3', b'"number":9'), *d[3:]],
        (3, 3, Fault.CHANGED),
    ),
    "one taken out": (lambda d: [*d[:2], *d[3:]], (3, 3, Fault.MISSING)),
    "the first taken out": (lambda d: d[1:], (1, 1, Fault.MISSING)),
    "two changed about": (lambda d: [d[0], d[2], d[1], *d[3:]], (2, 2, Fault.REORDERED)),
    "one twice": (lambda d: [*d[:2], d[1], *d[2:]], (3, 3, Fault.REORDERED)),
    "a strange line": (lambda d: [*d[:2], b"{}\n", *d[2:]], (3, 3, Fault.UNREADABLE)),
    "an empty line": (lambda d: [*d[:2], b"\n", *d[2:]], (3, 3, Fault.UNREADABLE)),
    "half a line": (lambda d: [*d[:4], d[4][:50]], (5, 5, Fault.UNFINISHED)),
    "another chain": (
        lambda d: [*d[:2], *chain(3, after=Head(number=2, hash="1" * 64))],
        (3, 3, Fault.REPLACED),
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_kind_of_change_is_told_with_its_place(kind: str) -> None:
    change, told = CHANGES[kind]
    assert broken(change(chain(5))) == told


def test_what_is_missing_at_the_end_is_known_by_the_head() -> None:
    datas = chain(5)
    head = Known(where="audit/head", head=end_of(datas))
    assert broken(datas[:3], head=head) == (3, 4, Fault.TRUNCATED)
    found = verify(lines([]), known=(head,))
    assert isinstance(found, Broken)
    assert found.said == "entries 1 to 5 are missing: audit/head knows of them"


def test_a_chain_that_was_written_anew_is_known_by_the_head() -> None:
    datas = chain(3)
    forged = line_of(seal(an_entry(reason="forged"), after=end_of(datas[:2])))
    head = Known(where="audit/head", head=end_of(datas))
    assert broken([*datas[:2], forged], head=head) == (3, 3, Fault.REPLACED)
    assert isinstance(verify(lines([*datas[:2], forged])), Verified)


def test_a_file_has_to_begin_with_the_entry_of_its_name() -> None:
    found = verify(lines(chain(3), "audit/00000002.jsonl"))
    assert isinstance(found, Broken)
    assert (found.line, found.fault) == (1, Fault.REORDERED)


def test_a_hundred_thousand_entries_are_verified() -> None:
    entry = chain(1)[0].partition(b'"entry":')[2][:-76]
    datas: list[bytes] = []
    digest = START.hash
    for number in range(1, 100_001):
        body = f'{{"number":{number},"previous":"{digest}","entry":'.encode() + entry
        digest = hashlib.sha256(body + b"}").hexdigest()
        datas.append(body + f',"hash":"{digest}"}}\n'.encode())
    assert verify(lines(datas)) == Verified(entries=100_000, first=1, head=end_of(datas))
