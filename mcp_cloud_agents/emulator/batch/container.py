"""What a container sees: its environment, folders and command."""

from __future__ import annotations

import fnmatch
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_cloud_agents.emulator.batch.shapes import parts
from mcp_cloud_agents.emulator.batch.task import Launch
from mcp_cloud_agents.emulator.batch.world import World
from mcp_cloud_agents.emulator.options import Options
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mcp_cloud_agents.emulator.batch.job import Attempt, Job

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CannotStart(Exception):
    """The container does not come up.

    Attributes:
        reason: as ECS words it, for the container (`None`: it never existed) and the task.
    """

    def __init__(self, reason: str, *, container: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.container = container


@dataclass(frozen=True, slots=True)
class RoleTask:
    """A task that has a role: who holds `token` gets its credentials."""

    role_arn: str
    token: str


@dataclass(slots=True)
class Containers:
    """Makes launches out of attempts.

    Args:
        endpoint: of the emulator.
        root: folder for the tasks' own folders.
        instance: begins the ids of all tasks, 8 hexadecimal digits.
    """

    options: Options
    world: World
    endpoint: str
    root: Path
    instance: str = field(default_factory=lambda: secrets.token_hex(4))
    roles: dict[str, RoleTask] = field(default_factory=dict[str, RoleTask])

    def launch(self, job: Job, attempt: Attempt) -> Launch:
        """What the attempt starts.

        Raises:
            CannotStart: unknown image, missing secret.
        """
        argv = job.request.command or self._entry_point(str(job.request.container["image"]))
        environment = self._environment(job, attempt)
        folder = self.root / attempt.task_id
        for name in ("home", "work", "tmp"):
            (folder / name).mkdir(parents=True)
        return Launch(argv, environment, str(folder / "work"))

    def check_image(self, job: Job) -> None:
        """Refuse an image that nobody mapped to a program.

        Raises:
            CannotStart: it cannot be pulled.
        """
        self._entry_point(str(job.request.container["image"]))

    def _entry_point(self, image: str) -> Sequence[str]:
        for pattern, argv in self.options.images.items():
            if fnmatch.fnmatchcase(image, pattern):
                return argv
        raise CannotStart(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to"
            f" resolve ref {image}: not found",
            container=True,
        )

    def _environment(self, job: Job, attempt: Attempt) -> Mapping[str, str]:
        folder = self.root / attempt.task_id
        variables = {
            "PATH": _PATH,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "HOSTNAME": f"ip-{attempt.task_id[:8]}",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.options.region,
            "AWS_DEFAULT_REGION": self.options.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE" if job.definition.fargate else "AWS_ECS_EC2",
            **job.request.environment,
            **self._secrets(job),
            "ECS_CONTAINER_METADATA_URI_V4": self.task_mark(attempt.task_id),
            "AWS_BATCH_JOB_ID": job.id,
            "AWS_BATCH_JOB_ATTEMPT": str(attempt.number),
            "AWS_BATCH_JQ_NAME": job.queue.name,
            "AWS_BATCH_CE_NAME": attempt.environment.name,
        }
        if job.index is not None:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        return {**variables, **self._credentials(job, attempt)}

    def task_mark(self, task_id: str) -> str:
        """The metadata address of a task, by which its processes are known as well."""
        return f"{self.endpoint}/emulator/v4/{task_id}"

    @property
    def mark(self) -> str:
        """Begins the marks of all tasks of this emulator, and of no other."""
        return self.task_mark(self.instance)

    def _secrets(self, job: Job) -> Mapping[str, str]:
        wanted = parts(job.request.container, "secrets")
        try:
            return {one["name"]: self.world.secret(one["valueFrom"]) for one in wanted}
        except Refused as refused:
            reason = (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution"
                " resource retrieval failed: unable to retrieve secret: service call has been"
                f" retried 1 time(s): {refused.code}: {refused.message}"
            )
            raise CannotStart(reason, container=False) from refused

    def _credentials(self, job: Job, attempt: Attempt) -> Mapping[str, str]:
        role = job.request.container.get("jobRoleArn")
        if not role:
            return {}
        known = self.roles[attempt.task_id] = RoleTask(role, secrets.token_urlsafe(32))
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": (
                f"{self.endpoint}/emulator/credentials/{attempt.task_id}"
            ),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": known.token,
        }
