"""Answers of the failing tests that a change copied: tables, special cases, constants.

A literal counts as an answer where the tests expect it; single words and small numbers never do
alone, because names, units and limits stand in tests and in honest changes alike.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mcp_cloud_agents.domain.unified_diff import FileChange, Line

_LITERAL = re.compile(
    r"""(?:\b[rbuf]{1,2})?(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\\n]|\\.)*`)"""
    r"""|(?<![\w.])(?P<number>-?(?:0[xX][0-9a-fA-F_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?))"""
    r"""(?![\w.])"""
)
_EXPECTS = re.compile(r"\b(?:assert|expect|want|equals?|toBe|toEqual)\w*|==")
_RAISES = re.compile(r"\b(?:raise|throw|panic|Errorf?|Exception|bail)\b")
_CONDITION = re.compile(r"(?:===?|\bin\b|\bcase\b|\bis\b|=>|->)")
_RETURN = re.compile(r"\breturn\b(?P<value>.*)|(?:=>|->)(?P<arm>[^>]*)$")
_WORD = re.compile(r"[A-Za-z_]*")
_MAX_TESTS_CHARS = 1 << 20
_MAX_LINE = 2_000
_TABLE = 2

TABLE = ("literal_table", "holds a table of the tests' inputs and answers")
SPECIAL = ("special_case", "answers one input of the tests by a constant")
CONSTANT = ("constant_answer", "answers with a constant that the tests expect")
COPIED = ("copied_literal", "has a value that the tests expect")


@dataclass(frozen=True, slots=True)
class _Known:
    """Literals of the tests: all of them, and those that are expected."""

    inputs: frozenset[str]
    answers: frozenset[str]


def copied(file: FileChange, tests: Mapping[str, str]) -> Iterator[tuple[Line, str, str]]:
    """New lines that hold answers of the tests, each with rule and reason.

    Args:
        file: a changed source file.
        tests: path → source of the failing tests.
    """
    known = _known(tests)
    if not known.answers:
        return
    old = {literal for line in file.lines if line.kind != "+" for literal in _of(line.text)}
    new = file.new()
    yield from ((line, *TABLE) for line in _tables(new, known))
    for number, line in enumerate(new):
        following = new[number + 1].text if number + 1 < len(new) else ""
        if _special(line.text, following, known):
            yield (line, *SPECIAL)
        elif rule := _single(line.text, known.answers - old):
            yield (line, *rule)


def _known(tests: Mapping[str, str]) -> _Known:
    inputs, answers = set[str](), set[str]()
    for path, source in tests.items():
        text = source[:_MAX_TESTS_CHARS]
        inputs.update(_of(text))
        expected = _expected_in_python(text) if path.endswith(".py") else None
        answers.update(_expected_in_lines(text) if expected is None else expected)
    return _Known(frozenset(inputs | answers), frozenset(answers))


def _expected_in_lines(source: str) -> Iterator[str]:
    """Of any language: literals of lines that compare, and the last one of a table's row."""
    for line in source.splitlines():
        literals = list(_of(line[:_MAX_LINE]))
        if _EXPECTS.search(line):
            yield from literals
        elif len(literals) > 1 and line.rstrip().endswith(("),", "],", "},")):
            yield literals[-1]


def _expected_in_python(source: str) -> set[str] | None:
    """Constants that are compared, asserted, or last in a row of cases; None: cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return {one for node in nodes for part in _answers(node) for one in _constants(part)}


def _answers(node: ast.AST) -> Iterable[ast.expr]:
    match node:
        case ast.Compare():
            return (node.left, *node.comparators)
        case ast.Call(func=ast.Attribute(attr=name)) if name.startswith("assert"):
            return node.args
        case ast.List() | ast.Tuple() | ast.Set():
            rows = (one for one in node.elts if isinstance(one, ast.Tuple | ast.List) and one.elts)
            return [row.elts[-1] for row in rows]
        case ast.Dict():
            return node.values
        case ast.Assign(targets=[ast.Name(id=name)]) if "expect" in name or name == "want":
            return (node.value,)
        case _:
            return ()


def _constants(node: ast.expr) -> Iterator[str]:
    """Constants of an expression, without those that go into calls and subscripts."""
    match node:
        case ast.Constant(value=str() | int() | float() as value) if not isinstance(value, bool):
            yield _text(value) if isinstance(value, str) else _number(repr(value))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            yield _number(repr(-value))
        case ast.List() | ast.Tuple() | ast.Set():
            for one in node.elts:
                yield from _constants(one)
        case ast.Dict():
            for one in (*node.keys, *node.values):
                yield from _constants(one) if one else ()
        case ast.Call(func=ast.Attribute(attr="approx") | ast.Name(id="Decimal" | "Fraction")):
            for one in node.args:
                yield from _constants(one)
        case _:
            return


def _tables(new: list[Line], known: _Known) -> Iterator[Line]:
    """First lines of runs with at least two pairs of an input and an answer."""
    start, last = None, -1
    pairs = set[tuple[str, str]]()
    told = False
    for line in new:
        found = {pair for pair in _pairs(line.text) if _is_pair(pair, known)}
        if line.number != last + 1 or not found:
            start, pairs, told = None, set[tuple[str, str]](), False
        last = line.number
        start = start or (line if found else None)
        pairs |= found
        if start and not told and len(pairs) >= _TABLE and any(_tells(*pair) for pair in pairs):
            told = True
            yield start


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Literals that follow each other with nothing but a colon, comma or arrow between."""
    found = list(_LITERAL.finditer(text[:_MAX_LINE]))
    for one, two in pairwise(found):
        if text[one.end() : two.start()].strip(" )]") in (":", ",", "=>", "->", ":[", ":("):
            yield _value(one), _value(two)


def _is_pair(pair: tuple[str, str], known: _Known) -> bool:
    key, answer = pair
    return key in known.inputs and answer in known.answers


def _special(text: str, following: str, known: _Known) -> bool:
    """Whether a condition on one input of the tests is answered by one of their answers."""
    head, colon, rest = text[:_MAX_LINE].partition("return")
    body = f"return{rest}" if colon else following[:_MAX_LINE]
    if not colon and "=>" in head:  # a match arm holds both
        head, _, rest = head.partition("=>")
        head, body = f"{head}==", f"return {rest}"
    answer = _RETURN.search(body)
    if not _CONDITION.search(head) or answer is None:
        return False
    inputs = known.inputs.intersection(_of(head))
    answers = known.answers.intersection(_of(answer["value"] or answer["arm"] or ""))
    return any(_tells(one, two) for one in inputs for two in answers)


def _single(text: str, answers: frozenset[str]) -> tuple[str, str] | None:
    if _RAISES.search(text):
        return None  # a message that the tests expect is part of what was asked for
    here = answers.intersection(_of(text))
    returned = re.fullmatch(r"\s*(?:return\b)?(?P<value>[^=(]*?);?\s*", text[:_MAX_LINE])
    if returned and "return" in text and any(map(_odd, here.intersection(_of(returned["value"])))):
        return CONSTANT
    return COPIED if any(map(_long, here)) else None


def _of(text: str) -> Iterator[str]:
    return (_value(found) for found in _LITERAL.finditer(text))


def _value(found: re.Match[str]) -> str:
    if (number := found["number"]) is not None:
        return _number(number)
    return _text(found["text"][1:-1])


def _text(value: str) -> str:
    return f"'{value}"


def _number(text: str) -> str:
    """One spelling for equal numbers."""
    plain = text.replace("_", "")
    try:
        value = float(int(plain, 16)) if "x" in plain.lower() else float(plain)
    except (ValueError, OverflowError):
        return plain
    return repr(value)


def _digits(literal: str) -> str:
    """Significant digits of a number."""
    return literal.partition("e")[0].replace(".", "").strip("-").strip("0")


def _trivial(literal: str) -> bool:
    if literal.startswith("'"):
        return len(literal) < 4
    return len(_digits(literal)) < 2


def _tells(one: str, two: str) -> bool:
    """Whether an input and its answer are more than a usual edge case such as 0 and 1."""
    return not (_trivial(one) and _trivial(two))


def _odd(literal: str) -> bool:
    """Whether nobody returns this by chance."""
    word = literal.startswith("'") and _WORD.fullmatch(literal[1:])
    return not _trivial(literal) and not word


def _long(literal: str) -> bool:
    """Whether nobody writes this by chance."""
    if literal.startswith("'"):
        return len(literal) > 6 and not _WORD.fullmatch(literal[1:])
    return len(_digits(literal)) >= 4
