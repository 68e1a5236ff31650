"""Secrets by reference: each way to a value, each way that fails, and never the value in words."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from mcp_cloud_agents.domain.errors import SecretUnusable
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from mcp_cloud_agents.emulator.clients import aws_client
from mcp_cloud_agents.storage.aws_secrets import AwsSecrets
from mcp_cloud_agents.storage.secret_values import SecretValues

CANARY = "s3cret-canary-91f0"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/db-a1B2c3"


@dataclass
class Aws:
    """Clients whose answers are given; which regions they were asked for."""

    answers: list[tuple[str, str, dict[str, Any], dict[str, Any] | str]]
    regions: list[str] = field(default_factory=list[str])

    def client(self, service: str, region: str) -> Any:
        self.regions.append(region)
        expected, call, given, answer = self.answers.pop(0)
        assert service == expected
        made = aws_client(service, "http://127.0.0.1:9", region or "us-east-1")
        stub: Any = Stubber(made)
        if isinstance(answer, str):
            stub.add_client_error(call, answer, "the message of AWS", expected_params=given)
        else:
            stub.add_response(call, answer, given)
        stub.activate()
        return made


def grant(source: str) -> list[SecretGrant]:
    return [SecretGrant(name="TOKEN", source=source, phases=(Phase.RUN,))]


def values(
    aws: Aws | None = None, environ: Mapping[str, str] | None = None, *, files: bool = True
) -> SecretValues:
    given = environ or {}

    def variables(names: Sequence[str]) -> dict[str, str]:
        return {name: given[name] for name in names if name in given}

    return SecretValues(variables, AwsSecrets(aws.client if aws else None), files=files)


def secret(name: str, answer: dict[str, Any] | str) -> Aws:
    return Aws([("secretsmanager", "get_secret_value", {"SecretId": name}, answer)])


def refused(source: str, reader: SecretValues) -> SecretUnusable:
    with pytest.raises(SecretUnusable) as raised:
        reader(grant(source))
    told = f"{raised.value.message} {raised.value.hint}"
    assert f"The secret TOKEN ({source}) cannot be used" in told
    assert CANARY not in told
    return raised.value


def test_a_variable_and_a_private_file_give_their_values(tmp_path: Path) -> None:
    path = tmp_path / "pem"
    path.write_text(f"{CANARY}\nsecond line\n")
    path.chmod(0o600)
    assert values(environ={"A": CANARY})(grant("env:A")) == {"TOKEN": CANARY}
    assert values()(grant(f"file:{path}")) == {"TOKEN": f"{CANARY}\nsecond line"}


def test_a_secret_of_the_account_is_read_whole_or_by_its_key() -> None:
    whole = {"SecretString": f'{{"password": "{CANARY}", "port": 543210}}'}
    assert values(secret("a", {"SecretBinary": CANARY.encode()}))(grant("aws-sm:a")) == {
        "TOKEN": CANARY
    }
    assert values(secret("a", whole))(grant("aws-sm:a#password")) == {"TOKEN": CANARY}
    assert values(secret("a", whole))(grant("aws-sm:a#port")) == {"TOKEN": "543210"}


def test_a_parameter_is_decrypted() -> None:
    given = {"Name": "/team/key", "WithDecryption": True}
    answer = {"Parameter": {"Name": "/team/key", "Value": CANARY}}
    aws = Aws([("ssm", "get_parameter", given, answer)])
    assert values(aws)(grant("aws-ssm:/team/key")) == {"TOKEN": CANARY}


def test_an_arn_is_asked_for_in_its_own_region() -> None:
    aws = secret(ARN, {"SecretString": CANARY})
    values(aws)(grant(f"aws-sm:{ARN}"))
    assert aws.regions == ["eu-west-1"]


def test_each_job_reads_anew_so_a_rotated_value_counts() -> None:
    calls = [
        ("secretsmanager", "get_secret_value", {"SecretId": "a"}, {"SecretString": value})
        for value in ("first-value", "second-value")
    ]
    reader = values(Aws([*calls]))
    assert reader(grant("aws-sm:a")) == {"TOKEN": "first-value"}
    assert reader(grant("aws-sm:a")) == {"TOKEN": "second-value"}


@pytest.mark.parametrize(
    ("code", "why", "hint"),
    [
        ("ResourceNotFoundException", "no such value", "Correct the reference"),
        ("AccessDeniedException", "may not be read", "readable_secrets"),
        ("ExpiredTokenException", "credentials are not valid", "Log in"),
        ("InternalServiceError", "AWS says InternalServiceError", "Look at the service"),
    ],
)
def test_what_aws_refuses_is_told_with_what_to_do(code: str, why: str, hint: str) -> None:
    told = refused("aws-sm:a", values(secret("a", code)))
    assert why in told.message
    assert hint in told.hint


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("  ", "it is empty"),
        ("short", "less than 6 characters"),
        (f"{CANARY}\0", "no variable can"),
        (CANARY * 4_000, "more than 32,768 bytes"),
    ],
)
def test_values_that_are_not_fit_are_refused(value: str, why: str) -> None:
    assert why in refused("env:A", values(environ={"A": value})).message


def test_what_is_missing_is_refused_with_where_to_put_it(tmp_path: Path) -> None:
    assert 'env_vars = ["A"]' in refused("env:A", values()).hint
    assert "No such file" in refused(f"file:{tmp_path}/none", values()).message
    open_to_all = tmp_path / "open"
    open_to_all.write_text(CANARY)
    os.chmod(open_to_all, 0o644)
    assert "chmod 600" in refused(f"file:{open_to_all}", values()).hint
    assert "no JSON" in refused("aws-sm:a#k", values(secret("a", {"SecretString": CANARY}))).message
    listed = {"SecretString": f'["{CANARY}"]'}
    assert "no text or number" in refused("aws-sm:a#k", values(secret("a", listed))).message


def test_a_container_gives_no_files_and_none_of_its_own_variables(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(CANARY)
    path.chmod(0o600)
    assert "no reference" in refused(f"file:{path}", values(files=False)).message
    for name in ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "JOB_SPEC", "PATH"):
        own = values(environ={name: CANARY}, files=False)
        assert "one of AWS, the system" in refused(f"env:{name}", own).message
