"""What a person lets fixing subagents do: the table `[fix]`, and the order that comes of a wish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from mcp_cloud_agents.domain.errors import InvalidArgument, ModelUnusable
from mcp_cloud_agents.domain.fix import (
    MICROS_PER_USD,
    Budget,
    Engine,
    FixOrder,
    ModelRoute,
    Provider,
)

_DEFAULT = Budget()
_FILE = "~/.config/mcp-cloud-agents/config.toml"
_NO_MODEL = (
    f'Let a person add [[fix.models]] with provider, model and key = "env:NAME" to {_FILE}; or '
    'pass engine="command" and command, such as "ruff check --fix .", which needs no model.'
)

Reference = Annotated[str, Meta(pattern=r"^$|^env:[A-Za-z_][A-Za-z0-9_]*$|^file:(/|~/).+$")]
BaseUrl = Annotated[str, Meta(pattern=r"^$|^https?://[^\s@]+$")]
Price = Annotated[float, Meta(ge=0, le=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """One `[[fix.models]]`."""

    provider: Provider
    model: Annotated[str, Meta(min_length=1, max_length=200)]
    base_url: BaseUrl = ""
    key: Reference = ""
    input_usd_per_mtok: Price | None = None
    output_usd_per_mtok: Price | None = None

    def route(self) -> ModelRoute:
        """The same for a job."""
        return ModelRoute(
            provider=self.provider,
            model=self.model,
            base_url=self.base_url,
            key=self.key,
            input_usd_per_mtok=self.input_usd_per_mtok,
            output_usd_per_mtok=self.output_usd_per_mtok,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FixPolicy:
    """The table `[fix]` of the person's file."""

    engine: Engine | None = None
    """What makes the change when a caller names nothing; None: `model` where there is one."""
    models: tuple[ModelTable, ...] = ()
    """The first answers; the next ones when it fails."""
    max_usd: Annotated[float, Meta(gt=0, le=1_000)] = _DEFAULT.usd_micros / MICROS_PER_USD
    """Most that one job may spend on models, all its candidates together."""
    max_attempts: Annotated[int, Meta(ge=1, le=16)] = 4
    max_requests: Annotated[int, Meta(ge=1, le=1_000)] = _DEFAULT.requests
    """Of one candidate."""
    max_tokens: Annotated[int, Meta(ge=10_000)] = _DEFAULT.tokens
    """Of a job, in and out."""
    max_tool_calls: Annotated[int, Meta(ge=1, le=10_000)] = _DEFAULT.tool_calls
    """Of one candidate."""
    candidate_minutes: Annotated[float, Meta(gt=0, le=1_440)] = _DEFAULT.wall_s / 60
    """Wall clock for making one candidate."""
    command_timeout_s: Annotated[int, Meta(ge=1, le=86_400)] = _DEFAULT.command_s
    """Of one command that an engine runs."""
    allow_protected: tuple[str, ...] = ()
    """Patterns of protected paths (tests, CI, lock files, …) that patches may change."""
    written_tests: bool = True
    """Whether a model that does not see the change writes tests that it is held against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixWish:
    """What the caller of a fixing subagent asked for; None: not said."""

    goal: str
    engine: Engine | None = None
    edit_command: str | None = None
    attempts: int = 1
    max_usd: float | None = None
    """Of models, for the whole job; the person's limit holds as well."""


def check_keys_elsewhere(order: FixOrder) -> None:
    """Refuse an order whose keys lie in files, for a job that runs on another machine.

    Raises:
        ModelUnusable: a key is in a file of this machine.
    """
    for route in order.models:
        if route.key.startswith("file:"):
            raise ModelUnusable(
                f"The model's key {route.key} is a file of this machine, which a job in AWS cannot "
                "read.",
                hint=f'Name it by key = "env:NAME" in {_FILE}, and give the variable NAME to the '
                "containers by `secrets` of the Terraform module (docs/aws.md); or pass "
                'backend="local".',
            )


def order_of(wish: FixWish, policy: FixPolicy, *, suite: str, timeout_s: int) -> FixOrder:
    """The order for a job.

    Args:
        wish: what the caller said.
        policy: what the person allows.
        suite: the command that runs all tests of the tree; empty: the target's own.
        timeout_s: wall clock of the whole job.

    Raises:
        InvalidArgument: there is no engine for it, or it asks for more than the person allows.
    """
    engine = _engine(wish, policy)
    if wish.attempts > policy.max_attempts:
        raise InvalidArgument(
            f"attempts is {wish.attempts}; at most {policy.max_attempts} are allowed here.",
            hint=f"Ask for fewer, or let a person raise fix.max_attempts in {_FILE}.",
        )
    if wish.max_usd is not None and wish.max_usd > policy.max_usd:
        raise InvalidArgument(
            f"max_usd is {wish.max_usd:g}; at most {policy.max_usd:g} is allowed here.",
            hint=f"Ask for less, or let a person raise fix.max_usd in {_FILE}.",
        )
    return FixOrder(
        goal=wish.goal,
        engine=engine,
        edit_command=wish.edit_command or "",
        attempts=1 if engine is Engine.COMMAND else wish.attempts,
        suite=suite,
        models=() if engine is Engine.COMMAND else tuple(one.route() for one in policy.models),
        budget=_budget(wish, policy, engine, timeout_s),
        allow_protected=policy.allow_protected,
        written_tests=policy.written_tests and engine is not Engine.COMMAND,
    )


def _engine(wish: FixWish, policy: FixPolicy) -> Engine:
    """The caller's, else what the command means, else the person's."""
    usual = Engine.COMMAND if wish.edit_command else policy.engine or Engine.MODEL
    engine = wish.engine or usual
    if engine is Engine.COMMAND and not wish.edit_command:
        raise InvalidArgument(
            'engine "command" needs command: what edits the files.',
            hint='Pass command, such as "ruff check --fix .".',
        )
    if engine is not Engine.COMMAND and not policy.models:
        raise InvalidArgument(f'No model is configured for engine "{engine}".', hint=_NO_MODEL)
    return engine


def _budget(wish: FixWish, policy: FixPolicy, engine: Engine, timeout_s: int) -> Budget:
    usd = policy.max_usd if wish.max_usd is None else wish.max_usd
    return Budget(
        usd_micros=0 if engine is Engine.COMMAND else int(usd * MICROS_PER_USD),
        tokens=policy.max_tokens,
        requests=policy.max_requests,
        tool_calls=policy.max_tool_calls,
        wall_s=min(timeout_s, max(1, round(policy.candidate_minutes * 60))),
        command_s=policy.command_timeout_s,
    )
