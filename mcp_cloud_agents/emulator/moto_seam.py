"""The one place that touches moto: its server application, and the state of a few services.

Everything of moto that is used is imported or named here, and `tests/emulator/test_moto_seam.py`
holds each of them, so that a new version fails there and says what moved.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from moto import settings as moto_settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.config import default_user_config
from moto.dynamodb.responses import DynamoHandler
from moto.events.models import events_backends
from moto.events.utils import EventTemplateParser
from moto.iam.access_control import IAMPolicyStatement, IAMRequest, PermissionResult
from moto.logs.models import logs_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import FakeBucket
from moto.s3.responses import ACTION_MAP
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends
from moto.sts.models import sts_backends

from mcp_cloud_agents.emulator.asked import NOW, Asked
from mcp_cloud_agents.emulator.batch.attempts import DEFAULT_GROUP
from mcp_cloud_agents.emulator.options import ACCOUNT_ID
from mcp_cloud_agents.emulator.policies import applies
from mcp_cloud_agents.emulator.refusals import Refused

if TYPE_CHECKING:
    from mcp_cloud_agents.emulator.batch.world import LogLine

WsgiApp = Callable[[dict[str, Any], Any], Any]
REQUEST_HANDLER = MotoRequestHandler
logger = logging.getLogger(__name__)
_transactions = threading.RLock()


def application(port: int, *, managed_policies: bool) -> WsgiApp:
    """Moto's server, set up for this process."""
    default_user_config["iam"] = {"load_aws_managed_policies": managed_policies}
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    default_user_config["lambda"] = {"use_docker": False}
    os.environ["MOTO_PORT"] = str(port)  # noqa: TID251  moto reads it when Step Functions call back
    _serialize_dynamodb()
    _hand_events_on_whole()
    _read_policies_by_our_rules()
    _name_actions_and_resources()
    return cast("WsgiApp", DomainDispatcherApplication(create_backend_app))


def forget() -> None:
    """All of moto's state, and whether it checks permissions."""
    moto_api_backend.reset()
    enforce_permissions(enforced=False)


def enforce_permissions(*, enforced: bool) -> None:
    """Hold every request against the policies of its user or role."""
    moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0.0 if enforced else float("inf")
    ActionAuthenticatorMixin.request_count = 0


def permissions_enforced() -> bool:
    """Whether requests are held against policies now."""
    count = ActionAuthenticatorMixin.request_count
    return count >= moto_settings.INITIAL_NO_AUTH_ACTION_COUNT


def check_permission(
    request: tuple[str, str, bytes], headers: dict[str, str], needed: Asked
) -> None:
    """Signature and policies of a request that moto does not serve itself.

    Args:
        request: method, path with query, body.
        headers: as they were sent, names in title case.
        needed: what has to be allowed.

    Raises:
        Refused: wrong signature, unknown key, or not allowed.
    """
    method, path, body = request
    NOW.set(needed)
    try:
        checked = IAMRequest(
            account_id=ACCOUNT_ID,
            method=method,
            path=path,
            data={},
            body=body,
            headers=headers,
            action=needed.action,
        )
        checked.check_signature()
        checked.check_action_permitted(needed.resource)
    except Exception as exc:
        code = str(getattr(exc, "error_type", "AccessDeniedException"))
        message = str(getattr(exc, "message", exc))
        code = "AccessDeniedException" if code == "AccessDenied" else code
        raise Refused(message, code=code, status=403) from exc


def role_credentials(role_arn: str, session: str, region: str) -> dict[str, str]:
    """Fresh credentials of a role, in the form of the container credentials endpoint."""
    backend = sts_backends[ACCOUNT_ID]["aws"]
    role = backend.assume_role(region, session, role_arn, "", 3600, "")
    return {
        "RoleArn": role_arn,
        "AccessKeyId": role.access_key_id,
        "SecretAccessKey": role.secret_access_key,
        "Token": role.session_token,
        "Expiration": role.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class MotoWorld:
    """Logs, events and secrets of moto, as Batch needs them."""

    def __init__(self, region: str) -> None:
        self._region = region

    def create_log_stream(self, group: str, stream: str) -> None:
        """See `World`."""
        logs = logs_backends[ACCOUNT_ID][self._region]
        if group == DEFAULT_GROUP and group not in logs.groups:
            logs.create_log_group(group, {})
        if group not in logs.groups:
            raise Refused(
                f"The specified log group {group} does not exist.", code="ResourceNotFoundException"
            )
        logs.create_log_stream(group, stream)

    def put_log_lines(self, group: str, stream: str, lines: Sequence[LogLine]) -> None:
        """See `World`."""
        logs = logs_backends[ACCOUNT_ID][self._region]
        known = logs.groups.get(group)
        if known is not None and stream in known.streams:
            events = [{"timestamp": at, "message": text} for at, text in lines]
            logs.put_log_events(group, stream, events)

    def publish(self, detail_type: str, resources: Sequence[str], detail: dict[str, Any]) -> None:
        """See `World`."""
        events = events_backends[ACCOUNT_ID][self._region]
        event = {
            "Source": "aws.batch",
            "DetailType": detail_type,
            "Resources": list(resources),
            "Time": int(time.time()),
            "Detail": json.dumps(detail),
        }
        try:
            events.put_events([event])
        except Exception:
            logger.exception("emulator_event_not_delivered")

    def secret(self, reference: str) -> str:
        """See `World`."""
        parameter = ":ssm:" in reference or reference.startswith("/")
        try:
            if parameter:
                found = ssm_backends[ACCOUNT_ID][self._region].get_parameter(reference)
                value = None if found is None else found.response_object(decrypt=True)["Value"]
            else:
                value = _secret_value(self._region, reference)
        except Exception as exc:
            raise Refused(str(exc), code="ResourceNotFoundException") from exc
        if value is None:
            raise Refused(f"{reference} does not exist", code="ParameterNotFound")
        return str(value)


def _secret_value(region: str, reference: str) -> object:
    """`arn[:json-key[:stage[:version]]]`, as ECS writes it."""
    parts = reference.split(":")
    is_arn = reference.startswith("arn:")
    arn = ":".join(parts[:7]) if is_arn else reference
    key, stage, version = (*parts[7:], "", "", "")[:3] if is_arn else ("", "", "")
    backend = secretsmanager_backends[ACCOUNT_ID][region]
    found = backend.get_secret_value(arn, version, stage or "AWSCURRENT")
    text = found.get("SecretString")
    return json.loads(str(text))[key] if key else text


def _serialize_dynamodb() -> None:
    """One request of DynamoDB at a time.

    moto cancels a transaction by putting back a copy of the table, which loses what other threads
    wrote in between: budgets would be reserved twice.
    """
    original = DynamoHandler.call_action
    if getattr(original, "one_at_a_time", False):
        return

    def call_action(self: DynamoHandler) -> Any:
        with _transactions:
            return original(self)

    call_action.one_at_a_time = True  # type: ignore[attr-defined]  marks that it was done
    DynamoHandler.call_action = call_action


def _hand_events_on_whole() -> None:
    """Events without a template go on as they are.

    moto writes them into a text template: slow (8 JSON paths are compiled for each event), without
    the account, and wrong when a value looks like a placeholder.
    """
    original = EventTemplateParser.parse
    if getattr(original, "whole", False):
        return

    def parse(input_template: Any, input_paths_map: Any, event: Any) -> Any:
        if input_template:
            return original(input_template, input_paths_map, event)
        return {key: value for key, value in event.items() if key != "ingestion-time"}

    parse.whole = True  # type: ignore[attr-defined]  marks that it was done
    EventTemplateParser.parse = staticmethod(parse)


def _read_policies_by_our_rules() -> None:
    """Statements of users, roles and buckets, with their conditions.

    moto knows StringEquals alone, takes every other condition for met, and takes a statement whose
    condition is not met for a denial. Trust policies stay moto's.
    """
    original = IAMPolicyStatement.is_action_permitted
    if getattr(original, "by_our_rules", False):
        return

    def is_action_permitted(
        self: Any,
        action: str,
        resource: str = "*",
        principal: str | None = None,
        incoming_condition_values: dict[str, str] | None = None,
    ) -> PermissionResult:
        if principal is not None:
            return original(self, action, resource, principal, incoming_condition_values)
        # SQS has no permission for many messages at once: that for one is asked for.
        named = action.removesuffix("Batch") if action.startswith("sqs:") else action
        if not applies(self._statement, named, resource, NOW.get().keys):
            return PermissionResult.NEUTRAL
        allowed = self._statement["Effect"] == "Allow"
        return PermissionResult.PERMITTED if allowed else PermissionResult.DENIED

    is_action_permitted.by_our_rules = True  # type: ignore[attr-defined]  marks that it was done
    IAMPolicyStatement.is_action_permitted = is_action_permitted


def _name_actions_and_resources() -> None:
    """As AWS names them.

    moto asks for `s3:HeadBucket` and the like, which no policy names, and for `*` where AWS asks
    for a log stream or a repository.
    """
    ACTION_MAP["BUCKET"]["HEAD"]["DEFAULT"] = "ListBucket"
    original = FakeBucket.get_permission
    if getattr(original, "names_actions", False):
        return
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_normal_action

    def get_permission(self: Any, action: str, resource: str) -> Any:
        asked = NOW.get().action
        return original(self, f"s3:{asked}" if asked else action, resource)

    def authorize_on(self: Any, resource: str = "*") -> None:
        authorize(self, NOW.get().resource or resource)

    get_permission.names_actions = True  # type: ignore[attr-defined]  marks that it was done
    FakeBucket.get_permission = get_permission
    ActionAuthenticatorMixin._authenticate_and_authorize_normal_action = authorize_on
