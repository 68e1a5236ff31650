from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from mcp_cloud_agents.domain.errors import JobCorrupt, UnknownJob
from mcp_cloud_agents.domain.job import JobSpec, JobState
from mcp_cloud_agents.domain.result import JobResult
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Network
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.backend import Bytes
from mcp_cloud_agents.storage.job_objects import Chunk, JobObjects, StoredState, job_ids

if TYPE_CHECKING:
    from mcp_cloud_agents.ports.store import Store

SpecFactory = Callable[..., JobSpec]
STATUS = JobStatus(
    state=JobState.RUNNING, history=((JobState.QUEUED, 1.0), (JobState.RUNNING, 2.0))
)


@pytest.fixture
def job(store: Store, a_spec: SpecFactory) -> JobObjects:
    objects = JobObjects(store, a_spec().id)
    assert objects.write_spec(a_spec())
    return objects


@pytest.fixture
def result(a_spec: SpecFactory) -> JobResult:
    spec = a_spec()
    record = IsolationRecord(level=IsolationLevel.FULL, driver="none", run_network=Network.NONE)
    return JobResult(
        job_id=spec.id,
        spec_digest=spec.digest,
        state=JobState.SUCCEEDED,
        exit_code=0,
        isolation=record,
    )


def again(store: Store, job: JobObjects) -> JobObjects:
    """As another machine sees it."""
    return JobObjects(store, job.id)


def test_what_was_asked_for_is_read_back_whole(
    store: Store, job: JobObjects, a_spec: SpecFactory
) -> None:
    assert again(store, job).spec() == a_spec()


def test_another_specification_does_not_replace_the_first(
    store: Store, job: JobObjects, a_spec: SpecFactory
) -> None:
    assert job.write_spec(a_spec())
    assert not job.write_spec(a_spec(command="other"))
    assert again(store, job).spec().command == a_spec().command


def test_the_state_is_the_last_one_written(store: Store, job: JobObjects) -> None:
    assert job.state() is None
    for attempt in (1, 2):
        state = StoredState(status=STATUS, attempt=attempt, heartbeat_at=float(attempt))
        job.write_state(state)
        assert again(store, job).state() == state


def test_a_job_completes_once(store: Store, job: JobObjects, result: JobResult) -> None:
    assert again(store, job).result() is None
    assert job.write_result(result)
    late = replace(result, state=JobState.FAILED, exit_code=1)
    assert not job.write_result(late)
    assert job.write_result(result)  # an answer was lost, and the write repeated
    assert again(store, job).result() == result


def test_of_many_attempts_at_the_same_time_one_has_the_last_word(
    store: Store, job: JobObjects, result: JobResult
) -> None:
    words = [replace(result, exit_code=number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        had = list(pool.map(JobObjects.write_result, [again(store, job) for _ in words], words))
    assert had.count(True) == 1
    assert job.result() == words[had.index(True)]


def test_a_cancel_is_asked_once_and_for_all(store: Store, job: JobObjects) -> None:
    assert not job.cancel_asked()
    job.ask_to_cancel()
    job.ask_to_cancel()
    assert again(store, job).cancel_asked()


def test_a_job_is_given_to_one_for_good(store: Store, job: JobObjects) -> None:
    assert job.owner() == ""
    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(again(store, job).take, (f"b-{number}" for number in range(16))))
    assert told == {again(store, job).owner()}
    assert told < {f"b-{number}" for number in range(16)}
    assert job.take("late") == job.owner()


@pytest.mark.parametrize("name", ["spec.json", "state.json", "result.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"status": 3}', b"\xff\0", b"null", b'{"version": "x"}']
)
def test_damaged_documents_are_told_with_where_they_are(
    store: Store, job: JobObjects, name: str, content: bytes
) -> None:
    store.put(job.key(name), content)
    with pytest.raises(JobCorrupt) as caught:
        read(again(store, job), name)
    assert name in caught.value.message
    assert f"{store.name}/jobs/{job.id}/" in caught.value.hint


@pytest.mark.parametrize("name", ["spec.json", "state.json", "result.json"])
def test_documents_of_a_newer_version_say_upgrade(store: Store, job: JobObjects, name: str) -> None:
    store.put(job.key(name), b'{"version": 99, "of": "the future"}')
    with pytest.raises(JobCorrupt) as caught:
        read(again(store, job), name)
    assert "newer version" in caught.value.message
    assert "Upgrade" in caught.value.hint


def read(job: JobObjects, name: str) -> object:
    return {"spec.json": job.spec, "state.json": job.state, "result.json": job.result}[name]()


@pytest.mark.parametrize(
    "change",
    [{"spec_digest": "f" * 64}, {"job_id": "jother"}, {"state": JobState.RUNNING}],
    ids=["digest", "job", "state"],
)
def test_a_result_that_does_not_fit_is_refused(
    store: Store, job: JobObjects, result: JobResult, change: dict[str, str]
) -> None:
    store.put(job.key("result.json"), msgspec.json.encode(replace(result, **change)))
    with pytest.raises(JobCorrupt) as caught:
        again(store, job).result()
    assert "result.json" in caught.value.message


def test_a_specification_of_another_job_is_refused(
    store: Store, job: JobObjects, a_spec: SpecFactory
) -> None:
    store.put(job.key("spec.json"), msgspec.json.encode(a_spec(id="jother")))
    with pytest.raises(JobCorrupt):
        again(store, job).spec()


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "../x", "a\0", "ü", "a" * 65, "-x"])
def test_what_is_no_id_is_an_unknown_job(store: Store, job_id: str) -> None:
    with pytest.raises(UnknownJob):
        JobObjects(store, job_id)


def test_a_job_without_a_specification_is_unknown(store: Store) -> None:
    with pytest.raises(UnknownJob):
        JobObjects(store, "jnone").spec()


def test_jobs_are_found_from_the_store_alone(store: Store, a_spec: SpecFactory) -> None:
    for name in ("j2", "j1"):
        JobObjects(store, name).write_spec(a_spec(id=name))
    store.put_new("jobs/no id/spec.json", b"{}")
    assert job_ids(store) == ("j1", "j2")


def test_the_log_is_read_by_offset_while_it_grows(store: Store, job: JobObjects) -> None:
    reader, log = again(store, job), b""
    assert reader.log(0, 10) == Bytes(data=b"", offset=0, size=0)
    for part in (b"one\n", b"two, longer\n", b"3"):
        assert job.write_chunk(len(log), part)
        log += part
        for offset in range(len(log) + 3):
            at = min(offset, len(log))
            assert reader.log(offset, 6) == Bytes(data=log[at : at + 6], offset=at, size=len(log))
    assert again(store, job).log(0, 1 << 30).data == log


def test_the_whole_log_takes_the_place_of_its_parts(store: Store, job: JobObjects) -> None:
    job.write_chunk(0, b"one\n")
    job.write_log(b"one\ntwo\n")
    store.delete([job.key("log/000000000000")])
    assert again(store, job).log(2, 100) == Bytes(data=b"e\ntwo\n", offset=2, size=8)
    assert again(store, job).log(99, 100) == Bytes(data=b"", offset=8, size=8)


def test_parts_of_a_later_attempt_reach_past_the_whole_log_of_a_dead_one(
    store: Store, job: JobObjects
) -> None:
    job.write_chunk(0, b"first ")
    job.write_log(b"first ")
    assert again(store, job).chunks()[-1].end == 6
    job.write_chunk(6, b"second")
    assert again(store, job).log(3, 100) == Bytes(data=b"st second", offset=3, size=12)


def test_a_missing_part_ends_the_log_and_shifts_nothing(store: Store, job: JobObjects) -> None:
    for offset, part in ((0, b"aaaa"), (4, b"bbbb"), (8, b"cccc")):
        job.write_chunk(offset, part)
    store.delete([job.key("log/000000000004")])
    assert again(store, job).log(0, 100) == Bytes(data=b"aaaa", offset=0, size=4)
    known = again(store, job)
    job.write_chunk(4, b"BBBB")
    assert known.chunks() == (Chunk(0, 4), Chunk(4, 4), Chunk(8, 4))
    store.delete([job.key("log/000000000004")])  # after the reader saw it
    assert known.log(2, 100).data == b"aa"
    assert known.log(5, 100).data == b""


def test_what_is_no_part_is_passed_over(store: Store, job: JobObjects) -> None:
    job.write_chunk(0, b"aaaa")
    for name in ("log/4", "log/000000000002", "log/00000000000x", "log/000000000004.tmp"):
        store.put_new(job.key(name), b"????")
    store.put_new(job.key("log/000000000004"), b"")
    assert again(store, job).chunks() == (Chunk(0, 4),)


def test_two_attempts_at_one_offset_never_mix(store: Store, job: JobObjects) -> None:
    assert job.write_chunk(0, b"of the first\n")
    late = again(store, job)
    assert not late.write_chunk(0, b"of the second\n")
    assert late.write_chunk(late.chunks()[-1].end, b"of the second\n")
    assert job.write_chunk(13, b"")
    assert job.log(0, 100).data == b"of the first\nof the second\n"


def test_a_reader_never_sees_other_bytes_than_were_written(store: Store, job: JobObjects) -> None:
    log = b"".join(b"line %d\n" % number for number in range(400))
    done = threading.Event()

    def write() -> None:
        for at in range(0, len(log), 97):
            job.write_chunk(at, log[at : at + 97])
        job.write_log(log)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        reader, seen = again(store, job), b""
        while not (done.is_set() and len(seen) == len(log)):
            piece = reader.log(len(seen), 250)
            assert piece.offset == len(seen)
            seen += piece.data
            assert log.startswith(seen)
            if writing.done():
                writing.result()


def test_artifacts_are_kept_once_and_read_in_pieces(
    store: Store, job: JobObjects, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert job.put_artifact("patch.diff", str(tmp_path / "file"))
    (tmp_path / "file").write_bytes(b"other")
    assert not job.put_artifact("patch.diff", str(tmp_path / "file"))
    reader = again(store, job)
    assert reader.artifact("patch.diff", 3, 4) == Bytes(data=b"3456", offset=3, size=10)
    assert reader.artifact("patch.diff", 20, 4) == Bytes(data=b"", offset=10, size=10)
    assert reader.artifact("other", 0, 4) is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../spec.json", "a/b", ".hidden", "a\0", "x" * 129]
)
def test_what_is_no_name_of_an_artifact_is_none(
    store: Store, job: JobObjects, name: str, tmp_path: Path
) -> None:
    assert job.artifact(name, 0, 10) is None
    with pytest.raises(ValueError, match="no name"):
        job.put_artifact(name, str(tmp_path / "file"))
    assert [one.key for one in store.list("")] == [job.key("spec.json")]
