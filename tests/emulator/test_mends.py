"""Where moto alone is wrong."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
from botocore.config import Config

from tests.emulator.cloud import DEADLINE_S, Cloud

SIGNED = Config(signature_version="s3v4")


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3", config=SIGNED)
    client.create_bucket(Bucket="bucket")
    return client


def put(url: str, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(url, data=body, method="PUT", headers=headers)  # noqa: S310  loopback
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310  loopback
            return answer.status
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def presigned(s3: Any, **more: Any) -> str:
    return s3.generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": "k", **more}, ExpiresIn=60
    )


def test_a_put_that_says_it_is_a_form_keeps_its_body(s3: Any) -> None:
    assert put(presigned(s3), b"a=1") == 200
    with s3.get_object(Bucket="bucket", Key="k")["Body"] as body:
        assert body.read() == b"a=1"


def test_a_presigned_put_writes_once(s3: Any) -> None:
    url = presigned(s3, IfNoneMatch="*")
    assert put(url, b"first", **{"If-None-Match": "*"}) == 200
    assert put(url, b"second", **{"If-None-Match": "*"}) == 412


def test_an_expired_url_is_refused(s3: Any) -> None:
    old = presigned(s3)
    parts = urllib.parse.urlsplit(old)
    query = dict(urllib.parse.parse_qsl(parts.query)) | {"X-Amz-Date": "20200101T000000Z"}
    url = parts._replace(query=urllib.parse.urlencode(query)).geturl()
    assert put(url, b"late") == 403


@pytest.mark.parametrize(("size", "status"), [(5, 204), (1, 400), (11, 400)])
def test_a_form_upload_is_held_to_its_range(cloud: Cloud, s3: Any, size: int, status: int) -> None:
    post = s3.generate_presigned_post("bucket", "f", Conditions=[["content-length-range", 2, 10]])
    line, parts = "xxBOUNDARYxx", b""
    for name, value in post["fields"].items():
        parts += (
            f'--{line}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        )
    parts += f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'.encode()
    parts += b"Content-Type: application/octet-stream\r\n\r\n" + b"x" * size
    parts += f"\r\n--{line}--\r\n".encode()
    connection = http.client.HTTPConnection(cloud.emulator.endpoint.removeprefix("http://"))
    try:
        headers = {"Content-Type": f"multipart/form-data; boundary={line}"}
        connection.request("POST", "/bucket", parts, headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    assert answer.status == status


def test_transactions_of_many_threads_lose_nothing(cloud: Cloud) -> None:
    table: Any = cloud.client("dynamodb", config=Config(max_pool_connections=8))
    table.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for name in ("a", "b"):
        table.put_item(TableName="t", Item={"pk": {"S": name}, "room": {"N": "20"}})
    won: list[int] = []

    def take(number: int) -> None:
        for turn in range(8):
            try:
                table.transact_write_items(
                    TransactItems=[
                        {"Update": {**one(name), "ConditionExpression": "room >= :one"}}
                        for name in ("a", "b")
                    ]
                )
                won.append(number * 100 + turn)
            except table.exceptions.TransactionCanceledException:
                continue

    def one(name: str) -> dict[str, Any]:
        return {
            "TableName": "t",
            "Key": {"pk": {"S": name}},
            "UpdateExpression": "SET room = room - :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    left = [table.get_item(TableName="t", Key={"pk": {"S": n}})["Item"]["room"]["N"] for n in "ab"]
    assert (len(won), left) == (20, ["0", "0"])
