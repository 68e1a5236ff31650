"""Two runs of the same tests on the same tree: what they tell together."""

from __future__ import annotations

from mcp_cloud_agents.domain.fix import Reproduction
from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.worker.fix.lab import allowed_s
from mcp_cloud_agents.worker.fix.reproduce import compared
from tests.unit.worker.fix.told import measured, trial


def test_what_fails_in_both_runs_is_failing_and_in_one_flaky() -> None:
    found = compared(trial("a. bF cF d. eE"), trial("a. bF c. dF eE"))
    assert found == Reproduction(failing=("b", "e"), flaky=("c", "d"), passed=1, runs=2)


def test_all_flaky_is_told_as_nothing_failing() -> None:
    found = compared(trial("aF b."), trial("a. bF"))
    assert (found.failing, found.flaky, found.passed) == ((), ("a", "b"), 0)


def test_a_test_that_never_ended_counts_as_failing() -> None:
    hung = trial("a.", unfinished=("b",), complete=False, stopped=CauseKind.TIMEOUT)
    assert compared(hung, hung).failing == ("b",)


def test_a_test_that_is_in_one_run_only_is_flaky_when_it_failed_there() -> None:
    assert compared(trial("a. bF"), trial("a.")).flaky == ("b",)


def test_a_second_run_without_a_report_is_the_problem() -> None:
    found = compared(trial("aF"), trial("", exit_code=3))
    assert found == Reproduction(problem="no test ran (exit code 3)", runs=2)


def test_a_run_that_was_ended_says_by_what() -> None:
    found = compared(trial("aF"), trial(None, exit_code=None, stopped=CauseKind.OOM))
    assert found.problem == "it was ended for the memory it used"


def test_skipped_tests_have_not_passed_on_the_base() -> None:
    assert measured("a. bs cF").passed == {"a"}


def test_at_most_a_thousand_ids_are_told() -> None:
    many = " ".join(f"t{number}F" for number in range(1_200))
    assert len(compared(trial(many), trial(many)).failing) == 1_000


def test_a_time_limit_is_five_times_the_base_and_never_under_ten_seconds() -> None:
    assert [allowed_s(seconds) for seconds in (0.0, 1.9, 2.0, 60.0)] == [10.0, 10.0, 10.0, 300.0]
