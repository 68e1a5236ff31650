"""Clients of AWS: the only place of this package that imports boto3, when it is first needed.

One Session (making one takes 90 ms, and it is not for several threads), clients made under a lock
and shared by threads. Reads are tried again by the SDK; SubmitJob never, as it knows no client
token. The SDK's `standard` mode has one quota of retries for a whole client: on a bad day many jobs
use it up, and then each error is one of the caller's; so it is `legacy`, which counts by call.
When credentials were refused, the Session is made anew with the next call: so a login is noticed
without a restart.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread

from mcp_cloud_agents.backends.aws_batch.errors import (
    AnswerLost,
    aws_errors,
    is_of_credentials,
    may_have_been_done,
    translated,
)
from mcp_cloud_agents.domain.errors import CloudCredentials

if TYPE_CHECKING:
    from mcp_cloud_agents.settings import AwsSettings

Json = dict[str, Any]
_READERS, _CHANGERS = 8, 8
"""Threads. More readers are slower: the SDK is bound by the processor (measured)."""


class Use(Enum):
    """What a client is for; the values are arguments of botocore's Config."""

    READ = "read"
    CHECK = "check"
    """Whether something answers at all: tried twice, as somebody waits to go elsewhere."""
    SUBMIT = "submit"
    OBJECTS = "objects"
    LISTEN = "listen"


_RETRIES: dict[Use, Json] = {
    Use.READ: {"mode": "legacy", "total_max_attempts": 5},
    Use.CHECK: {"mode": "standard", "total_max_attempts": 2},
    Use.SUBMIT: {"mode": "standard", "total_max_attempts": 1},
    Use.OBJECTS: {"mode": "legacy", "total_max_attempts": 6},
    Use.LISTEN: {"mode": "standard", "total_max_attempts": 1},
}
_CONFIGS: dict[Use, Json] = {
    Use.CHECK: {"connect_timeout": 3, "read_timeout": 5, "max_pool_connections": 12},
    Use.READ: {"connect_timeout": 3, "read_timeout": 10, "max_pool_connections": 12},
    Use.SUBMIT: {"connect_timeout": 3, "read_timeout": 20, "max_pool_connections": 8},
    Use.OBJECTS: {
        "connect_timeout": 5,
        "read_timeout": 30,
        "max_pool_connections": 64,
        "signature_version": "s3v4",
    },
    Use.LISTEN: {"connect_timeout": 3, "read_timeout": 30, "max_pool_connections": 2},
}


class Clients:
    """Calls of AWS from async code, in threads; their errors are translated.

    boto3 has no types of its own, and stub packages lag behind (no TerminateJobs): clients are
    `Any` here, and nowhere else.
    """

    def __init__(self, aws: AwsSettings) -> None:
        self._aws = aws
        self._lock = Lock()
        self._session: Any = None
        self._made: dict[tuple[str, Use], Any] = {}
        self._readers = anyio.CapacityLimiter(_READERS)
        self._changers = anyio.CapacityLimiter(_CHANGERS)

    async def read(
        self, service: str, call: str, doing: str, resource: str = "", **arguments: Any
    ) -> Json:
        """A call that changes nothing; given up when the caller is cancelled.

        Raises:
            BackendFailed: one of its subclasses.
        """
        work = partial(self.call, service, call, doing, resource, **arguments)
        return await anyio.to_thread.run_sync(work, limiter=self._readers, abandon_on_cancel=True)

    async def change(
        self, service: str, call: str, doing: str, resource: str = "", **arguments: Any
    ) -> Json:
        """A call that changes something and may be repeated; never left half way.

        Raises:
            BackendFailed: one of its subclasses.
        """
        work = partial(self.call, service, call, doing, resource, **arguments)
        return await self._to_its_end(work)

    async def submit(self, request: Json, resource: str) -> Json:
        """SubmitJob, once.

        Raises:
            AnswerLost: the job may have been submitted.
            BackendFailed: it was not.
        """
        work = partial(self._submit, request, resource)
        return await self._to_its_end(work)

    async def _to_its_end(self, work: partial[Json]) -> Json:
        answers: list[Json] = []
        with anyio.CancelScope(shield=True):
            answers.append(await anyio.to_thread.run_sync(work, limiter=self._changers))
        return answers[0]

    def call(
        self,
        service: str,
        call: str,
        doing: str,
        resource: str = "",
        *,
        use: Use = Use.READ,
        **arguments: Any,
    ) -> Json:
        """The same, in the calling thread."""
        with aws_errors(doing, resource):
            try:
                return getattr(self.client(service, use), call)(**arguments)
            except Exception as exc:
                self.notice(exc)
                raise

    def client(self, service: str, use: Use = Use.READ) -> Any:
        """A client, made when there is none; blocks for up to 0.4 s the first time."""
        with self._lock:
            if (found := self._made.get((service, use))) is None:
                found = self._make(service, use)
                self._made[service, use] = found
            return found

    def notice(self, exc: Exception) -> None:
        """Look credentials up anew with the next call, when these were the trouble."""
        if is_of_credentials(exc) or isinstance(exc, CloudCredentials):
            with self._lock:
                self._session = None
                self._made.clear()

    def objects(self) -> ObjectsClient:
        """A client of S3 that makes nothing before its first call, and notices a login."""
        return ObjectsClient(self)

    def _submit(self, request: Json, resource: str) -> Json:
        doing = "submitting the job"
        with aws_errors(doing, resource):
            try:
                client = self.client("batch", Use.SUBMIT)
                return client.submit_job(**request)
            except Exception as exc:
                self.notice(exc)
                if may_have_been_done(exc):
                    told = translated(exc, doing, resource)
                    raise AnswerLost(told.message, hint=told.hint) from exc
                raise

    def _make(self, service: str, use: Use) -> Any:
        """In the lock."""
        import boto3
        from botocore.config import Config

        aws = self._aws
        if self._session is None:
            self._session = cast("Any", boto3).Session(
                region_name=aws.region, profile_name=aws.credentials_profile or None
            )
        config = Config(retries=_RETRIES[use], **_CONFIGS[use])
        endpoint = aws.endpoint_url or None  # None: AWS_ENDPOINT_URL and its like, else AWS
        return self._session.client(service, endpoint_url=endpoint, config=config)


class ObjectsClient:
    """A client of S3 whose calls go to the one that `Clients` has now."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def __getattr__(self, name: str) -> Any:
        """An attribute of the client; calls tell `Clients` of refused credentials."""
        found = getattr(self._clients.client("s3", Use.OBJECTS), name)
        return partial(self._called, found) if callable(found) else found

    def _called(self, method: Any, *given: Any, **arguments: Any) -> Any:
        try:
            return method(*given, **arguments)
        except Exception as exc:
            self._clients.notice(exc)
            raise
