"""A worker for tests of the backend: as the contract has it, without sandbox and tree.

The job's command is a list of words: `say TEXT` `chunk TEXT` `sleep S` `until-cancel` `exit CODE`
`die` `mark FILE`, by `;`. It writes states, chunks and frames as the real worker does. Marks tell
which job of Batch worked on it and completed it, past everything that is under test.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from typing import Any, cast

from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Artifact, Cause, CauseKind, JobResult
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Network
from mcp_cloud_agents.domain.status import JobStatus
from mcp_cloud_agents.storage.job_objects import JobObjects, StoredState
from mcp_cloud_agents.storage.log_frames import encode
from mcp_cloud_agents.storage.s3_store import S3Store

ISOLATION = IsolationRecord(level=IsolationLevel.CONTAINER, driver="test", run_network=Network.NONE)
PAUSE = threading.Event()


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


def main() -> int:
    import boto3
    from botocore.config import Config

    bucket, _, key = os.getenv("JOB_SPEC", "").removeprefix("s3://").partition("/")
    config = Config(retries={"mode": "legacy", "total_max_attempts": 12})
    client = cast("Any", boto3).client("s3", config=config)
    objects = JobObjects(S3Store(client, bucket), key.split("/")[1])
    ours = os.getenv("AWS_BATCH_JOB_ID", "")
    if objects.result() is not None or objects.take(ours) != ours:
        return 0
    return Worker(objects).run(objects.spec().command)


if __name__ == "__main__":
    sys.exit(main())
