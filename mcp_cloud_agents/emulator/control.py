"""The control API, for tests and benches: faults, the call log, reset; and what tasks ask for.

GET    /emulator/state                      jobs by status
GET    /emulator/calls?service=&action=     the call log, and counts
DELETE /emulator/calls
POST   /emulator/faults                     {"api": [rules], "jobs": [rules]}, replaces all
DELETE /emulator/faults
POST   /emulator/permissions                {"enforced": true}: policies of IAM hold
POST   /emulator/reset                      ends all jobs, forgets everything
GET    /emulator/credentials/TASK           of the task's role, for who has its token
GET    /emulator/v4/TASK[/task]             task metadata, version 4
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs

from mcp_cloud_agents.emulator import moto_seam
from mcp_cloud_agents.emulator.api_faults import ApiFaults, ApiRule
from mcp_cloud_agents.emulator.batch.attempts import Attempts
from mcp_cloud_agents.emulator.batch.engine import Engine
from mcp_cloud_agents.emulator.batch.shapes import parts
from mcp_cloud_agents.emulator.batch.state import State
from mcp_cloud_agents.emulator.call_log import CallLog
from mcp_cloud_agents.emulator.job_faults import JobFaults, JobRule
from mcp_cloud_agents.emulator.refusals import Refused

Json = dict[str, Any]


@dataclass(slots=True)
class Control:
    """Answers as JSON."""

    state: State
    engine: Engine
    attempts: Attempts
    api_faults: ApiFaults
    job_faults: JobFaults
    calls: CallLog
    reset: Callable[[], None]

    def answer(self, method: str, path: str, query: str, body: bytes, token: str) -> Json:
        """One request.

        Raises:
            Refused: unknown path, wrong token, a rule that makes no sense.
        """
        name, _, rest = path.removeprefix("/emulator/").partition("/")
        match method, name:
            case "GET", "state":
                return self._state()
            case "GET", "calls":
                asked = {key: values[0] for key, values in parse_qs(query).items()}
                return self.calls.told(asked.get("service"), asked.get("action"))
            case "DELETE", "calls":
                self.calls.clear()
            case "POST", "faults":
                self.set_faults(_object(body))
            case "DELETE", "faults":
                self.set_faults({})
            case "POST", "permissions":
                moto_seam.enforce_permissions(enforced=bool(_object(body).get("enforced")))
            case "POST", "reset":
                self.reset()
            case "GET", "credentials":
                return self._credentials(rest, token)
            case "GET", "v4":
                return self._metadata(rest)
            case _:
                raise Refused(f"there is no {method} {path}", code="NotFound", status=404)
        return {"status": "ok"}

    def set_faults(self, given: Json) -> None:
        """Replace all rules: `{"api": […], "jobs": […]}`.

        Raises:
            Refused: a rule makes no sense; then none is replaced.
        """
        if unknown := given.keys() - {"api", "jobs"}:
            raise Refused(f"faults have api and jobs, not {', '.join(sorted(unknown))}")
        api = [ApiRule.read(one) for one in parts(given, "api")]
        jobs = tuple(JobRule.read(one) for one in parts(given, "jobs"))
        self.api_faults.replace(api)
        self.job_faults.rules = jobs
        self.engine.changed()

    def _state(self) -> Json:
        with self.state.lock:
            found = Counter(job.status.value for job in self.state.jobs.values())
        return {"jobs": dict(sorted(found.items())), "processes": len(self.attempts.runs)}

    def _credentials(self, task_id: str, token: str) -> Json:
        role = self.attempts.containers.roles.get(task_id)
        if role is None or not hmac.compare_digest(role.token.encode(), token.encode()):
            raise Refused("wrong task or token", code="AccessDenied", status=403)
        return moto_seam.role_credentials(role.role_arn, task_id, self.state.options.region)

    def _metadata(self, rest: str) -> Json:
        task_id, _, what = rest.partition("/")
        run = self.attempts.runs.get(task_id)
        if run is None or what not in {"", "task"}:
            raise Refused("unknown task", code="NotFound", status=404)
        job, attempt = run.job, run.attempt
        container: Json = {
            "DockerId": task_id,
            "Name": "default",
            "Image": job.request.container["image"],
            "Limits": {"CPU": job.request.vcpus * 1024, "Memory": job.request.memory_mib},
        }
        if not what:
            return container
        return {
            "TaskARN": attempt.task_arn,
            "Cluster": f"{attempt.environment.name}_Batch",
            "LaunchType": "FARGATE" if job.definition.fargate else "EC2",
            "Limits": {"CPU": job.request.vcpus, "Memory": job.request.memory_mib},
            "Containers": [container],
        }


def _object(body: bytes) -> Json:
    try:
        given: object = json.loads(body or b"{}")
    except ValueError as exc:
        raise Refused(f"the body is no JSON: {exc}") from exc
    if not isinstance(given, dict):
        raise Refused("the body is no JSON object")
    return cast("Json", given)
