"""A worker for tests of the backend: as the contract has it, without sandbox and tree.

The job's command is a list of words: `say TEXT` `chunk TEXT` `sleep S` `until-file PATH`
`until-cancel` `exit CODE` `die` `mark FILE`, by `;`. It writes states, chunks and frames as the
real worker does. Marks tell which job of Batch worked on it and completed it, past everything that
is under test.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from functools import partial
from typing import Any, cast

from mcp_cloud_agents.domain.errors import StoreUnavailable
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Artifact, Cause, CauseKind, JobResult
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Network
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.ports.store import Store
from mcp_cloud_agents.storage.job_objects import TRY_AGAIN, JobObjects, StoredState
from mcp_cloud_agents.storage.log_frames import encode
from mcp_cloud_agents.storage.s3_client import s3_client
from mcp_cloud_agents.storage.s3_store import S3Store
from mcp_cloud_agents.worker.aws.patience import patiently

ISOLATION = IsolationRecord(level=IsolationLevel.CONTAINER, driver="test", run_network=Network.NONE)
PAUSE = threading.Event()
PATIENCE_S = 120.0


class Worker:
    """One attempt."""

    def __init__(self, objects: JobObjects) -> None:
        self.objects = objects
        self.attempt = int(os.getenv("AWS_BATCH_JOB_ATTEMPT", "1"))
        self.status = JobStatus(state=JobState.QUEUED, history=((JobState.QUEUED, time.time()),))
        chunks = objects.chunks()
        self.end = chunks[-1].end if chunks else 0
        self.unsaved = b""
        self.marks = ""

    def enter(self, state: JobState, cause: Cause | None = None) -> None:
        self.status = self.status.advance(state, at=time.time(), cause=cause)
        now = time.time()
        stored = StoredState(status=self.status, attempt=self.attempt, heartbeat_at=now)
        self.objects.write_state(stored)

    def say(self, data: bytes, *, durable: bool) -> None:
        start = self.end + len(self.unsaved)
        for line in encode(start, data):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        self.unsaved += data
        if durable:
            self.save()

    def save(self) -> None:
        if self.unsaved:
            self.objects.write_chunk(self.end, self.unsaved)
            self.end += len(self.unsaved)
            self.unsaved = b""

    def finish(self, state: JobState, exit_code: int | None, cause: Cause | None = None) -> None:
        self.save()
        whole = self.objects.log(0, 1 << 30).data
        self.objects.write_log(whole)
        result = JobResult(
            job_id=self.objects.id,
            spec_digest=self.objects.spec().digest,
            state=state,
            exit_code=exit_code,
            isolation=ISOLATION,
            cause=cause,
            artifacts=self.artifacts(),
        )
        if self.objects.write_result(result):
            self.mark("completed")
        self.enter(state, cause)

    def mark(self, what: str) -> None:
        if self.marks:
            with open(self.marks, "a") as file:
                file.write(f"{self.objects.id} {os.getenv('AWS_BATCH_JOB_ID')} {what}\n")

    def artifacts(self) -> tuple[Artifact, ...]:
        path = "note.txt"
        with open(path, "wb") as file:
            file.write(b"kept")
        self.objects.put_artifact("note.txt", path)
        sha = hashlib.sha256(b"kept").hexdigest()
        return (Artifact(name="note.txt", media_type="text/plain", size_bytes=4, sha256=sha),)

    def run(self, command: str) -> int:
        if "until-cancel" in command:  # it collects in the time that SIGTERM leaves
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.enter(JobState.STARTING)
        self.enter(JobState.RUNNING)
        for step in filter(None, map(str.strip, command.split(";"))):
            word, _, rest = step.partition(" ")
            if self.step(word, rest):
                return 0
        self.enter(JobState.COLLECTING)
        self.finish(JobState.SUCCEEDED, 0)
        return 0

    def step(self, word: str, rest: str) -> bool:
        """Whether the job has ended."""
        match word:
            case "say" | "chunk":
                self.say(f"{rest}\n".encode(), durable=word == "chunk")
            case "sleep":
                PAUSE.wait(float(rest))
            case "until-file":
                while not os.path.exists(rest):
                    PAUSE.wait(0.2)
            case "until-cancel":
                while not self.objects.cancel_asked():
                    PAUSE.wait(0.05)
                cause = Cause(kind=CauseKind.CANCELLED, message="cancelled", hint="again")
                self.finish(JobState.CANCELLED, None, cause)
                return True
            case "exit":
                self.enter(JobState.COLLECTING)
                self.finish(JobState.SUCCEEDED, int(rest))
                return True
            case "mark":
                self.marks = rest
                self.mark("began")
            case "die":
                sys.stdout.write("Traceback: of the worker itself\n")
                sys.stdout.flush()
                PAUSE.wait(0.3)
                os._exit(7)
            case _:
                raise ValueError(word)
        return False


class Patient:
    """A store whose every call is made again until it works, as the real worker does."""

    def __init__(self, bucket: str) -> None:
        self._store = S3Store(patiently(s3_client, within_s=PATIENCE_S), bucket)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not callable(method):
            return method

        def again(*given: Any, **named: Any) -> Any:
            return patiently(partial(method, *given, **named), within_s=PATIENCE_S)

        return again


def main() -> int:
    """As the real one: without the store another attempt may have more luck."""
    try:
        return attempt()
    except StoreUnavailable as exc:
        sys.stdout.write(f"{exc.message}\n")
        return TRY_AGAIN


def attempt() -> int:
    bucket, _, key = os.getenv("JOB_SPEC", "").removeprefix("s3://").partition("/")
    objects = JobObjects(cast("Store", Patient(bucket)), key.split("/")[1])
    ours = os.getenv("AWS_BATCH_JOB_ID", "")
    if objects.result() is not None or objects.take(ours) != ours:
        return 0
    return Worker(objects).run(objects.spec().command)


if __name__ == "__main__":
    sys.exit(main())
