"""The text of a policy file: read whole, checked to the last pattern, or refused with its place.

A rule that can never fit is a mistake of its author and not a rule, so it is refused as well: a
letter of another alphabet in a subagent's name, a workspace that is no absolute path.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.toml import MAX_BYTES, place, read_toml
from mcp_cloud_agents.domain.toml_places import Path
from mcp_cloud_agents.governance.conditions import Conditions, several
from mcp_cloud_agents.governance.policy import DEFAULT, Effect, Policy, Rule
from mcp_cloud_agents.governance.policy_tests import PolicyTest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_STARS = 8
"""In one pattern: its time grows with them."""
MAX_REASON_CHARS = 300
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}")
_ASCII = re.compile(r"[!-~]+")
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_HOURS = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)")
_PLAIN = ("agent", "backend", "secrets", "only_secrets")
_FREE = ("workspace", "paths", "only_paths")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """The keys of a policy file."""

    default: Effect = Effect.ALLOW
    rules: Annotated[tuple[Rule, ...], Meta(max_length=200)] = ()
    tests: Annotated[tuple[PolicyTest, ...], Meta(max_length=500)] = ()


@lru_cache(maxsize=16)
def parse_policy(
    data: bytes, *, file: str, max_bytes: int = MAX_BYTES
) -> tuple[Policy, tuple[PolicyTest, ...]]:
    """The policy of a file's content, and the tests that it carries.

    Files are read for every job and hardly ever change, so the newest results are kept.

    Args:
        data: the content.
        file: what to call the file.
        max_bytes: the most that is read.

    Raises:
        BadConfig: the message names file, line, column and what is wrong.
    """
    found = read_toml(data, _File, file=file, max_bytes=max_bytes)
    for path, what, hint in _mistakes(found):
        raise BadConfig(f"{place(data, path, file=file)}: {what}.", hint=hint)
    policy = Policy(
        rules=found.rules,
        default=found.default,
        digest=hashlib.sha256(data).hexdigest(),
        file=file,
    )
    return policy, found.tests


Mistake = tuple[Path, str, str]
"""Where, what, and what to do."""


def _mistakes(found: _File) -> Iterator[Mistake]:
    names: set[str] = {DEFAULT}
    for number, rule in enumerate(found.rules):
        here: Path = ("rules", number)
        if not _NAME.fullmatch(rule.name):
            hint = "Use up to 80 letters, digits, spaces, dots, dashes and underscores of ASCII."
            yield (*here, "name"), f"{rule.name[:80]!a} is no name for a rule", hint
        if rule.name in names:
            hint = "Give each rule a name of its own; 'default' is what decides where none fits."
            yield (*here, "name"), f"the name {rule.name!r} is taken", hint
        names.add(rule.name)
        if _HIDDEN.search(rule.reason) or len(rule.reason) > MAX_REASON_CHARS:
            hint = f"Write one visible line of at most {MAX_REASON_CHARS} characters."
            yield (*here, "reason"), "the reason is too long, or has characters nobody sees", hint
        yield from _of_conditions(rule.when, (*here, "when"))
    for number, test in enumerate(found.tests):
        if test.rule is not None and test.rule not in names:
            hint = f"Name one of: {', '.join(sorted(names))[:300]}."
            yield ("tests", number, "rule"), f"there is no rule {test.rule[:80]!a}", hint


def _of_conditions(when: Conditions, here: Path) -> Iterator[Mistake]:
    for key in (*_PLAIN, *_FREE, "hours"):
        value: str | tuple[str, ...] | bool | None = getattr(when, key)
        if isinstance(value, bool):
            continue
        for index, text in enumerate(several(value)):
            at = (*here, key, index) if isinstance(value, tuple) else (*here, key)
            if said := _wrong(key, text):
                yield at, said[0], said[1]


def _wrong(key: str, text: str) -> tuple[str, str] | None:
    if key == "hours":
        return _wrong_hours(text)
    if key in _PLAIN and not _ASCII.fullmatch(text):
        return (
            f"{text[:80]!a} fits nothing: such names are plain ASCII without spaces",
            "Type the name anew; a letter of another alphabet may look like this one.",
        )
    if _HIDDEN.search(text):
        return f"{text[:80]!a} has characters nobody sees", "Type the pattern anew."
    if text.count("*") > MAX_STARS:
        return f"a pattern has more than {MAX_STARS} '*'", "Shorten it, or write several."
    return _NEVER[key](text) if key in _NEVER else None


def _wrong_hours(text: str) -> tuple[str, str] | None:
    hint = 'Write two different times of day such as "22:00-06:00"; the second is not included.'
    start, _, end = text.partition("-")
    if not _HOURS.fullmatch(text) or start == end:
        return f"{text!a} is no span of hours", hint
    return None


def _no_workspace(text: str) -> tuple[str, str] | None:
    if text.startswith(("/", "*", "[", "?")):
        return None
    hint = "Begin it with '/' or '*': workspaces are absolute paths, with the home written out."
    return f"{text[:80]!a} fits no workspace", hint


def _no_path(text: str) -> tuple[str, str] | None:
    if not text.startswith("/") and ".." not in text.split("/"):
        return None
    hint = "Write paths relative to the top of the worktree, without '..'."
    return f"{text[:80]!a} fits no path of a worktree", hint


_NEVER: dict[str, Callable[[str], tuple[str, str] | None]] = {
    "workspace": _no_workspace,
    "paths": _no_path,
    "only_paths": _no_path,
}
