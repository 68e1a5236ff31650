"""What a person lets fixing subagents do, and the orders that come of wishes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import BadConfig, InvalidArgument, ModelUnusable
from mcp_cloud_agents.domain.fix import Budget, Engine, Provider
from mcp_cloud_agents.domain.fix_policy import (
    FixPolicy,
    FixWish,
    ModelTable,
    check_keys_elsewhere,
    order_of,
)
from mcp_cloud_agents.domain.toml import read_toml

MODEL = ModelTable(provider=Provider.ANTHROPIC, model="m", key="env:KEY")
PLAIN = FixPolicy()
WITH_MODEL = FixPolicy(models=(MODEL,))


def test_a_command_needs_no_model_and_no_money() -> None:
    wish = FixWish(goal="tidy", edit_command="ruff check --fix .", attempts=3)
    order = order_of(wish, PLAIN, suite="", timeout_s=60)
    assert (order.engine, order.attempts, order.models) == (Engine.COMMAND, 1, ())
    assert order.budget.usd_micros == 0


def test_without_a_model_one_line_says_what_to_set_and_what_works_without() -> None:
    with pytest.raises(InvalidArgument) as refused:
        order_of(FixWish(goal="g"), PLAIN, suite="", timeout_s=60)
    assert refused.value.message == 'No model is configured for engine "model".'
    assert "[[fix.models]]" in refused.value.hint
    assert 'engine="command"' in refused.value.hint


def test_engine_command_without_a_command_says_what_to_pass() -> None:
    with pytest.raises(InvalidArgument, match="needs command"):
        order_of(FixWish(goal="g", engine=Engine.COMMAND), WITH_MODEL, suite="", timeout_s=60)


def test_a_named_engine_takes_the_command_as_a_first_candidate() -> None:
    wish = FixWish(goal="g", engine=Engine.MODEL, edit_command="black .", attempts=2)
    order = order_of(wish, WITH_MODEL, suite="pytest", timeout_s=60)
    assert (order.engine, order.edit_command, order.attempts) == (Engine.MODEL, "black .", 2)
    assert order.suite == "pytest"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (FixWish(goal="g", max_usd=5.0), "at most 1 is allowed"),
        (FixWish(goal="g", attempts=5), "at most 4 are allowed"),
    ],
)
def test_more_than_the_person_allows_is_refused_with_numbers(wish: FixWish, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        order_of(wish, WITH_MODEL, suite="", timeout_s=60)


def test_a_key_in_a_file_is_refused_for_jobs_of_another_machine() -> None:
    in_file = replace(MODEL, key="file:/home/me/key")
    policy = replace(WITH_MODEL, models=(MODEL, in_file))
    with pytest.raises(ModelUnusable, match="file:/home/me/key is a file of this machine") as it:
        check_keys_elsewhere(order_of(FixWish(goal="g"), policy, suite="", timeout_s=60))
    assert "env:NAME" in it.value.hint
    tidy = FixWish(goal="tidy", edit_command="ruff check --fix .")
    check_keys_elsewhere(order_of(tidy, policy, suite="", timeout_s=60))
    check_keys_elsewhere(order_of(FixWish(goal="g"), WITH_MODEL, suite="", timeout_s=60))


def test_a_candidate_never_has_more_time_than_the_job() -> None:
    order = order_of(FixWish(goal="g"), WITH_MODEL, suite="", timeout_s=30)
    assert order.budget.wall_s == 30


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 16))
def test_shares_never_add_up_to_more_than_the_whole(usd: int, tokens: int, attempts: int) -> None:
    whole = Budget(usd_micros=usd, tokens=tokens)
    share = whole.share(attempts)
    assert share.usd_micros * attempts <= usd
    assert share.tokens * attempts <= tokens
    assert replace(share, usd_micros=usd, tokens=tokens) == whole


@pytest.mark.parametrize(
    "text",
    [
        '[[models]]\nprovider = "anthropic"\nmodel = "m"\nkey = "sk-a-real-key"',
        '[[models]]\nprovider = "anthropic"\nmodel = "m"\nbase_url = "ftp://host"',
        '[[models]]\nprovider = "anthropic"\nmodel = "m"\nbase_url = "https://user:pw@host"',
        '[[models]]\nprovider = "nobody"\nmodel = "m"',
        "max_usd = -1",
        "max_usd = 1e9",
    ],
)
def test_a_table_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadConfig, match="line"):
        read_toml(text.encode(), FixPolicy, file="config.toml")
