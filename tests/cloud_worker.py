"""A bucket on loopback, repositories shipped to it, and the cloud's worker as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_cloud_agents.domain.job import JobSpec, Kind
from mcp_cloud_agents.domain.result import JobResult
from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.shipping import Shipper
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from mcp_cloud_agents.storage.job_objects import JobObjects
from mcp_cloud_agents.storage.s3_store import S3Store
from tests.stores import client
from tests.unit.conftest import SPEC

BUCKET = "worker-tests"
WITHIN_S = 60.0
SMALL = Limits(timeout_s=60, memory_mib=512, processes=128, disk_mib=256, log_bytes=1 << 20)
GIT_ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nowhere",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": "a@invalid"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


@dataclass
class Cloud:
    """A bucket, and a switch that makes all its answers `503`."""

    endpoint: str
    down: threading.Event
    store: S3Store
    folder: Path
    jobs: int = 0
    _stack: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def job(self, files: Mapping[str, str], command: str, **changes: Any) -> JobObjects:
        """A job on a fresh repository with these files, shipped and written to the bucket."""
        self.jobs += 1
        top = self.folder / f"repo{self.jobs}"
        for path, text in files.items():
            target = top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        git = partial(subprocess.run, cwd=top, env=GIT_ENV, check=True, capture_output=True)
        git(["git", "init", "-q", "-b", "main"])
        git(["git", "add", "-A"])
        git(["git", "commit", "-q", "-m", "x"])
        snapshots = GitSnapshots(str(self.folder / "state"), ScreenRules(), home=str(self.folder))
        snapshot = snapshots.take(snapshots.locate(str(top)))
        shipper = Shipper(snapshots.stores, self.store)
        shipper.ship(snapshot)
        spec: JobSpec = replace(
            SPEC,
            id=f"jtest{self.jobs:04}",
            command=command,
            limits=SMALL,
            snapshot=replace(snapshot, repository=shipper.repository_key(snapshot)),
            **{"kind": Kind.COMMAND, "runner": None, **changes},
        )
        objects = JobObjects(self.store, spec.id)
        assert objects.write_spec(spec)
        return objects

    def env(self, objects: JobObjects, attempt: int = 1) -> dict[str, str]:
        """What Batch and ECS would set."""
        scratch = self.folder / f"scratch-{objects.id}-{attempt}"
        scratch.mkdir(mode=0o711, exist_ok=True)
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nowhere",
            "TMPDIR": str(scratch),
            "JOB_SPEC": f"s3://{BUCKET}/{objects.key('spec.json')}",
            "AWS_BATCH_JOB_ATTEMPT": str(attempt),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/s3cret-path",
        }

    def start(self, objects: JobObjects, attempt: int = 1, **env: str) -> subprocess.Popen[bytes]:
        """The worker, as an attempt at the job; an empty variable is not set."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "mcp_cloud_agents.worker.aws"],
            env={key: value for key, value in (self.env(objects, attempt) | env).items() if value},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._stack.append(process)
        return process

    def run(self, objects: JobObjects, attempt: int = 1, **env: str) -> tuple[int, list[str], str]:
        """The worker to its end: exit code, lines on stdout, what is on stderr."""
        process = self.start(objects, attempt, **env)
        out, err = process.communicate(timeout=WITHIN_S)
        return process.returncode, out.decode().splitlines(), err.decode()

    def kill_all(self) -> None:
        """End what a failed test left."""
        for process in self._stack:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def a_cloud(folder: Path) -> Generator[Cloud]:
    """moto on loopback, with a bucket."""
    reason = "needs moto: pip install 'moto[server]==5.2.5'"
    moto = pytest.importorskip("moto.moto_server.werkzeug_app", reason=reason)
    serving = pytest.importorskip("werkzeug.serving", reason=reason)
    app, turn, down = (
        moto.DomainDispatcherApplication(moto.create_backend_app),
        threading.Lock(),
        threading.Event(),
    )

    class Quiet(moto.MotoRequestHandler):  # pyright: ignore  a class of a library without types
        def log(self, *_: Any, **__: Any) -> None:
            """Nothing."""

    def serve(environ: Any, start_response: Any) -> list[bytes]:
        if down.is_set():
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        with turn:
            return list(app(environ, start_response))

    server = serving.make_server("127.0.0.1", 0, serve, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.port}"
    s3 = client(endpoint, max_pool_connections=8)
    s3.create_bucket(Bucket=BUCKET)
    cloud = Cloud(endpoint, down, S3Store(s3, BUCKET), folder)
    try:
        yield cloud
    finally:
        cloud.kill_all()
        for listed in cloud.store.list(""):
            cloud.store.delete([listed.key])
        s3.delete_bucket(Bucket=BUCKET)
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def eventually(look: Callable[[], Any], within_s: float = 30.0) -> Any:
    """What is looked for, once it is there; fails when it does not come."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        pause.wait(0.05)
    return found


def whole_log(objects: JobObjects) -> str:
    """The durable log."""
    return objects.log(0, 1 << 24).data.decode()


def result_of(objects: JobObjects) -> JobResult:
    """The last word, which must be there."""
    found = objects.result()
    assert found is not None
    return found
