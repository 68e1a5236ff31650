"""An AWS on this machine: puts the parts together, starts and ends them."""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.serving import BaseWSGIServer, make_server

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.emulator import moto_seam
from mcp_cloud_agents.emulator.answers import Answer, StartResponse
from mcp_cloud_agents.emulator.api_faults import ApiFaults
from mcp_cloud_agents.emulator.batch.attempts import Attempts
from mcp_cloud_agents.emulator.batch.container import Containers
from mcp_cloud_agents.emulator.batch.engine import Engine
from mcp_cloud_agents.emulator.batch.service import Batch
from mcp_cloud_agents.emulator.batch.state import State
from mcp_cloud_agents.emulator.call_log import CallLog
from mcp_cloud_agents.emulator.control import Control
from mcp_cloud_agents.emulator.front import Front
from mcp_cloud_agents.emulator.job_faults import JobFaults
from mcp_cloud_agents.emulator.loop import Loop
from mcp_cloud_agents.emulator.options import ACCOUNT_ID, Options
from mcp_cloud_agents.emulator.warden import Warden

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from mcp_cloud_agents.emulator.aws_calls import Environ

_one_at_a_time = threading.Lock()


class _Handler(moto_seam.REQUEST_HANDLER):
    """Says nothing about requests: the call log does."""

    def log(self, type: str, message: str, *args: object) -> None:
        del type, message, args


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running one.

    Attributes:
        endpoint: `http://127.0.0.1:PORT`.
        control: faults, reset, as the control API has them.
        calls: what was called.
        state, batch: the emulated Batch, past HTTP.
    """

    endpoint: str
    options: Options
    control: Control
    calls: CallLog
    state: State
    batch: Batch

    @property
    def environment(self) -> Mapping[str, str]:
        """What to set for SDKs and the AWS CLI. The keys are no secrets."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.options.region,
            "AWS_DEFAULT_REGION": self.options.region,
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def described(self) -> dict[str, object]:
        """For the one line that the program prints."""
        return {
            "endpoint": self.endpoint,
            "account_id": ACCOUNT_ID,
            "region": self.options.region,
            "environment": dict(self.environment),
        }


@contextmanager
def serve(options: Options | None = None, port: int = 0) -> Generator[Emulator]:
    """Start on 127.0.0.1, on a free port unless one is given; ends all jobs in the end.

    One at a time in a process, as moto's state belongs to the process. It is empty at the start.

    Raises:
        BackendFailed: the port is taken, or an emulator runs in this process already.
    """
    if not _one_at_a_time.acquire(blocking=False):
        raise BackendFailed(
            "An emulator runs in this process already.", hint="End it, or start one by `-m`."
        )
    try:
        with _running(options or Options(), port) as emulator:
            yield emulator
    finally:
        _one_at_a_time.release()


@contextmanager
def _running(options: Options, port: int) -> Generator[Emulator]:
    server = _listen(port)
    endpoint = f"http://127.0.0.1:{server.port}"
    root = Path(tempfile.mkdtemp(prefix="mca-emulator-"))
    loop = Loop()
    containers = Containers(options, moto_seam.MotoWorld(options.region), endpoint, root)
    warden = Warden(containers.mark, str(root))
    emulator, front = _wire(
        options, endpoint, loop, Attempts(loop, containers.world, containers, JobFaults(), warden)
    )
    server.app = front
    thread = threading.Thread(target=server.serve_forever, name="emulator-http", daemon=True)
    loop.start()
    thread.start()
    try:
        yield emulator
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
        emulator.control.reset()
        loop.close()
        warden.close()
        shutil.rmtree(root, ignore_errors=True)


def _wire(
    options: Options, endpoint: str, loop: Loop, attempts: Attempts
) -> tuple[Emulator, Front]:
    state, calls, api_faults = State(options), CallLog(), ApiFaults()
    engine = Engine(state, loop, attempts.world, attempts, attempts.faults)

    def reset() -> None:
        done = threading.Event()

        def forget() -> None:
            engine.clear()
            state.clear()
            moto_seam.forget()
            done.set()

        control.set_faults({})
        loop.soon(forget)
        done.wait(timeout=30)
        calls.clear()

    control = Control(state, engine, attempts, api_faults, attempts.faults, calls, reset)
    moto_seam.forget()
    moto = moto_seam.application(
        int(endpoint.rpartition(":")[2]), managed_policies=options.managed_policies
    )
    batch = Batch(state, engine)
    front = Front(batch, moto, control, api_faults, calls, reset)
    return Emulator(endpoint, options, control, calls, state, batch), front


def _listen(port: int) -> BaseWSGIServer:
    def not_yet(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        del environ
        return Answer.json({"message": "starting"}, 503).send(start_response)

    try:
        return make_server("127.0.0.1", port, not_yet, threaded=True, request_handler=_Handler)
    except (OSError, SystemExit) as exc:  # werkzeug ends the program when the port is taken
        raise BackendFailed(
            f"Port {port} of 127.0.0.1 cannot be used.", hint="Choose another, or 0 for a free one."
        ) from exc
