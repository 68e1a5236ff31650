"""A fix: what a fixing subagent is asked for, what it may spend, and what its patches are worth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from mcp_cloud_agents.domain.money import MICROS_PER_USD


class Engine(StrEnum):
    """What makes the change.

    `command` runs a command that edits files: no model, no key. `model` is the built-in loop.
    The other two are command-line agents, which see the model through the worker's gateway.
    """

    COMMAND = "command"
    MODEL = "model"
    CLAUDE_CODE = "claude-code"
    CODEX = "codex"


class Provider(StrEnum):
    """Who answers a model request, and in which wire format."""

    ANTHROPIC = "anthropic"
    """Anthropic Messages."""
    OPENAI = "openai"
    """OpenAI Responses."""
    OPENAI_CHAT = "openai-chat"
    """OpenAI Chat Completions, which most other servers speak."""
    BEDROCK = "bedrock"
    """Through the job's AWS role; no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoute:
    """One model that may answer, and how to reach it."""

    provider: Provider
    model: str
    base_url: str = ""
    """Empty: the provider's own."""
    key: str = ""
    """A reference, never the key: `env:NAME` or `file:/path`; resolved in the worker."""
    input_usd_per_mtok: float | None = None
    """Price of a million tokens, where the price table does not know the model."""
    output_usd_per_mtok: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent at most. Of a whole job, or of one candidate: see `share`."""

    usd_micros: int = MICROS_PER_USD
    """Millionths of a dollar."""
    tokens: int = 3_000_000
    requests: int = 40
    tool_calls: int = 200
    wall_s: int = 600
    """Seconds for making one candidate."""
    command_s: int = 120
    """Seconds for one command of the engine."""
    output_tokens: int = 8_192
    """Of one answer."""

    def share(self, attempts: int) -> Budget:
        """What each of so many candidates may spend; together never more than the whole."""
        return replace(self, usd_micros=self.usd_micros // attempts, tokens=self.tokens // attempts)

    def less(self, spent: Spent) -> Budget:
        """What is left of it after this was spent."""
        return replace(
            self,
            usd_micros=max(0, self.usd_micros - spent.usd_micros),
            tokens=max(0, self.tokens - spent.input_tokens - spent.output_tokens),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FixOrder:
    """What a fix job is asked for. The command of its specification is the target's tests."""

    goal: str
    engine: Engine
    edit_command: str = ""
    """What the `command` engine runs; for the others a first candidate without a model."""
    attempts: int = 1
    suite: str = ""
    """The command that runs all tests of the tree, where the target's is another; else empty."""
    models: tuple[ModelRoute, ...] = ()
    """The first answers; the next ones when it fails."""
    budget: Budget = field(default_factory=Budget)
    allow_protected: tuple[str, ...] = ()
    """Patterns of protected paths that a person lets patches change."""
    written_tests: bool = False
    """Whether a model first writes tests for the goal, without seeing any change, that every
    candidate is run against. Takes one more share of the budget."""


def key_variables(order: FixOrder | None) -> tuple[str, ...]:
    """Names of the environment's variables that hold the keys of an order's models."""
    models = order.models if order is not None else ()
    named = (one.key.removeprefix("env:") for one in models if one.key.startswith("env:"))
    return tuple(dict.fromkeys(named))


class Label(StrEnum):
    """What a patch is worth, by what ran. Never the bare word "fixed"."""

    VERIFIED = "verified"
    """The target failed on the base and passes now, the suite shows no confirmed regression,
    nothing protected changed, nothing suspicious was found."""
    LIKELY = "likely"
    """The target passes, but something is missing; `Evidence.why` says what."""
    UNVERIFIED = "unverified"
    """No verdict, or a budget or deadline came before it was judged."""


class StopReason(StrEnum):
    """Why an engine ended."""

    SUBMITTED = "submitted"
    """It handed its change in, or its command ended."""
    USD = "usd"
    TOKENS = "tokens"
    REQUESTS = "requests"
    TOOL_CALLS = "tool_calls"
    WALL_CLOCK = "wall_clock"
    LOOP = "loop"
    REFUSED = "refused"
    """The model refused, or its answers could not be used."""
    MODEL_FAILED = "model_failed"
    """No model could be reached, or every one failed."""
    COMMAND_FAILED = "command_failed"
    """The edit command could not be run, or ended with an error."""
    CANCELLED = "cancelled"
    OUTRUN = "outrun"
    """Another candidate was verified first."""
    DIED = "died"
    """Its process ended without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was used, counted by us."""

    usd_micros: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    tool_calls: int = 0

    def __add__(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(
            usd_micros=self.usd_micros + other.usd_micros,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            requests=self.requests + other.requests,
            tool_calls=self.tool_calls + other.tool_calls,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """The target on the unchanged tree, run twice."""

    failing: tuple[str, ...] = ()
    """Ids that failed both times, at most 1,000."""
    flaky: tuple[str, ...] = ()
    """Ids that failed once: told as flaky, and never counted as mended."""
    passed: int = 0
    runs: int = 0
    problem: str = ""
    """Why the target tells nothing: it does not start, or leaves no report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A line of a change that deserves suspicion."""

    rule: str
    path: str
    line: int
    """1-based, in the new file."""
    text: str
    """At most 200 characters, rendered."""
    why: str
    grave: bool = False
    """Whether it speaks against the change, and does not only deserve a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTests:
    """Tests written by a model call that did not see the patch."""

    passed: int = 0
    failed: tuple[str, ...] = ()
    dropped: int = 0
    """Of no use: not collected, or failing whatever the code does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was run on one candidate in a fresh sandbox, and what came of it."""

    label: Label
    rejected: bool = False
    """Whether it must not be offered: the target does not pass, or something that passed fails."""
    why: tuple[str, ...] = ()
    """What keeps it from `verified`, or why it was rejected; sentences."""
    ran: tuple[str, ...] = ()
    """What was run, with counts; sentences."""
    mended: tuple[str, ...] = ()
    """Ids that failed on the base and pass now, at most 200."""
    still_failing: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Expected ids that the report lacks: as bad as failing."""
    regressions: tuple[str, ...] = ()
    """Ids that passed on the base and failed in every rerun."""
    flaky: tuple[str, ...] = ()
    """Ids that failed once and passed in a rerun."""
    protected: tuple[str, ...] = ()
    """Protected paths that it changed; they were put back before anything ran."""
    findings: tuple[Finding, ...] = ()
    written: WrittenTests | None = None
    tree: str = ""
    """Id of the tree that was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateReport:
    """One candidate: who made it, at what price, and what it is worth."""

    number: int
    """From 1; 0 is the one made without a model."""
    engine: Engine
    stopped: StopReason
    message: str = ""
    """What the engine said at its end, or what went wrong; rendered, untrusted."""
    model: str = ""
    spent: Spent = field(default_factory=Spent)
    duration_s: float = 0.0
    files: int = 0
    insertions: int = 0
    deletions: int = 0
    sha256: str = ""
    """Of its patch; empty: it changed nothing."""
    evidence: Evidence | None = None


class FixOutcome(StrEnum):
    """How a fix job ended."""

    PATCH = "patch"
    NO_PATCH = "no_patch"
    """An honest no: nothing that could be offered."""
    NOTHING_TO_FIX = "nothing_to_fix"
    """No test of the target fails."""
    CANNOT_JUDGE = "cannot_judge"
    """The target does not start or leaves no report, or is flaky, so no money was spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixReport:
    """The end of a fix job. The chosen candidate's patch is the job's patch."""

    outcome: FixOutcome
    summary: str
    """One sentence."""
    reproduction: Reproduction
    candidates: tuple[CandidateReport, ...] = ()
    chosen: int | None = None
    """Number of the candidate whose patch is offered."""
    choice: tuple[str, ...] = ()
    """How the arbiter came to it, a sentence a step."""
    spent: Spent = field(default_factory=Spent)
