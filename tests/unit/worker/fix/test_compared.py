"""A run on a changed tree, held against the base id by id."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.worker.fix.compared import contradicted, regressed, target_of
from tests.unit.worker.fix.told import failing, measured, report, trial

NONE = report("")


def test_each_failing_test_is_mended_still_failing_or_missing() -> None:
    found = target_of(failing("a", "b", "c"), NONE, trial("a. bF d."))
    assert (found.mended, found.still_failing, found.missing) == (("a",), ("b",), ("c",))
    assert (found.passed, found.sentence) == (2, "1 of 3 failing tests pass")


def test_a_skipped_test_is_not_mended_and_said_to_be_skipped() -> None:
    found = target_of(failing("a", "b"), NONE, trial("a. bs"))
    assert (found.mended, found.still_failing) == (("a",), ("b",))
    assert found.sentence == "1 of 2 failing tests pass, 1 skipped now"


@pytest.mark.parametrize("now", [None, ""])
def test_without_a_report_every_test_is_missing_whatever_the_exit_code(now: str | None) -> None:
    assert target_of(failing("a", "b"), NONE, trial(now, exit_code=0)).missing == ("a", "b")


def test_a_test_that_started_and_never_ended_still_fails() -> None:
    found = target_of(failing("a"), NONE, trial("b.", unfinished=("a",), complete=False))
    assert found.still_failing == ("a",)


@pytest.mark.parametrize(
    ("now", "mended"),
    [
        ("t.py::x. t.py::y.", True),
        ("t.py::x. t.py::ys", True),
        ("t.py::x. t.py::yF", False),
        ("t.py::xs", False),
        ("t.pyC", False),
        ("u.py::x.", False),
    ],
)
def test_a_file_that_did_not_load_is_mended_when_its_tests_pass(now: str, *, mended: bool) -> None:
    found = target_of(failing("t.py"), report("t.pyC"), trial(now))
    assert found.mended == (("t.py",) if mended else ())


def test_a_file_that_loads_in_a_run_that_was_cut_is_not_mended() -> None:
    cut = trial("t.py::x.", complete=False)
    assert target_of(failing("t.py"), report("t.pyC"), cut).missing == ("t.py",)


def test_a_report_without_a_failure_of_a_command_that_failed_is_not_believed() -> None:
    before = measured("aF b.", exit_code=1)
    said = contradicted(before, trial("a. b.", exit_code=1))
    assert said.startswith("it ended with exit code 1, but its report tells of no failure")
    assert contradicted(before, trial("a. bF", exit_code=1)) == ""
    assert contradicted(before, trial("a. b.", exit_code=0)) == ""


def test_a_command_that_fails_for_other_reasons_on_the_base_too_is_known() -> None:
    assert contradicted(measured("a. b.", exit_code=1), trial("a. b.", exit_code=1)) == ""


def test_without_a_failure_only_what_passes_is_told() -> None:
    assert target_of(failing(), NONE, trial("a. b.")).sentence == (
        "2 tests pass, none failed on the base"
    )


def test_what_passed_and_fails_is_skipped_or_gone_has_regressed() -> None:
    before = measured("a. b. c. d. eF fs")
    assert regressed(before, trial("a. bF cs eF fF")) == ("b", "c", "d")


def test_a_run_without_a_report_has_lost_all_that_passed() -> None:
    assert regressed(measured("a. bF"), trial(None)) == ("a",)


def test_what_was_judged_already_is_not_judged_twice() -> None:
    assert regressed(measured("a. b."), trial(""), known=("a",)) == ("b",)
