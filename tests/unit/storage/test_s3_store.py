"""What only S3 can do to a store: foreign errors, lost answers, races, broken bodies."""

from __future__ import annotations

import base64
import hashlib
import io
import secrets
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from mcp_cloud_agents.domain.errors import (
    AgentsError,
    BackendFailed,
    StoreDenied,
    StoreUnavailable,
)
from mcp_cloud_agents.ports.store import Listed
from mcp_cloud_agents.storage.s3_store import S3Store
from tests.stores import client

pytest.importorskip("botocore", reason="needs boto3")

PART = 5 << 20
ARN = "arn:aws:iam::123456789012:user/dev"


class Scripted:
    """A store whose S3 answers as it was told, one answer a call."""

    def __init__(self) -> None:
        from botocore import stub

        self.client = client("http://127.0.0.1:9")
        self.script: Any = cast("Any", stub).Stubber(self.client)
        self.store = S3Store(self.client, "bucket", owner="123456789012")

    def fails(self, method: str, code: str, status: int = 400, message: str = "said") -> None:
        self.script.add_client_error(method, code, message, status)

    def answers(self, method: str, **answer: Any) -> None:
        self.script.add_response(method, answer)

    def body(self, data: bytes, promised: int | None = None, **head: Any) -> None:
        from botocore.response import StreamingBody

        size = len(data) if promised is None else promised
        self.answers("get_object", Body=StreamingBody(io.BytesIO(data), size), **head)


@pytest.fixture
def s3() -> Iterator[Scripted]:
    scripted = Scripted()
    with scripted.script:
        yield scripted
    scripted.script.assert_no_pending_responses()


FAILURES: dict[str, tuple[str, int, type[AgentsError], str]] = {
    "missing bucket": ("NoSuchBucket", 404, StoreDenied, "configure aws"),
    "other region": ("PermanentRedirect", 301, StoreDenied, "region"),
    "other region, signed": ("AuthorizationHeaderMalformed", 400, StoreDenied, "region"),
    "denied": ("AccessDenied", 403, StoreDenied, "s3:GetObject on arn:aws:s3:::bucket/key"),
    "other account": ("AccessDenied", 403, StoreDenied, "another account"),
    "unknown keys": ("InvalidAccessKeyId", 403, StoreDenied, "credentials"),
    "expired": ("ExpiredToken", 400, StoreUnavailable, "aws sso login"),
    "clock": ("RequestTimeTooSkewed", 403, StoreUnavailable, "clock"),
    "throttled": ("SlowDown", 503, StoreUnavailable, "later"),
    "failing": ("InternalError", 500, StoreUnavailable, "call again"),
    "no answer of S3": ("502", 502, StoreUnavailable, "Call again"),
    "unheard of": ("Strange", 418, BackendFailed, "doctor"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_foreign_error_says_what_to_do(s3: Scripted, name: str) -> None:
    code, status, kind, hint = FAILURES[name]
    s3.fails("get_object", code, status)
    with pytest.raises(kind) as caught:
        s3.store.get("key")
    assert type(caught.value) is kind
    assert "s3://bucket/key" in caught.value.message
    assert hint in caught.value.hint


def test_a_missing_permission_is_named_as_aws_names_it(s3: Scripted) -> None:
    said = (
        f"User: {ARN} is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::bucket/jobs/j1/spec.json" because no identity-based policy allows it'
    )
    s3.fails("put_object", "AccessDenied", 403, said)
    with pytest.raises(StoreDenied) as caught:
        s3.store.put_new("jobs/j1/spec.json", b"{}")
    assert f"{ARN} may not s3:PutObject" in caught.value.message
    assert "Allow s3:PutObject on arn:aws:s3:::bucket/jobs/j1/spec.json" in caught.value.hint


def put(store: S3Store) -> object:
    return store.put("jobs/x", b"")


def delete(store: S3Store) -> object:
    return store.delete(["jobs/x"])


def listed(store: S3Store) -> object:
    return store.list("jobs/")


@pytest.mark.parametrize(
    ("method", "action", "use"),
    [
        ("list_objects_v2", "s3:ListBucket", listed),
        ("delete_objects", "s3:DeleteObject", delete),
        ("put_object", "s3:PutObject", put),
    ],
)
def test_a_refusal_without_words_names_what_the_call_needs(
    s3: Scripted, method: str, action: str, use: Callable[[S3Store], object]
) -> None:
    s3.fails(method, "AccessDenied", 403, "Access Denied")
    with pytest.raises(StoreDenied) as caught:
        use(s3.store)
    assert f"Allow {action} on arn:aws:s3:::bucket" in caught.value.hint


def test_an_object_that_could_not_be_deleted_is_told(s3: Scripted) -> None:
    errors = [{"Key": "a", "Code": "AccessDenied", "Message": "Access Denied"}]
    s3.answers("delete_objects", Errors=errors)
    with pytest.raises(StoreDenied):
        s3.store.delete(["a"])


def test_a_body_that_breaks_off_is_read_again(s3: Scripted) -> None:
    s3.body(b"half", promised=10)
    s3.body(b"0123456789")
    assert s3.store.get("key") == b"0123456789"


def test_a_body_that_breaks_off_every_time_is_told(s3: Scripted) -> None:
    for _ in range(4):
        s3.body(b"half", promised=10)
    with pytest.raises(StoreUnavailable):
        s3.store.get("key")


def test_a_race_of_writers_is_run_again(s3: Scripted) -> None:
    s3.fails("put_object", "ConditionalRequestConflict", 409)
    s3.fails("get_object", "NoSuchKey", 404)
    s3.answers("put_object", ETag="x")
    assert s3.store.put_new("key", b"x")


def test_a_race_that_another_won_is_told(s3: Scripted) -> None:
    s3.fails("put_object", "ConditionalRequestConflict", 409)
    s3.fails("get_object", "NoSuchKey", 404)
    s3.fails("put_object", "PreconditionFailed", 412)
    s3.body(b"o", Metadata={"writer": "other"})
    assert not s3.store.put_new("key", b"x")


def test_an_object_that_is_replaced_while_it_is_fetched_is_fetched_anew(
    s3: Scripted, tmp_path: Path
) -> None:
    store = S3Store(s3.client, "bucket", part_bytes=4)
    s3.body(b"old ", ContentRange="bytes 0-3/8", ETag="1")
    s3.fails("get_object", "PreconditionFailed", 412)
    s3.body(b"new ", ContentRange="bytes 0-3/8", ETag="2")
    s3.body(b"data", ContentRange="bytes 4-7/8", ETag="2")
    assert store.download("key", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"new data"
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_every_call_names_the_account_that_the_bucket_has_to_be_of(s3: Scripted) -> None:
    s3.script.add_response(
        "list_objects_v2",
        {"IsTruncated": False},
        {
            "Bucket": "bucket",
            "ExpectedBucketOwner": "123456789012",
            "Prefix": "x",
            "MaxKeys": 1_000,
        },
    )
    assert s3.store.list("x") == ()


def test_a_checksum_goes_along_that_s3_holds_the_content_against(s3: Scripted) -> None:
    from botocore.stub import ANY

    s3.script.add_response(
        "put_object",
        {"ETag": "x"},
        {
            "Bucket": "bucket",
            "ExpectedBucketOwner": "123456789012",
            "Key": "key",
            "Body": b"content",
            "ChecksumSHA256": base64.b64encode(hashlib.sha256(b"content").digest()).decode(),
            "Metadata": ANY,
            "IfNoneMatch": "*",
        },
    )
    assert s3.store.put_new("key", b"content")


def test_an_endpoint_that_nobody_serves_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and not listened to
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        retries = {"mode": "standard", "total_max_attempts": 1}
        store = S3Store(client(endpoint, retries=retries), "bucket")
        uses: tuple[Callable[[], object], ...] = (
            lambda: store.get("key"),
            lambda: store.put_new("key", b""),
            lambda: store.list(""),
        )
        for use in uses:
            with pytest.raises(StoreUnavailable) as caught:
                use()
            assert "AWS_ENDPOINT_URL" in caught.value.hint


@pytest.fixture(scope="module")
def emulator() -> Iterator[Any]:
    reason = "needs moto: pip install 'moto[server]==5.2.5'"
    pytest.importorskip("moto", reason=reason)
    served = pytest.importorskip("mcp_cloud_agents.emulator.emulator", reason=reason)
    with served.serve() as running:
        yield running


@pytest.fixture
def bad_days(emulator: Any) -> Iterator[Any]:
    """Sets what S3 fails with."""

    def fail(**rule: Any) -> None:
        emulator.control.set_faults({"api": [{"service": "s3", **rule}] if rule else []})

    yield fail
    emulator.control.set_faults({})


@pytest.fixture
def store(emulator: Any) -> S3Store:
    made = client(emulator.endpoint, max_pool_connections=24)
    bucket = f"test-{secrets.token_hex(8)}"
    made.create_bucket(Bucket=bucket)
    return S3Store(made, bucket, part_bytes=PART)


@pytest.mark.parametrize("kind", ["lost_answer", "dropped"])
@pytest.mark.parametrize("data", [b"", b"small", b"x" * (PART + 1)], ids=len)
def test_a_write_whose_answer_was_lost_is_known_again(
    store: S3Store, bad_days: Callable[..., None], kind: str, data: bytes
) -> None:
    bad_days(kind=kind, times=1)
    assert store.put_new("key", data)
    assert store.get("key") == data
    assert not store.put_new("key", data)


def test_a_missing_bucket_is_told_by_every_call(emulator: Any) -> None:
    store = S3Store(client(emulator.endpoint), "not-there")
    uses: tuple[Callable[[], object], ...] = (
        lambda: store.get("key"),
        lambda: store.size("key"),
        lambda: store.put_new("key", b"x"),
        lambda: store.put("key", b"x" * (8 << 20) + b"x"),
        lambda: store.list(""),
        lambda: store.delete(["key"]),
    )
    for use in uses:
        with pytest.raises(StoreDenied) as caught:
            use()
        assert "There is no bucket not-there" in caught.value.message


def test_when_a_third_of_all_calls_fail_nothing_is_lost_or_doubled(
    emulator: Any, bad_days: Callable[..., None]
) -> None:
    retries = {"mode": "standard", "total_max_attempts": 10}
    made = client(emulator.endpoint, max_pool_connections=24, retries=retries)
    made.create_bucket(Bucket="bad-days")
    store = S3Store(made, "bad-days")
    keys = [f"k{number:02}" for number in range(24)]
    bad_days(kind="lost_answer", rate=0.3, seed=7)
    with ThreadPoolExecutor(4) as pool:
        wrote = list(pool.map(store.put_new, keys * 2, [key.encode() for key in keys] * 2))
    assert wrote.count(True) == len(keys)
    assert store.list("") == tuple(Listed(key, 3) for key in keys)


def test_a_part_that_fails_leaves_no_upload_behind(
    store: S3Store, bad_days: Callable[..., None], emulator: Any
) -> None:
    bad_days(action="UploadPart", kind="error", code="AccessDenied", status=403)
    with pytest.raises(StoreDenied):
        store.put_new("key", b"x" * (2 * PART))
    bad_days()
    bucket = store.name.removeprefix("s3://")
    assert "Uploads" not in client(emulator.endpoint).list_multipart_uploads(Bucket=bucket)
    assert store.size("key") is None
