"""What leaves a job is looked through for its secrets: cleaned where it is text, else withheld."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import SecretUnusable
from mcp_cloud_agents.domain.job import JobState
from mcp_cloud_agents.domain.result import Artifact, Cause, CauseKind, JobResult
from mcp_cloud_agents.domain.sandbox import IsolationLevel, IsolationRecord, Network
from mcp_cloud_agents.domain.secret import Phase, SecretGrant
from mcp_cloud_agents.governance.redaction import NOTHING, Redactor
from mcp_cloud_agents.storage.folder_desk import FolderDesk
from mcp_cloud_agents.storage.job_folder import HostPlan, JobFolder
from mcp_cloud_agents.worker.redacting_desk import RedactingDesk
from mcp_cloud_agents.worker.vault import Given, Vault, was_handed
from mcp_cloud_agents.worker.withheld import without_secrets
from tests.leaks import leaks
from tests.unit.conftest import SPEC

CANARY = "canary-0f11-zz"
HOST = HostPlan(state="/s", uv="/uv", concurrent_jobs=2, keep_days=30, keep_gib=10, owner=None)
GRANT = SecretGrant(name="TOKEN", source="env:T", phases=(Phase.RUN,))


def kept(folder: Path, name: str, media_type: str, data: bytes) -> Artifact:
    (folder / name).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return Artifact(name=name, media_type=media_type, size_bytes=len(data), sha256=sha256)


@pytest.mark.parametrize(
    ("name", "media_type", "stays"),
    [
        ("report.md", "text/markdown", True),
        ("junit.xml", "application/xml", True),
        ("transcript-1.jsonl", "application/x-ndjson", True),
        ("patch.diff", "text/x-diff", False),
        ("trace.zip", "application/zip", False),
    ],
)
def test_texts_are_cleaned_and_everything_else_is_withheld(
    tmp_path: Path, name: str, media_type: str, stays: bool
) -> None:
    clean = kept(tmp_path, "other.bin", "application/octet-stream", b"\x00plain")
    bad = kept(tmp_path, name, media_type, f"before {CANARY} after".encode())
    artifacts, notes = without_secrets([clean, bad], str(tmp_path), Redactor([CANARY]))
    if stays:
        data = b"before [redacted] after"
        assert artifacts == (clean, kept(tmp_path, name, media_type, data))
        assert notes == ()
    else:
        assert artifacts == (clean,)
        assert notes == (f"Withheld: {name} holds a secret of this job.",)
        assert not (tmp_path / name).exists()


def test_without_secrets_nothing_is_even_read(tmp_path: Path) -> None:
    gone = Artifact(name="gone", media_type="text/plain", size_bytes=1, sha256="0")
    assert without_secrets([gone], str(tmp_path), NOTHING) == ((gone,), ())


def test_a_vault_gives_values_to_their_phase_and_hides_them_from_all_others() -> None:
    vault = Vault(replace(SPEC, secrets=(GRANT,)), Given(read=was_handed({"TOKEN": CANARY})))
    assert vault.expose(Phase.SETUP).env == ()
    assert vault.redactor.known(CANARY) == CANARY
    exposure = vault.expose(Phase.RUN)
    assert exposure.env == (("TOKEN", CANARY),)
    assert CANARY not in repr(exposure)
    assert vault.redactor.known(CANARY) == exposure.redactor.known(CANARY) == "[redacted]"


def test_a_value_that_was_not_handed_over_is_refused_by_name() -> None:
    vault = Vault(replace(SPEC, secrets=(GRANT,)), Given())
    with pytest.raises(SecretUnusable, match=r"TOKEN \(env:T\) cannot be used"):
        vault.expose(Phase.RUN)


def test_the_last_door_takes_values_out_of_words_result_and_state(tmp_path: Path) -> None:
    vault = Vault(replace(SPEC, secrets=(GRANT,)), Given(read=was_handed({"TOKEN": CANARY})))
    vault.expose(Phase.RUN)
    folder = JobFolder.create(str(tmp_path), SPEC, HOST, shared=False)
    with open(folder.file("lock"), "wb") as lock:
        desk = RedactingDesk(FolderDesk(folder, os.dup(lock.fileno()), log_cap=1_000), vault)
        desk.say(f"said {CANARY}")
        desk.log(f"logged {CANARY}\n".encode())
        isolation = IsolationRecord(
            level=IsolationLevel.FULL, driver="d", run_network=Network.NONE, notes=(CANARY,)
        )
        cause = Cause(kind=CauseKind.INTERNAL, message=CANARY, hint=CANARY, excerpt=(CANARY,))
        result = JobResult(
            job_id=SPEC.id,
            spec_digest=SPEC.digest,
            state=JobState.FAILED,
            exit_code=None,
            isolation=isolation,
            cause=cause,
            notes=(f"note {CANARY}",),
        )
        desk.finish(result, cause)
    assert leaks(tmp_path, CANARY) == {}
    assert JobFolder(folder.path).result() == Redactor([CANARY]).value(result)
    assert JobFolder(folder.path).status().cause == Redactor([CANARY]).value(cause)


def test_a_cause_keeps_its_kind_whatever_the_value_is() -> None:
    cause = Cause(kind=CauseKind.TIMEOUT, message="timeout of x", hint="timeout")
    assert Redactor(["timeout"]).value(cause) == Cause(
        kind=CauseKind.TIMEOUT, message="[redacted] of x", hint="[redacted]"
    )
