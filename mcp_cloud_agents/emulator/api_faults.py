"""Bad days of the API: which call is refused, throttled, lost or slow.

What meets a call follows from the rule's seed, the action and how many calls of that action there
were, and from nothing else: not from the order in which threads come.
"""

from __future__ import annotations

import fnmatch
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_cloud_agents.emulator.job_faults import chance
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.aws_calls import AwsCall

KINDS = frozenset({"error", "throttle", "lost_answer", "dropped", "delay"})


@dataclass(frozen=True, slots=True)
class ApiRule:
    """What happens to which calls.

    Attributes:
        service, action: patterns.
        kind: `error` (refused with `code` and `status`), `throttle` (with the service's own code),
            `lost_answer` (the work is done, the answer is an error), `dropped` (the work is done,
            the connection is closed without an answer), `delay` (late by `delay_s`).
        rate: 0 to 1.
        every: only each n-th call of an action.
        times: only so often for each action, then never again.
        tokens_per_s, burst: a token bucket for each action; the rule meets calls that find it
            empty.
    """

    kind: str
    service: str = "*"
    action: str = "*"
    rate: float = 1.0
    seed: int = 0
    every: int = 1
    times: int | None = None
    tokens_per_s: float | None = None
    burst: int = 1
    code: str = "InternalError"
    status: int = 500
    delay_s: float = 0.0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> ApiRule:
        """From JSON with the fields of the class.

        Raises:
            Refused: a field or the kind is unknown.
        """
        try:
            rule = cls(**given)
        except TypeError as exc:
            raise Refused(f"api rule: {exc}") from exc
        if rule.kind not in KINDS or rule.every < 1:
            raise Refused(f"api rule: kinds are {', '.join(sorted(KINDS))}; every is at least 1")
        return rule


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def take(self, rule: ApiRule, now: float) -> bool:
        per_s = rule.tokens_per_s or 0.0
        self.tokens = min(float(rule.burst), self.tokens + (now - self.at) * per_s)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class ApiFaults:
    """The rules in force; the first that meets a call decides."""

    rules: Sequence[ApiRule] = ()
    calls: Counter[tuple[int, str, str]] = field(default_factory=Counter[tuple[int, str, str]])
    met: Counter[tuple[int, str, str]] = field(default_factory=Counter[tuple[int, str, str]])
    buckets: dict[tuple[int, str, str], _Bucket] = field(
        default_factory=dict[tuple[int, str, str], _Bucket]
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def replace(self, rules: Sequence[ApiRule]) -> None:
        """Other rules, counted from the start."""
        with self.lock:
            self.rules = tuple(rules)
            self.calls.clear()
            self.met.clear()
            self.buckets.clear()

    def of(self, call: AwsCall) -> ApiRule | None:
        """The rule that meets this call."""
        with self.lock:
            for number, rule in enumerate(self.rules):
                if self._meets((number, call.service, call.action), rule, call):
                    return rule
        return None

    def _meets(self, key: tuple[int, str, str], rule: ApiRule, call: AwsCall) -> bool:
        if not fnmatch.fnmatchcase(call.service, rule.service):
            return False
        if not fnmatch.fnmatchcase(call.action, rule.action):
            return False
        self.calls[key] += 1
        number = self.calls[key]
        if rule.times is not None and self.met[key] >= rule.times:
            return False
        if rule.tokens_per_s is not None:
            now = time.monotonic()
            if self.buckets.setdefault(key, _Bucket(float(rule.burst), now)).take(rule, now):
                return False
        meets = number % rule.every == 0 and chance(rule.seed, *key[1:], number) < rule.rate
        self.met[key] += meets
        return meets
