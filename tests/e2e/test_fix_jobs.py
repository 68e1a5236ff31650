"""Fix jobs on this machine, from the order to the report: what is offered, and what is not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from mcp_cloud_agents.domain.fix import Budget
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import VerdictOutcome
from tests.e2e.fix_jobs import CALC, FAILING, FIX, SUITE, TARGET, Bench, fill
from tests.e2e.wire import a_repository

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
BREAKS_HALF = f"{FIX}; sed -i 's/number \\/ 2/number/' calc.py"
EXITS = f"{FIX}; printf 'import os\\nos._exit(0)\\n' >> calc.py"
FORGES = f"""{FIX}; cat >> calc.py <<'X'
import unittest
unittest.TestCase.assertEqual = lambda *args: None
X"""
REWRITES = f"""{FIX}; cat >> calc.py <<'X'
open("test_half.py", "w").write("import unittest")
X"""
SKIPS = f"""{FIX}; cat >> calc.py <<'X'
def half(number):
    raise __import__("unittest").SkipTest
X"""


@pytest.fixture
def bench(open_path: Path) -> Bench:
    repository = a_repository(open_path)
    fill(repository)
    return Bench(repository)


async def test_a_right_fix_by_a_command_is_verified_and_offered(bench: Bench) -> None:
    done = await bench.run(bench.spec(FIX))
    told, evidence = done.told, done.evidence
    assert done.status.state is JobState.SUCCEEDED
    assert (told["outcome"], told["chosen"]) == ("patch", 1)
    assert told["reproduction"]["failing"] == list(FAILING)
    assert (evidence["label"], evidence["rejected"], evidence["why"]) == ("verified", False, [])
    assert evidence["mended"] == list(FAILING)
    assert evidence["ran"] == [
        f"target `{TARGET}` in a fresh sandbox: 2 of 2 failing tests pass",
        "other tests of the target: 1 of 1 that passed before pass",
        f"suite `{SUITE}` in a fresh sandbox: 2 of 2 that passed before pass",
    ]
    assert told["summary"] == "A verified patch (1 file, +1 -1): 2 tests that failed pass."
    assert done.result is not None
    assert done.result.verdict is not None
    assert done.result.verdict.outcome is VerdictOutcome.PASSED


async def test_the_offered_patch_is_the_artifact_and_applies(bench: Bench) -> None:
    done = await bench.run(bench.spec(FIX))
    assert done.result is not None
    assert done.result.patch is not None
    diff = await done.artifact("patch.diff")
    assert hashlib.sha256(diff.encode()).hexdigest() == done.result.patch.sha256
    assert diff == await done.artifact("candidate-1.diff")
    folder = bench.repository.path
    await anyio.run_process(["git", "apply"], cwd=folder, input=diff.encode())
    assert (folder / "calc.py").read_text() == CALC.replace("number + 3", "number * 2")
    assert [artifact.name for artifact in done.result.artifacts] == [
        *("patch.diff", "report.md", "evidence.json", "junit.xml"),
        *("candidate-1.diff", "transcript-1.jsonl"),
    ]


async def test_the_log_tells_a_person_each_step(bench: Bench) -> None:
    done = await bench.run(bench.spec(FIX))
    ours = [line[15:] for line in done.log.splitlines() if line.startswith("[cloud-agents] ")]
    assert ours == [
        f"reproducing: 2 tests fail ({', '.join(FAILING)}), 1 pass",
        "candidate 1 (command): begins",
        "candidate 1 (command): 1 file changed",
        f"verifying candidate 1: {'; '.join(done.evidence['ran'])}",
        "candidate 1 is verified",
        f"succeeded: {done.told['summary']}",
    ]


async def test_a_wrong_fix_is_rejected_with_what_still_fails(bench: Bench) -> None:
    done = await bench.run(bench.spec("sed -i 's/number + 3/number + 2/' calc.py"))
    assert (done.told["outcome"], done.told["chosen"]) == ("no_patch", None)
    assert done.status.state is JobState.SUCCEEDED
    assert done.evidence["rejected"]
    assert done.evidence["still_failing"] == [FAILING[0]]
    assert done.evidence["mended"] == [FAILING[1]]
    assert done.result is not None
    assert done.result.patch is None
    assert "+    return number + 2" in await done.artifact("candidate-1.diff")


async def test_a_fix_that_breaks_another_test_is_rejected(bench: Bench) -> None:
    done = await bench.run(bench.spec(BREAKS_HALF))
    assert done.told["outcome"] == "no_patch"
    assert done.evidence["regressions"] == ["test_half.TestHalf.test_four"]
    assert done.evidence["mended"] == list(FAILING)


async def test_a_test_that_passed_and_is_skipped_now_is_a_regression(bench: Bench) -> None:
    done = await bench.run(bench.spec(SKIPS))
    assert done.told["outcome"] == "no_patch"
    assert done.evidence["regressions"] == ["test_half.TestHalf.test_four"]
    assert "skipped now" in " ".join(done.evidence["ran"])


async def test_deleted_tests_are_put_back_and_alone_are_no_fix(bench: Bench) -> None:
    done = await bench.run(bench.spec("rm test_double.py"))
    assert done.told["outcome"] == "no_patch"
    assert done.evidence["protected"] == ["test_double.py"]
    assert done.evidence["rejected"]


async def test_a_right_fix_that_also_edits_tests_is_likely_at_most(bench: Bench) -> None:
    done = await bench.run(bench.spec(f"{FIX}; sed -i 's/4/5/' test_double.py"))
    assert done.evidence["label"] == "likely"
    assert done.evidence["protected"] == ["test_double.py"]
    assert done.result is not None
    assert done.result.patch is not None
    assert done.result.patch.paths == ("calc.py",)


async def test_a_person_can_let_tests_be_changed(bench: Bench) -> None:
    edit = "sed -i 's/, 4)/, 5)/; s/, 10)/, 8)/' test_double.py"
    done = await bench.run(bench.spec(edit, allow_protected=("test_*.py",)))
    assert done.told["outcome"] == "patch"
    assert done.evidence["mended"] == list(FAILING)
    assert done.evidence["protected"] == []


async def test_an_early_exit_is_no_pass(bench: Bench) -> None:
    done = await bench.run(bench.spec(EXITS))
    assert done.told["outcome"] == "no_patch"
    assert done.evidence["missing"] == list(FAILING)
    assert done.evidence["rejected"]


@pytest.mark.parametrize(("edit", "rule"), [(FORGES, "runner"), (REWRITES, "rewrites_protected")])
async def test_code_that_steers_its_judge_is_likely_at_most(
    bench: Bench, edit: str, rule: str
) -> None:
    done = await bench.run(bench.spec(edit))
    assert done.evidence["label"] != "verified"
    assert any(found["rule"].startswith(rule) for found in done.evidence["findings"])


async def test_without_a_failure_a_command_s_change_is_likely_at_most(bench: Bench) -> None:
    done = await bench.run(
        bench.spec("echo '# a comment' >> calc.py", command="python3 -m unittest test_half")
    )
    assert done.told["reproduction"]["failing"] == []
    assert (done.told["outcome"], done.evidence["label"]) == ("patch", "likely")
    assert done.evidence["why"] == ["No failure was reproduced on the base."]


async def test_a_target_that_does_not_start_cannot_be_judged_by(bench: Bench) -> None:
    spec = replace(bench.spec(FIX), command="python3 -m unittest -x", runner="unittest")
    done = await bench.run(spec)
    assert (done.status.state, done.told["outcome"]) == (JobState.SUCCEEDED, "cannot_judge")
    assert done.told["summary"].startswith("The target tells nothing: ")
    assert done.told["candidates"] == []


async def test_a_command_that_changes_nothing_offers_nothing(bench: Bench) -> None:
    done = await bench.run(bench.spec("true"))
    assert (done.told["outcome"], done.candidate["sha256"]) == ("no_patch", "")
    assert done.told["choice"] == [
        "Candidate 1 changed nothing.",
        "No candidate is left that could be offered.",
    ]


async def test_an_edit_command_that_fails_is_told_and_its_change_is_judged(bench: Bench) -> None:
    done = await bench.run(bench.spec(f"{FIX}; echo no luck; exit 3"))
    assert done.candidate["stopped"] == "command_failed"
    assert done.candidate["message"] == "The command ended with exit code 3: no luck"
    assert done.evidence["label"] == "verified"


async def test_an_edit_command_that_hangs_is_ended_at_its_limit(bench: Bench) -> None:
    spec = bench.spec(f"{FIX}; echo begun; sleep 600", budget=Budget(command_s=2, usd_micros=0))
    done = await bench.run(spec)
    assert done.candidate["stopped"] == "wall_clock"
    assert done.candidate["message"] == "The command was ended after its limit of 2 s."
    assert done.evidence["label"] == "verified"


@pytest.mark.slow
async def test_a_candidate_is_ended_at_its_wall_clock_and_what_it_did_is_judged(
    bench: Bench,
) -> None:
    spec = bench.spec(f"{FIX}; sleep 600", budget=Budget(wall_s=3, usd_micros=0))
    done = await bench.run(spec)
    assert done.candidate["stopped"] == "wall_clock"
    assert done.evidence["label"] == "verified"


async def test_a_daemon_of_the_edit_command_changes_nothing_later(bench: Bench) -> None:
    daemon = "setsid sh -c 'while :; do echo bad >> calc.py; done' >/dev/null 2>&1 &"
    done = await bench.run(bench.spec(f"{FIX}; {daemon}"))
    diff = await done.artifact("candidate-1.diff")
    assert hashlib.sha256(diff.encode()).hexdigest() == done.candidate["sha256"]
    assert done.candidate["stopped"] == "submitted"


async def test_of_three_candidates_the_first_verified_ends_the_others(bench: Bench) -> None:
    edit = f"test $CLOUD_AGENTS_CANDIDATE = 2 || exec sleep 600; {FIX}"
    done = await bench.run(bench.spec(edit, attempts=3))
    told = [(one["number"], one["stopped"]) for one in done.told["candidates"]]
    assert told == [(1, "outrun"), (2, "submitted"), (3, "outrun")]
    assert done.told["chosen"] == 2


async def test_what_candidates_that_were_outrun_did_is_kept(bench: Bench) -> None:
    edit = f"test $CLOUD_AGENTS_CANDIDATE = 2 || {{ echo '# mine' >> calc.py; sleep 600; }}; {FIX}"
    done = await bench.run(bench.spec(edit, attempts=2))
    assert [one["stopped"] for one in done.told["candidates"]] == ["outrun", "submitted"]
    assert "+# mine" in await done.artifact("candidate-1.diff")
    assert done.told["candidates"][0]["evidence"] is None


async def test_of_several_wrong_ones_none_is_offered(bench: Bench) -> None:
    edit = 'sed -i "s/number + 3/number + 1$CLOUD_AGENTS_CANDIDATE/" calc.py'
    done = await bench.run(bench.spec(edit, attempts=2))
    assert [one["evidence"]["rejected"] for one in done.told["candidates"]] == [True, True]
    assert (done.told["outcome"], done.told["chosen"]) == ("no_patch", None)


async def test_what_an_engine_leaves_beside_its_patch_makes_no_test_pass(bench: Bench) -> None:
    bench.repository.write(".gitignore", "*.pyc\nhidden/\n")
    bench.repository.write(
        "calc.py",
        f"{CALC}\ntry:\n    from hidden.it import double\nexcept ImportError:\n    pass\n",
    )
    edit = "mkdir hidden; echo 'double = lambda n: 2 * n' > hidden/it.py; echo '# x' >> calc.py"
    done = await bench.run(bench.spec(edit))
    assert done.evidence["still_failing"] == list(FAILING)


async def test_a_file_that_could_not_be_imported_counts_as_mended(bench: Bench) -> None:
    bench.repository.write("calc.py", CALC.replace("def double", "def doble"))
    done = await bench.run(bench.spec("sed -i 's/doble/double/; s/number + 3/number * 2/' calc.py"))
    assert done.evidence["label"] == "verified", done.log


async def test_a_plain_command_is_told_by_its_exit_code_and_never_verified(bench: Bench) -> None:
    bench.repository.write("check.sh", "python3 -c 'import calc; assert calc.double(2) == 4'\n")
    done = await bench.run(bench.spec(FIX, command="sh check.sh"))
    assert done.spec.runner is None
    assert done.evidence["label"] == "unverified"
    assert done.evidence["ran"] == [
        "command `sh check.sh` in a fresh sandbox: exit code 0 (on the base: 1)"
    ]


async def test_a_plain_command_that_still_fails_rejects_the_change(bench: Bench) -> None:
    bench.repository.write("check.sh", "python3 -c 'import calc; assert calc.double(2) == 4'\n")
    done = await bench.run(bench.spec("echo '# x' >> calc.py", command="sh check.sh"))
    assert done.told["outcome"] == "no_patch"
    assert done.evidence["why"][0] == "`sh check.sh` ends with exit code 1."
