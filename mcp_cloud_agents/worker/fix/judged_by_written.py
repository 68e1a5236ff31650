"""Tests that a model wrote: where they stand, how they end on a tree, what that says of a change.

They may be wrong, so they reject nothing. One whose assertion does not hold on a candidate, or that
only the unchanged tree passes, keeps it from `verified`; one that breaks by itself on both trees is
dropped; and the arbiter counts those that pass.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.fix import WrittenTests
from mcp_cloud_agents.domain.protected import protected
from mcp_cloud_agents.domain.result import FailureKind, Outcome
from mcp_cloud_agents.runners.selection import narrowed
from mcp_cloud_agents.worker.fix.checkout import checkout
from mcp_cloud_agents.worker.fix.lab import allowed_s
from mcp_cloud_agents.worker.fix.trials import BAD, run_tests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mcp_cloud_agents.domain.result import TestCase
    from mcp_cloud_agents.worker.fix.checkout import Change
    from mcp_cloud_agents.worker.fix.lab import Lab
    from mcp_cloud_agents.worker.fix.reproduce import Measured, Written

_NAMES = {
    ".py": "test_{mark}.py",
    ".go": "{mark}_test.go",
    **{end: f"{{mark}}.test{end}" for end in (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx")},
}
_MOST_SOURCES = 10
_MOST_TOLD = 100


def place_of(tests: Iterable[str], mark: str) -> str | None:
    """Where a written file stands: beside a failing test, under a name that its runner collects.

    Args:
        tests: paths of the failing tests.
        mark: makes the name one that nothing else has.
    """
    for path in tests:
        folder, name = posixpath.split(path)
        end = posixpath.splitext(name)[1]
        if end in _NAMES:
            return posixpath.join(folder, _NAMES[end].format(mark=mark))
    return None


def sources_for(tests: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """Files of the tree that the failing tests may be about: those whose names they mention."""
    said = "\n".join(tests.values())
    ends = {posixpath.splitext(path)[1] for path in tests}
    mentioned = (
        path
        for path in sorted(names)
        if posixpath.splitext(path)[1] in ends
        and path not in tests
        and protected(path) is None
        and posixpath.splitext(posixpath.basename(path))[0] in said
    )
    return tuple(mentioned)[:_MOST_SOURCES]


def run_written(
    lab: Lab, target: Measured, path: str, content: str, change: Change | None = None
) -> dict[str, Outcome]:
    """How the tests of a written file end on a fresh checkout; none where they do not run.

    Returns:
        By id; FAILED is an assertion that does not hold, ERROR any other end but a pass.

    Raises:
        Stopped: the job was cancelled, or its time is up.
        IsolationUnavailable, NoSpace, BackendFailed: nothing could be run.
    """
    spec = lab.spec
    if spec.runner is None:
        return {}
    with checkout(lab, lab.next_folder("written"), change) as tree:
        tree.add(path, content.encode())
        prefix = f"{spec.folder}/" if spec.folder else ""
        try:
            names = tree.names_in(spec.folder) | {path.removeprefix(prefix)}
            command = narrowed(spec.runner, spec.command, [path.removeprefix(prefix)], names)
        except InvalidArgument:
            command = spec.command
        limit = allowed_s(target.duration_s)
        trial = run_tests(lab, tree.workspace, command, spec.runner, timeout_s=limit)
    cases = trial.report.cases if trial.report is not None else ()
    return {case.id: _how(case) for case in cases if case.id not in target.outcomes}


def _how(case: TestCase) -> Outcome:
    if case.outcome not in BAD:
        return case.outcome
    return Outcome.FAILED if case.kind is FailureKind.ASSERT else Outcome.ERROR


def compared(written: Written, now: Mapping[str, Outcome]) -> WrittenTests:
    """What written tests say of a change. Pure.

    Args:
        written: with the outcomes on the unchanged tree.
        now: outcomes on the changed one.
    """
    before = written.outcomes
    told = list(dict.fromkeys((*before, *now)))
    passed = [test for test in told if now.get(test) is Outcome.PASSED]
    failed = [
        test
        for test in told
        if now.get(test) is Outcome.FAILED
        or (before.get(test) is Outcome.PASSED and now.get(test) is not Outcome.PASSED)
    ]
    return WrittenTests(
        passed=len(passed),
        failed=tuple(failed[:_MOST_TOLD]),
        dropped=len(told) - len(passed) - len(failed),
    )
