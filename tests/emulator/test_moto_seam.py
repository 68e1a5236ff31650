"""Everything of moto that the emulator touches: a new version fails here, and says what moved."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.config import default_user_config
from moto.core.responses import BaseResponse
from moto.dynamodb.responses import DynamoHandler
from moto.events.models import EventsBackend
from moto.events.utils import EventTemplateParser
from moto.iam.access_control import IAMPolicyStatement, IAMRequest, PermissionResult
from moto.logs.models import LogGroup, LogsBackend
from moto.moto_api._internal.models import MotoAPIBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import FakeBucket
from moto.s3.responses import ACTION_MAP, S3Response
from moto.secretsmanager.models import SecretsManagerBackend
from moto.ssm.models import Parameter, SimpleSystemManagerBackend
from moto.sts.models import AssumedRole, STSBackend

import mcp_cloud_agents.emulator
from tests.emulator.cloud import Cloud

SIGNATURES: list[tuple[Callable[..., Any], str]] = [
    (DomainDispatcherApplication.__init__, "self create_app"),
    (DomainDispatcherApplication.__call__, "self environ start_response"),
    (create_backend_app, "service"),
    (LogsBackend.create_log_group, "self log_group_name tags kwargs"),
    (LogsBackend.create_log_stream, "self log_group_name log_stream_name"),
    (LogsBackend.put_log_events, "self log_group_name log_stream_name log_events"),
    (LogGroup.__init__, "self account_id region name kwargs"),
    (EventsBackend.put_events, "self events"),
    (SecretsManagerBackend.get_secret_value, "self secret_id version_id version_stage"),
    (SimpleSystemManagerBackend.get_parameter, "self name"),
    (Parameter.response_object, "self decrypt region"),
    (
        STSBackend.assume_role,
        "self region_name role_session_name role_arn policy duration external_id",
    ),
    (
        AssumedRole.__init__,
        "self account_id region_name access_key role_session_name role_arn policy duration"
        " external_id",
    ),
    (IAMRequest.__init__, "self account_id method path data body headers action"),
    (IAMRequest.check_signature, "self"),
    (IAMRequest.check_action_permitted, "self resource"),
    (
        IAMPolicyStatement.is_action_permitted,
        "self action resource principal incoming_condition_values",
    ),
    (FakeBucket.get_permission, "self action resource"),
    (ActionAuthenticatorMixin._authenticate_and_authorize_normal_action, "self resource"),
    (MotoAPIBackend.reset, "self"),
]
AGAIN = "moto moved: look at mcp_cloud_agents/emulator/moto_seam.py"


@pytest.mark.parametrize(("touched", "parameters"), SIGNATURES)
def test_what_is_called_has_the_parameters_it_had(
    touched: Callable[..., Any], parameters: str
) -> None:
    assert " ".join(inspect.signature(touched).parameters) == parameters, AGAIN


def test_the_version_is_the_one_this_was_written_for() -> None:
    assert version("moto") == "5.2.5", AGAIN


def test_what_is_set_is_still_read(cloud: Cloud) -> None:
    assert cloud.emulator.endpoint
    assert {"iam", "stepfunctions", "lambda"} <= default_user_config.keys(), AGAIN
    assert float("inf") == settings.INITIAL_NO_AUTH_ACTION_COUNT, AGAIN
    assert ActionAuthenticatorMixin.request_count >= 0, AGAIN
    source = inspect.getsource(ActionAuthenticatorMixin)
    assert "settings.INITIAL_NO_AUTH_ACTION_COUNT" in source, AGAIN
    assert "MOTO_PORT" in inspect.getsource(settings), AGAIN


def test_what_is_replaced_is_still_used(cloud: Cloud) -> None:
    assert cloud.emulator.endpoint
    assert getattr(DynamoHandler.call_action, "one_at_a_time", False), AGAIN
    assert getattr(EventTemplateParser.parse, "whole", False), AGAIN
    import moto.events.models as events

    assert "EventTemplateParser.parse(" in inspect.getsource(events.Rule.send_to_targets), AGAIN


def test_permissions_are_still_asked_for_where_they_are_answered(cloud: Cloud) -> None:
    assert cloud.emulator.endpoint
    assert getattr(IAMPolicyStatement.is_action_permitted, "by_our_rules", False), AGAIN
    assert getattr(FakeBucket.get_permission, "names_actions", False), AGAIN
    assert {one.name for one in PermissionResult} == {"PERMITTED", "DENIED", "NEUTRAL"}, AGAIN
    assert "self._statement = statement" in inspect.getsource(IAMPolicyStatement.__init__), AGAIN
    assert ACTION_MAP["BUCKET"]["HEAD"] == {"DEFAULT": "ListBucket"}, AGAIN
    assert "ACTION_MAP[" in inspect.getsource(S3Response._set_action), AGAIN
    assert "bucket.get_permission(action" in inspect.getsource(S3Response._key_response), AGAIN
    dispatch = inspect.getsource(BaseResponse.call_action)
    assert "_authenticate_and_authorize_normal_action(resource)" in dispatch, AGAIN


def test_one_module_alone_knows_moto() -> None:
    room = Path(mcp_cloud_agents.emulator.__file__ or "").parent
    knows = [
        path.name
        for path in room.rglob("*.py")
        if re.search(r"^\s*(?:from|import) moto\b", path.read_text(), re.MULTILINE)
    ]
    assert knows == ["moto_seam.py"]
