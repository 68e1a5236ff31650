"""What is written into the audit holds no secrets, no control characters and no long texts."""

from __future__ import annotations

import json

import pytest

from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.governance.redaction import Redactor
from mcp_cloud_agents.governance.safe_entry import MAX_CHARS, MAX_ITEMS, safe_entry
from mcp_cloud_agents.ports.audit import Entry
from tests.audit_entries import an_entry

KEY = "sk-ant-" + "a1B2" * 8
REDACT = Redactor(["correct horse battery"]).text


def safe(**changes: object) -> Entry:
    return safe_entry(an_entry(**changes), REDACT)


def test_a_harmless_entry_stays_as_it_is() -> None:
    entry = an_entry(facts='{"network":true,"secrets":["A"]}', details=(("a", "b"),))
    assert safe_entry(entry, REDACT) == entry


@pytest.mark.parametrize("secret", [KEY, "correct horse battery"])
def test_a_secret_is_taken_out_of_every_text(secret: str) -> None:
    text = f"said {secret}."
    entry = safe(
        reason=text,
        workspace=text,
        actor=Actor(client=text, principal=text),
        facts=json.dumps({text: [text, {"a": text}]}),
        details=((text, text),),
    )
    assert secret not in repr(entry)
    assert entry.reason == "said [redacted]."


def test_a_secret_that_an_escape_sequence_splits_is_taken_out() -> None:
    assert KEY not in safe(reason=f"{KEY[:9]}\x1b[0m{KEY[9:]}").reason


def test_control_and_direction_characters_are_neutralised() -> None:
    entry = safe(reason="a\x1b[31mb\0c\u202ed\udcff", actor=Actor(client="x\x07y"))
    assert entry.reason == "ab\ufffdc\ufffdd?"
    assert entry.actor.client == "x\ufffdy"


def test_texts_and_lists_are_cut_and_facts_stay_json() -> None:
    facts = {"paths": [f"p{number}" for number in range(1_000)], "workspace": "w" * 2_000}
    entry = safe(
        reason="r" * 9_000,
        actor=Actor(client="c" * 9_000),
        facts=json.dumps(facts),
        details=tuple((f"k{number}", "v" * 9_000) for number in range(1_000)),
    )
    kept = json.loads(entry.facts)
    assert len(entry.reason) == MAX_CHARS
    assert len(entry.actor.client) == 200
    assert (len(kept["paths"]), kept["paths"][-1]) == (MAX_ITEMS + 1, "950 more")
    assert len(kept["workspace"]) == MAX_CHARS
    assert entry.details[-1] == ("left_out", "950")
    assert max(len(value) for _, value in entry.details) == MAX_CHARS


def test_facts_that_are_no_json_are_text() -> None:
    assert safe(facts=f"oops {KEY}\x07").facts == "oops [redacted]\ufffd"
