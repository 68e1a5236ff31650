"""What untracked files may be sent."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.domain.errors import RefusedFiles
from mcp_cloud_agents.snapshots.screen import ScreenRules, screen, secret_kind

MIB = 1 << 20


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b".env", "environment file"),
        (b"app/.env.production", "environment file"),
        (b".envrc", "environment file"),
        (b"prod.env", "environment file"),
        (b"deploy/server.pem", "private key"),
        (b"TLS.KEY", "private key"),
        (b".ssh/id_ed25519", "private key"),
        (b"cert.p12", "private key"),
        (b".npmrc", "credentials"),
        (b".aws/credentials", "credentials"),
        (b"service-account-prod.json", "credentials"),
        (b"infra/terraform.tfstate", "Terraform state or variables"),
        (b"terraform.tfstate.backup", "Terraform state or variables"),
        (b"dir\nwith/.netrc", "credentials"),
    ],
)
def test_names_of_secrets_are_recognised(path: bytes, kind: str) -> None:
    assert secret_kind(path) == kind


@pytest.mark.parametrize(
    "path",
    [
        b".env.example", b".env.sample", b"id_rsa.pub", b"src/environment.py", b"src/keys.py",
        b"docs/env", b"id_generator.py", b"monkey", b"keystore/readme.md", b"aws/config.py",
        b"secrets.py", b"credentials.py", b"\xff\xfe",
    ],
)  # fmt: skip
def test_ordinary_names_are_no_secrets(path: bytes) -> None:
    assert secret_kind(path) is None


def test_every_refused_file_is_named_with_its_reason() -> None:
    rules = ScreenRules(max_file_mib=1)
    with pytest.raises(RefusedFiles) as caught:
        screen({b"big": MIB + 1, b"fits": MIB, b"a/.env": 3}, rules)
    assert caught.value.paths == (
        ("a/.env", "looks like a secret (environment file)"),
        ("big", "2 MiB, more than 1 MiB"),
    )
    assert "allow_untracked" in caught.value.hint
    assert "~/.config/mcp-cloud-agents/config.toml" in caught.value.hint


def test_a_total_over_the_limit_names_the_largest() -> None:
    rules = ScreenRules(max_file_mib=10, max_total_mib=5)
    with pytest.raises(RefusedFiles) as caught:
        screen({b"a": 3 * MIB, b"b": 4 * MIB}, rules)
    assert caught.value.paths == (
        ("a", "3 MiB, part of 7 MiB, more than 5 MiB in all"),
        ("b", "4 MiB, part of 7 MiB, more than 5 MiB in all"),
    )


@pytest.mark.parametrize("pattern", ["deep/.env", ".env", "deep/*", "*"])
def test_a_pattern_of_the_person_allows_a_file(pattern: str) -> None:
    screen({b"deep/.env": 900 * MIB}, ScreenRules(allow=(pattern,)))


def test_odd_names_are_rendered_harmless_in_the_message() -> None:
    with pytest.raises(RefusedFiles) as caught:
        screen({b"\x1b[31m\xff.pem": 1}, ScreenRules())
    assert caught.value.paths == (("\ufffd.pem", "looks like a secret (private key)"),)
