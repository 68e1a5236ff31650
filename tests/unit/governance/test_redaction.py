"""Secrets out of text: known values in any encoding, keys by their look, streams in any pieces."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain import result
from mcp_cloud_agents.governance.redaction import REDACTED, Redactor
from mcp_cloud_agents.governance.secret_forms import can_be_found

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
        html.escape(CANARY),
        html.escape(CANARY).replace("&quot;", '"'),
        repr(CANARY)[1:-1],
        json.dumps(CANARY, ensure_ascii=False)[1:-1].replace("/", "\\/"),
        CANARY.encode().upper().decode(),
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


@pytest.mark.parametrize(
    "gap",
    ["\n", "\r\n", "\n        ", "\r", " ", "\t", "\x1b[0m", "\x1b[31;1m\n\x1b[K", "\x00", "\x1b"],
)
def test_a_value_is_found_with_gaps_where_it_was_wrapped(gap: str) -> None:
    redactor = Redactor([CANARY])
    for form in (CANARY, base64.b64encode(CANARY.encode()).decode(), quote(CANARY, safe="")):
        for width in (1, 3, 7):
            wrapped = gap.join(form[at : at + width] for at in range(0, len(form), width))
            safe = redactor.known(f"before {wrapped} after")
            assert REDACTED in safe, (gap, width)
            left = safe.replace(gap, "").split(REDACTED)
            assert left[0].strip() == "before"
            assert len(left[-1].strip()) <= len("after") + 5, safe  # base64's own last characters


def test_a_value_hidden_in_a_terminal_command_is_found() -> None:
    redactor = Redactor([CANARY, "smoke-test-token"])
    assert CANARY not in redactor.known(f"\x1b]0;{CANARY}\x07")
    assert redactor.known("\x1b[smoke-test-token") == f"\x1b[{REDACTED}"


def test_each_long_line_of_a_key_file_is_a_value_too() -> None:
    redactor = Redactor([PRIVATE_KEY])
    assert redactor.known(f"E   {'MIIEow' * 200}") == f"E   {REDACTED}"
    assert redactor.known("-----BEGIN RSA PRIVATE KEY-----") == "-----BEGIN RSA PRIVATE KEY-----"


def test_texts_under_telling_names_of_a_json_value_are_values_too() -> None:
    value = json.dumps({"user": "postgres", "db": {"password": "hunter2-hunter2"}, "n": [1]})
    safe = Redactor([value]).known("postgres hunter2-hunter2")
    assert safe == f"postgres {REDACTED}"


def test_a_report_is_cleaned_at_any_depth_and_its_enums_stay() -> None:
    case = result.TestCase(
        id=f"t[{CANARY}]", outcome=result.Outcome.PASSED, details=("a", f"b {CANARY}")
    )
    report = result.TestReport(cases=(case,), unfinished=(CANARY,), expected=3)
    assert Redactor([CANARY, "passed"]).value(report) == result.TestReport(
        cases=(
            result.TestCase(
                id=f"t[{REDACTED}]", outcome=result.Outcome.PASSED, details=("a", f"b {REDACTED}")
            ),
        ),
        unfinished=(REDACTED,),
        expected=3,
    )


def test_what_holds_no_value_is_handed_back_as_the_same_object() -> None:
    data = b"plain \xff bytes" * 10
    assert Redactor([CANARY]).raw(data) is data
    assert Redactor().value(data) is data


def test_a_value_that_overlaps_itself_goes_whole() -> None:
    assert Redactor(["abcabc"]).known("xabcabcabcx") == f"x{REDACTED}x"


@pytest.mark.parametrize(
    ("value", "can"), [("short", False), ("a b c d e", False), ("six666", True), ("äöü", True)]
)
def test_values_too_short_to_be_taken_out_are_told(value: str, can: bool) -> None:
    assert can_be_found(value) is can
