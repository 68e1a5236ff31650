"""Changes of jobs as they happen: EventBridge → SQS → one long poll, while somebody watches.

An event only says which job to look at next; DescribeJobs tells what is true. Events may come
twice, late, or to another server that reads the same queue: a sweep by the poller stays. The long
poll has a thread of its own, as a call abandoned half way would swallow what it received.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from anyio import from_thread, lowlevel

from mcp_cloud_agents.backends.aws_batch.answers import record, records
from mcp_cloud_agents.backends.aws_batch.clients import Use
from mcp_cloud_agents.domain.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.lowlevel import EventLoopToken

    from mcp_cloud_agents.backends.aws_batch.clients import Clients
    from mcp_cloud_agents.backends.aws_batch.poller import Poller

Json = dict[str, Any]
_log = logging.getLogger(__name__)
_POLL_S = 20
_MOST_MESSAGES = 10
"""That one call takes (Amazon SQS API reference)."""
_GATHER_S = 0.5
"""With many jobs, messages are left to gather: ten cost as many calls as one."""
_LISTENS_ON_S = 30.0
"""After the last watcher."""
_AGAIN_S = 15.0
_FOREIGN_AGAIN_S = 2
_FOREIGN_MOST = 5
"""How often a message for another server is given back before it is dropped."""


class Events:
    """Listens for all jobs of this process; without a queue it does nothing."""

    def __init__(self, clients: Clients, queue_url: str, poller: Poller) -> None:
        self._clients = clients
        self._url = queue_url
        self._poller = poller
        self._wanted_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._pause = threading.Event()

    def want(self) -> None:
        """Somebody watches; call it in the event loop."""
        if not self._url:
            return
        self._wanted_at = time.monotonic()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._listen, args=(lowlevel.current_token(),), daemon=True
            )
            self._thread.start()

    def _listen(self, token: EventLoopToken) -> None:
        try:
            while time.monotonic() - self._wanted_at < _LISTENS_ON_S:
                self._once(token)
            from_thread.run_sync(self._set_heard, False, token=token)  # noqa: FBT003  the value
        except RuntimeError:
            _log.debug("event_loop_ended")

    def _once(self, token: EventLoopToken) -> None:
        try:
            answer = self._call(
                "receive_message",
                WaitTimeSeconds=_POLL_S,
                MaxNumberOfMessages=_MOST_MESSAGES,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
            from_thread.run_sync(self._set_heard, True, token=token)  # noqa: FBT003  the value
            messages = records(answer, "Messages")
            ids = {str(one["ReceiptHandle"]): job_of(str(one.get("Body", ""))) for one in messages}
            wanted = [batch_id for batch_id in ids.values() if batch_id]
            foreign = from_thread.run_sync(self._poller.told, wanted, token=token)
            self._put_away(messages, {handle for handle in ids if ids[handle] in foreign})
            if self._poller.crowded and 0 < len(messages) < _MOST_MESSAGES:
                self._pause.wait(_GATHER_S)
        except BackendFailed as exc:
            _log.warning("events_unheard: %s", exc.message)
            from_thread.run_sync(self._set_heard, False, token=token)  # noqa: FBT003  the value
            self._pause.wait(_AGAIN_S)

    def _set_heard(self, heard: bool) -> None:  # noqa: FBT001  run_sync passes by place
        self._poller.events = heard

    def _put_away(self, messages: Sequence[Mapping[str, Any]], foreign: set[str]) -> None:
        """Delete them with one call; those of another server are given back for a while."""
        back: list[Json] = []
        done: list[Json] = []
        for number, message in enumerate(messages):
            handle = str(message["ReceiptHandle"])
            received = int(record(message, "Attributes").get("ApproximateReceiveCount", 1))
            entry: Json = {"Id": str(number), "ReceiptHandle": handle}
            if handle in foreign and received < _FOREIGN_MOST:
                back.append({**entry, "VisibilityTimeout": _FOREIGN_AGAIN_S})
            else:
                done.append(entry)
        if back:
            self._call("change_message_visibility_batch", Entries=back)
        if done:
            self._call("delete_message_batch", Entries=done)

    def _call(self, call: str, **arguments: Any) -> Json:
        doing = "listening for changes of jobs"
        return self._clients.call(
            "sqs", call, doing, self._url, use=Use.LISTEN, QueueUrl=self._url, **arguments
        )


def job_of(body: str) -> str:
    """The job's id in Batch that an event is about; empty when it is about none."""
    try:
        event: object = json.loads(body)
    except ValueError:
        return ""
    detail = cast("Json", event).get("detail") if isinstance(event, dict) else None
    return str(cast("Json", detail).get("jobId", "")) if isinstance(detail, dict) else ""
