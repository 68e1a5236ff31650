"""Secrets out of text: known values in any encoding, keys by their look, streams in any pieces."""

from __future__ import annotations

import base64
import json
import re
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.worker.fix.redaction import REDACTED, RedactedLines, Redactor

CANARY = 'k3y/with+odd "chars"=ä&x'
PRIVATE_KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow" * 200 + "\n-----END RSA PRIVATE KEY-----"
)
LOOK_LIKE_KEYS = (
    "sk-ant-api03-" + "a1B2" * 10,
    "sk-proj-" + "Zz9_" * 8,
    "AKIA" + "ABCDEFGHIJ234567",
    "ghp_" + "a" * 36,
    "github_pat_" + "b" * 30,
    "glpat-" + "c" * 20,
    "xoxb-" + "1234567890-abcdef",
    "AIza" + "d" * 35,
    "hf_" + "e" * 34,
    "sk_live_" + "f" * 24,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92",
    PRIVATE_KEY,
)


@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        quote(CANARY),
        quote(CANARY, safe=""),
        quote_plus(CANARY),
        re.sub("%..", lambda found: found[0].lower(), quote(CANARY, safe="")),
        json.dumps(CANARY)[1:-1],
        CANARY.encode().hex(),
        CANARY.encode().hex().upper(),
    ],
)
def test_a_known_value_is_found_in_each_of_its_forms(form: str) -> None:
    assert Redactor([CANARY]).text(f"before {form} after") == f"before {REDACTED} after"


@given(before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_base64_of_a_known_value_is_found_at_any_offset(before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes):
        encoded = encode(before + CANARY.encode() + after).decode()
        safe = Redactor([CANARY]).text(encoded)
        assert REDACTED in safe
        assert len(safe) <= len(encoded) - len(CANARY) + len(REDACTED) + 2


@pytest.mark.parametrize("key", LOOK_LIKE_KEYS)
def test_what_looks_like_a_key_is_taken_out(key: str) -> None:
    assert Redactor().text(f"x = '{key}'") == f"x = '{REDACTED}'"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {REDACTED}"),
        ("{'x-api-key': 'abcdefgh'}", f"{{'x-api-key': '{REDACTED}'}}"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7", f"aws_secret_access_key = {REDACTED}"),
        ("https://user:pass-word@host/x", f"https://user:{REDACTED}@host/x"),
    ],
)
def test_a_value_behind_its_label_is_taken_out(text: str, safe: str) -> None:
    assert Redactor().text(text) == safe


@pytest.mark.parametrize(
    "text",
    ["def add(a, b): return a - b", "sk-short", "task-force", "tests/test_a.py::test_b", ""],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor(["short", "a-long-secret"]).text(text) == text


def test_what_a_model_works_on_loses_known_values_only() -> None:
    redactor = Redactor([CANARY])
    fixture = LOOK_LIKE_KEYS[0]
    assert redactor.known(f"{fixture} {CANARY}") == f"{fixture} {REDACTED}"


def test_data_is_redacted_at_any_depth_in_keys_and_bytes_too() -> None:
    value = {"a": [{CANARY: CANARY.encode()}, (CANARY, 3)], "n": None}
    assert Redactor([CANARY]).data(value) == {
        "a": [{REDACTED: REDACTED}, [REDACTED, 3]],
        "n": None,
    }


def test_what_says_it_is_a_private_key_and_never_ends_takes_a_bounded_part() -> None:
    safe = Redactor().text("-----BEGIN PRIVATE KEY-----" + "x" * 20_000 + "the end")
    assert safe.startswith(REDACTED)
    assert safe.endswith("the end")


@given(
    cuts=st.lists(st.integers(0, 2_000), max_size=12),
    longest=st.sampled_from([256, 65_536]),
)
def test_a_stream_gives_no_secret_away_wherever_it_is_cut(cuts: list[int], longest: int) -> None:
    text = f"one {CANARY} two\n{PRIVATE_KEY}\nthree {CANARY}{CANARY}\nfour " + "y" * 300
    safe: list[str] = []
    lines = RedactedLines(Redactor([CANARY]), safe.append, longest=longest)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for start, end in pairwise(places):
        lines.feed(text[start:end])
    lines.close()
    said = "".join(safe)
    assert CANARY not in said
    assert "MIIEow" not in said
    assert said.startswith(f"one {REDACTED} two\n")
    assert said.endswith("y" * 300)


def test_a_line_is_out_as_soon_as_it_is_whole() -> None:
    safe: list[str] = []
    lines = RedactedLines(Redactor(), safe.append)
    lines.feed("one\ntw")
    assert safe == ["one\n"]
    lines.feed("o\n")
    assert safe == ["one\n", "two\n"]
