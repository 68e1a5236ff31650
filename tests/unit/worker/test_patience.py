"""A store that is out of reach: the time decides how often it is asked, not a number."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mcp_cloud_agents.domain.errors import StoreDenied, StoreUnavailable
from mcp_cloud_agents.worker.aws.patience import patiently


@dataclass
class Away:
    """Answers after some refusals."""

    refusals: int
    asked: int = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self.refusals:
            raise StoreUnavailable("away", hint="wait")
        return "here"


def test_a_store_that_comes_back_in_time_was_worth_the_wait() -> None:
    store = Away(refusals=2)
    assert patiently(store, within_s=60) == "here"
    assert store.asked == 3


def test_without_time_left_the_first_refusal_is_the_answer() -> None:
    store = Away(refusals=2)
    with pytest.raises(StoreUnavailable, match="away"):
        patiently(store, within_s=0)
    assert store.asked == 1


def test_a_refusal_that_does_not_pass_is_told_at_once() -> None:
    def denied() -> None:
        raise StoreDenied("no", hint="ask")

    with pytest.raises(StoreDenied, match="no"):
        patiently(denied, within_s=60)
