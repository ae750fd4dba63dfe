"""What a check says of a bucket, for the trigger and the sink, and what an object's records are known by."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from flowspec.errors import FatalError, TransientError
from flowspec.records import Record
from sinks.amazon_s3 import PutObjects
from sources.amazon_s3 import NewObjects
from tests.servers.http_server import HttpServer, Reply
from tests.servers.process import server_port
from tests.servers.s3 import S3Server

_DENIED = b"<Error><Code>%s</Code><Message>no</Message></Error>"
Check = Callable[[dict[str, Any], str], str]


def _reading(account: dict[str, Any], bucket: str, **fields: Any) -> str:
    return NewObjects.model_validate({"account": account, "bucket": bucket, **fields}).check()


def _putting(account: dict[str, Any], bucket: str, **fields: Any) -> str:
    return PutObjects.model_validate({"account": account, "bucket": bucket, **fields}).check()


@pytest.fixture(params=[_reading, _putting], ids=["trigger", "sink"])
def check(request: pytest.FixtureRequest) -> Check:
    checked: Check = request.param
    return checked


def test_a_bucket_that_can_be_read(any_s3: S3Server) -> None:
    bucket = any_s3.create_bucket()
    said = _reading(any_s3.account, bucket, prefix="in/")
    assert said == (
        f"s3://{bucket}/in/ can be listed, and has no objects to read: whether they may be read was not checked"
    )
    any_s3.put(bucket, "in/a.jsonl", b"1\n")
    assert _reading(any_s3.account, bucket) == f"s3://{bucket}/ can be listed and read; objects there: 1"
    said = _reading(any_s3.account, bucket, after="delete")
    assert said.endswith("objects there: 1; whether they may be deleted was not checked")
    assert any_s3.keys(bucket) == ["in/a.jsonl"]


def test_a_bucket_that_can_be_written(any_s3: S3Server) -> None:
    bucket = any_s3.create_bucket()
    assert _putting(any_s3.account, bucket) == f"s3://{bucket} is there; whether it may be written was not checked"
    assert any_s3.keys(bucket) == []


def test_a_bucket_that_is_missing(any_s3: S3Server, check: Check) -> None:
    with pytest.raises(FatalError, match="the bucket does not exist; check bucket and account"):
        check(any_s3.account, "no-such-bucket")


def test_wrong_credentials(s3proxy: S3Server, check: Check) -> None:
    bucket = s3proxy.create_bucket()
    with pytest.raises(FatalError, match="check secret_access_key") as caught:
        check({**s3proxy.account, "secret_access_key": "wr0ng"}, bucket)
    assert "wr0ng" not in str(caught.value)


def test_a_server_that_does_not_answer(s3: S3Server, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.amazon_s3.checking.PATIENCE", 1)
    monkeypatch.setattr("sinks.amazon_s3.checking.PATIENCE", 1)
    account = {**s3.account, "endpoint_url": f"http://127.0.0.1:{server_port()}"}
    with pytest.raises(TransientError, match="refused"):
        check(account, "any")
    with pytest.raises(TransientError, match="name of the server is not known"):
        check({**account, "endpoint_url": "http://nowhere.invalid"}, "any")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(TransientError, match="no answer in time"):
            check({**account, "endpoint_url": f"http://127.0.0.1:{port}"}, "any")


def test_a_bucket_that_must_not_be_listed(s3: S3Server) -> None:
    with HttpServer() as server:
        server.route("/orders", Reply(403, {"Content-Type": "application/xml"}, _DENIED % b"AccessDenied"))
        account = {**s3.account, "endpoint_url": server.url}
        with pytest.raises(FatalError, match="the account needs s3:ListBucket and s3:GetObject"):
            _reading(account, "orders")
        assert _putting(account, "orders") == (
            "s3://orders must not be listed, so whether it is there, and may be written, was not checked"
        )


def test_a_record_is_known_by_its_object_as_it_was_and_its_row() -> None:
    meta = {"bucket": "orders", "key": "in/a", "etag": "e1", "modified_at": "2024-05-01T00:00:00.000Z", "row": 3}
    trigger = NewObjects(bucket="orders")
    assert trigger.identity(Record(b"", {}, {**meta, "size": 7})) == "orders/in/a/e1/2024-05-01T00:00:00.000Z/3"
    assert trigger.identity(Record(b"", {}, {"key": "in/a"})) is None
