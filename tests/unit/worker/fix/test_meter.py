"""Money is held back before it is spent, and no end of a process forgets it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from threading import Barrier, Thread

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import StateUnusable
from mcp_cloud_agents.domain.fix import Budget, Spent, StopReason
from mcp_cloud_agents.worker.fix.meter import BudgetExhausted, Meter, Reservation


def a_meter(folder: Path, **budget: int) -> Meter:
    return Meter(Budget(**budget), str(folder / "spent.json"))


def on_disk(folder: Path) -> Spent:
    return msgspec.json.decode((folder / "spent.json").read_bytes(), type=Spent)


def test_a_reservation_counts_in_full_until_it_is_settled(tmp_path: Path) -> None:
    meter = a_meter(tmp_path, usd_micros=1_000)
    held = meter.reserve(700, 50)
    assert meter.spent == on_disk(tmp_path) == Spent(usd_micros=700, input_tokens=50, requests=1)
    meter.settle(held, Spent(usd_micros=200, input_tokens=10, output_tokens=5))
    settled = Spent(usd_micros=200, input_tokens=10, output_tokens=5, requests=1)
    assert meter.spent == on_disk(tmp_path) == settled
    assert meter.left_micros == 800


def test_a_request_whose_use_nobody_knows_costs_its_worst_case(tmp_path: Path) -> None:
    meter = a_meter(tmp_path, usd_micros=1_000)
    meter.settle(meter.reserve(700, 50), None)
    assert meter.spent == on_disk(tmp_path) == Spent(usd_micros=700, input_tokens=50, requests=1)


def test_only_the_first_word_about_a_reservation_counts(tmp_path: Path) -> None:
    meter = a_meter(tmp_path)
    held = meter.reserve(700, 50)
    meter.settle(held, Spent(usd_micros=1))
    meter.settle(held, None)
    assert meter.spent == Spent(usd_micros=1, requests=1)


@pytest.mark.parametrize(
    ("budget", "reason", "says"),
    [
        ({"usd_micros": 10_000}, StopReason.USD, "$0.0060 of $0.0100 is spent"),
        ({"tokens": 100}, StopReason.TOKENS, "60 of 100 are used"),
        ({"requests": 1}, StopReason.REQUESTS, "All 1 requests"),
    ],
)
def test_a_step_that_could_pass_a_limit_is_refused_and_changes_nothing(
    tmp_path: Path, budget: dict[str, int], reason: StopReason, says: str
) -> None:
    meter = a_meter(tmp_path, **budget)
    meter.reserve(6_000, 60)
    before = meter.spent
    with pytest.raises(BudgetExhausted, match=r"\w") as refused:
        meter.reserve(6_000, 60)
    assert refused.value.reason is reason
    assert says in refused.value.message
    assert meter.spent == on_disk(tmp_path) == before


def test_tools_are_counted_to_their_limit_and_not_beyond(tmp_path: Path) -> None:
    meter = a_meter(tmp_path, tool_calls=2)
    meter.tool_call()
    meter.tool_call()
    with pytest.raises(BudgetExhausted) as refused:
        meter.tool_call()
    assert refused.value.reason is StopReason.TOOL_CALLS
    assert on_disk(tmp_path) == Spent(tool_calls=2)


def test_what_a_killed_process_had_open_stays_spent(tmp_path: Path) -> None:
    a_meter(tmp_path, usd_micros=1_000).reserve(700, 50)
    again = a_meter(tmp_path, usd_micros=1_000)
    assert again.spent == Spent(usd_micros=700, input_tokens=50, requests=1)
    with pytest.raises(BudgetExhausted):
        again.reserve(301, 1)


def test_a_request_dearer_than_its_worst_case_is_counted_in_full(tmp_path: Path) -> None:
    meter = a_meter(tmp_path, usd_micros=1_000)
    meter.settle(meter.reserve(600, 1), Spent(usd_micros=1_500))
    assert (meter.spent.usd_micros, meter.left_micros) == (1_500, 0)
    with pytest.raises(BudgetExhausted):
        meter.reserve(0, 0)


def test_nothing_is_reserved_that_cannot_be_written_down(tmp_path: Path) -> None:
    meter = Meter(Budget(), str(tmp_path / "gone" / "spent.json"))
    with pytest.raises(StateUnusable):
        meter.reserve(1, 1)
    assert meter.spent == Spent()


def test_threads_that_race_never_reserve_more_than_there_is(tmp_path: Path) -> None:
    meter = a_meter(tmp_path, usd_micros=1_000, requests=1_000)
    start, held = Barrier(8), list[Reservation]()

    def race() -> None:
        start.wait(10)
        for _ in range(50):
            try:
                held.append(meter.reserve(7, 1))
            except BudgetExhausted:
                return

    threads = [Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(held) == 1_000 // 7
    assert on_disk(tmp_path).usd_micros == 7 * len(held)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 600), st.integers(0, 60)),
        st.tuples(st.just("settle"), st.integers(0, 5), st.integers(0, 100)),
        st.tuples(st.just("unknown"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("crash"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(steps=_STEPS)
def test_whatever_happens_in_whatever_order_the_budget_holds(
    steps: list[tuple[str, int, int]],
) -> None:
    """A settled request uses a part (percent) of what was reserved for it."""
    budget = Budget(usd_micros=1_000, tokens=100, requests=9)
    with tempfile.TemporaryDirectory() as folder:
        meter, held = Meter(budget, f"{folder}/spent.json"), list[Reservation]()
        really = 0  # what a provider would ask for: settled parts, and all that is still open
        for step, first, second in steps:
            match step:
                case "reserve":
                    try:
                        held.append(meter.reserve(first, second))
                    except BudgetExhausted:
                        continue
                    really += first
                case "settle" | "unknown" if held:
                    one = held.pop(first % len(held))
                    part = 100 if step == "unknown" else second
                    used = Spent(
                        usd_micros=one.worst.usd_micros * part // 100,
                        input_tokens=one.worst.input_tokens * part // 100,
                    )
                    meter.settle(one, None if step == "unknown" else used)
                    really += used.usd_micros - one.worst.usd_micros
                case "crash":
                    meter, held = Meter(budget, f"{folder}/spent.json"), []
                case _:
                    continue
            spent = meter.spent
            assert really <= spent.usd_micros <= budget.usd_micros
            assert spent.input_tokens + spent.output_tokens <= budget.tokens
            assert spent.requests <= budget.requests
            assert Meter(budget, f"{folder}/spent.json").spent == spent
