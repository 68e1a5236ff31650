"""JUnit XML: read as hostile data, and written from cases of ours.

The counts a suite claims are never looked at; the cases are counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mcp_cloud_agents.domain.result import Outcome
from mcp_cloud_agents.runners import untrusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mcp_cloud_agents.domain.result import TestCase

MAX_BYTES = 32 << 20
_REFERENCE = re.compile(rb"&#(?:[xX](?P<hex>[0-9a-fA-F]{1,8})|(?P<decimal>[0-9]{1,10}));")
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xed[\xa0-\xbf][\x80-\xbf]")
_COLOUR = re.compile(r"(?:#x1B)?\[\d{1,3}(?:;\d{1,3})*m(?!\])")
"""A terminal's colour: XML cannot hold the escape character that it begins with."""
_OUTCOMES = {"skipped": Outcome.SKIPPED, "failure": Outcome.FAILED, "error": Outcome.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A `testcase` element as it stands in the file: nothing of it is safe to show yet."""

    name: str
    classname: str
    file: str
    line: int | None
    """0-based line of the definition, where the runner writes one."""
    time: str
    outcome: Outcome
    message: str = ""
    text: str = ""
    type: str = ""

    @property
    def titled(self) -> str:
        """The message with the exception's name in front, where the runner keeps them apart."""
        return f"{self.type}: {self.message}" if self.type.endswith("Error") else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A JUnit file; `problem` says why it could not be read."""

    entries: tuple[Entry, ...] = ()
    problem: str = ""


def parse(data: bytes) -> Document:
    """Read a JUnit file; whatever is wrong with it becomes `problem`.

    Some runners write characters that XML does not have, and one odd message must not hide all
    other tests: such a file is read once more with these replaced.
    """
    document = _parse(data)
    if document.problem and (mended := _mended(data)) != data:
        document = _parse(mended)
    return document


def _parse(data: bytes) -> Document:
    if len(data) > MAX_BYTES:
        return Document(problem=f"The report is larger than {MAX_BYTES >> 20} MiB.")
    # Imported here: lxml takes 60 ms, and the server's start must not pay for it.
    from junitparser import JUnitXml, JUnitXmlError

    try:
        root: Any = JUnitXml.fromstring(cast("str", data))  # bytes work: lxml sees the encoding
        entries: list[Entry] = []
        for entry in _entries(root):
            if len(entries) == untrusted.MAX_CASES:
                return Document(problem=f"The report has over {untrusted.MAX_CASES} tests.")
            entries.append(entry)
    except (JUnitXmlError, SyntaxError, ValueError, RecursionError) as exc:
        # lxml's XMLSyntaxError and ElementTree's ParseError are both SyntaxErrors.
        return Document(problem=f"The report cannot be read: {untrusted.name(str(exc))[:200]}")
    return Document(entries=tuple(entries))


def write(cases: Iterable[TestCase]) -> bytes:
    """A JUnit file of these cases."""
    import junitparser

    makers: dict[Outcome, Any] = {
        Outcome.SKIPPED: junitparser.Skipped,
        Outcome.FAILED: junitparser.Failure,
        Outcome.ERROR: junitparser.Error,
    }
    suite: Any = junitparser.TestSuite("tests")
    for case in cases:
        element: Any = junitparser.TestCase(case.id, case.file or "", case.duration_s)
        if case.file is not None:
            element._elem.set("file", case.file)
        if (make := makers.get(case.outcome)) is not None:
            result = make(case.message, str(case.kind or case.outcome))
            result.text = "\n".join(case.details)
            element.append(result)
        suite.append(element)  # add_testcase would count all cases anew for each one
    suite.update_statistics()
    document = junitparser.JUnitXml()
    document.add_testsuite(suite)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + cast("bytes", document.tostring())


def worst(cases: Sequence[TestCase]) -> tuple[TestCase, ...]:
    """One case for each id, in order of appearance: the worst, the earlier one of equals."""
    order = list(Outcome)
    kept: dict[str, TestCase] = {}
    for case in cases:
        known = kept.get(case.id)
        if known is None or order.index(case.outcome) > order.index(known.outcome):
            kept[case.id] = case
    return tuple(kept.values())


def _mended(data: bytes) -> bytes:
    return _NOT_TEXT.sub(b"?", _REFERENCE.sub(_allowed, data))


def _allowed(reference: re.Match[bytes]) -> bytes:
    """The reference, or that of U+FFFD where XML has no such character."""
    code = int(reference["hex"], 16) if reference["hex"] else int(reference["decimal"])
    text = code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD
    return reference[0] if text or 0x10000 <= code <= 0x10FFFF else b"&#xFFFD;"


def _entries(root: Any) -> Iterator[Entry]:
    for case in root._elem.iter("testcase"):
        name, file = case.get("name") or "", case.get("file") or ""
        line = case.get("line") or ""
        outcome, result = _result(case)
        yield Entry(
            name=name,
            classname=case.get("classname") or "",
            file=file,
            line=int(line) if line.isascii() and line.isdigit() and len(line) < 10 else None,
            time=case.get("time") or "",
            outcome=outcome,
            message="" if result is None else _COLOUR.sub("", result.get("message") or ""),
            text="" if result is None else _COLOUR.sub("", result.text or ""),
            type="" if result is None else result.get("type") or "",
        )


def _result(case: Any) -> tuple[Outcome, Any]:
    """The worst element inside a case; a passed one has none."""
    order = list(Outcome)
    worst_outcome, worst_element = Outcome.PASSED, None
    for child in case:
        outcome = _OUTCOMES.get(child.tag)
        if outcome is not None and order.index(outcome) > order.index(worst_outcome):
            worst_outcome, worst_element = outcome, child
    return worst_outcome, worst_element
