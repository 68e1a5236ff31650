"""Answers that carry what others wrote stay within 8,000 characters, however nasty it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import AgentsError, InvalidArgument, RefusedFiles
from mcp_cloud_agents.domain.job import JobId
from mcp_cloud_agents.ports.records import Record
from mcp_cloud_agents.server.answers import Answer
from mcp_cloud_agents.server.calls import problem_of, refusal_of
from mcp_cloud_agents.server.room import cut, cut_front, json_chars, within
from mcp_cloud_agents.storage.job_folder import JobFolder
from mcp_cloud_agents.storage.sqlite_records import SqliteRecords
from mcp_cloud_agents.storage.state_folder import StateFolder
from tests.e2e.wire import Repository
from tests.server.conftest import House
from tests.server.envelope import checked, output_schemas
from tests.server.random_jobs import NASTY, repeated

SCHEMA = Answer.model_json_schema()
LONG: st.SearchStrategy[str] = st.builds(repeated, NASTY, st.sampled_from([1, 10, 1_000]))


@settings(deadline=None, database=None)
@given(text=LONG, chars=st.integers(1, 300))
def test_a_cut_text_takes_no_more_room_than_it_was_given(text: str, chars: int) -> None:
    for kept in (cut(text, chars), cut_front(text, chars)):
        assert json_chars(kept) <= chars
        assert "\0" not in kept


@pytest.mark.parametrize("text", ["", "short", "a" * 100, '"' * 50, "é" * 100])
def test_a_text_that_fits_is_not_cut(text: str) -> None:
    assert (cut(text, 100), cut_front(text, 100)) == (text, text)


def test_a_cut_shows_and_keeps_the_side_that_was_asked_for() -> None:
    text = "begin" + "-" * 100 + "end"
    assert cut(text, 10) == "begin----…"
    assert cut_front(text, 10) == "…------end"
    assert within(["a" * 4, "b" * 4, "c"], 14) == ["aaaa", "bbbb"]


@settings(deadline=None, database=None)
@given(message=LONG, hint=LONG, paths=st.lists(st.tuples(LONG, LONG), max_size=60))
def test_no_refusal_is_longer_than_an_answer_may_be(
    message: str, hint: str, paths: list[tuple[str, str]]
) -> None:
    errors: tuple[AgentsError, ...] = (
        InvalidArgument(f"No: {message}", hint=f"Do: {hint}"),
        RefusedFiles(f"No: {message}", hint=f"Do: {hint}", paths=tuple(paths)),
    )
    for error in errors:
        checked(refusal_of(problem_of(error)), SCHEMA)


def test_refused_files_that_are_not_named_are_counted() -> None:
    error = RefusedFiles("No.", hint="Do.", paths=tuple((f"f{n}", "secret") for n in range(50)))
    paths = problem_of(error).paths
    assert paths is not None
    assert (paths[0], len(paths), paths[-1]) == ("f0: secret", 21, "and 30 more")


@pytest.mark.anyio
async def test_twenty_jobs_with_long_nasty_commands_fit_into_one_list(
    house: House, ran: dict[str, Any], open_path: Path
) -> None:
    env = {**house.repository.env, "MCP_CLOUD_AGENTS_STATE_DIR": str(open_path / "state")}
    other = House(Repository(path=house.repository.path, env=env))
    state = StateFolder(env["MCP_CLOUD_AGENTS_STATE_DIR"])
    state.open(shared=False)
    folder = Path(house.repository.env["MCP_CLOUD_AGENTS_STATE_DIR"], "jobs", ran["job_id"])
    spec = JobFolder(str(folder)).spec()
    origin = replace(spec.snapshot.origin, workspace="/" + '"\\' * 2_000)
    for number in range(25):
        job = replace(
            spec,
            id=JobId(f"j{number:023}"),
            command='"\\\n' * 2_000,
            snapshot=replace(spec.snapshot, origin=origin),
        )
        SqliteRecords(state.records, lambda: ()).claim(Record(spec=job, backend="local"))
    async with other.client("auto") as client:
        schemas = await output_schemas(client)
        asked = {"limit": 99, "all_workspaces": True}
        answer = checked(await client.call_tool("list_jobs", asked), schemas["list_jobs"])
    assert [line["state"] for line in answer["jobs"]] == ["unknown_job"] * 20


@pytest.mark.anyio
async def test_matches_among_long_nasty_lines_fit_into_one_answer(house: House) -> None:
    line = (
        r"""x=$(printf '%0500d' 0 | sed 's/0/"\\/g'); for n in $(seq 40); do echo "$n $x"; done"""
    )
    job = (await house.submit("run_in_sandbox", {"command": line}))["job_id"]
    async with house.client("auto") as client:
        schemas = await output_schemas(client)
        offset, found = 0, list[int]()
        while offset is not None:
            asked = {"job_id": job, "search": '"\\', "context_lines": 10, "offset": offset}
            answer = checked(await client.call_tool("read_log", asked), schemas["read_log"])
            found += [match["line"] for match in answer["matches"]]
            offset = answer.get("cursor")
        assert len(found) == len(set(found)) >= 40
        asked = {"job_id": job, "tail_lines": 10_000}
        checked(await client.call_tool("read_log", asked), schemas["read_log"])
