"""The sink by itself, against real S3-compatible servers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from flowspec.connectors import Writer
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.expressions import Template
from flowspec.records import Record
from sinks.amazon_s3 import PutObjects
from sources.amazon_s3 import AwsAccount
from tests.servers.s3 import S3Server
from tests.servers.tcp_proxy import TcpProxy
from tests.sinks.ends import open_writer, records


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.create_bucket()


def putter(s3: S3Server, bucket: str, **fields: Any) -> Writer:
    return open_writer(PutObjects.model_validate({"account": AwsAccount(**s3.account), "bucket": bucket, **fields}))


def put(s3: S3Server, bucket: str, *bodies: Any, **fields: Any) -> dict[str, bytes]:
    """What is in the bucket when a sink has written a batch, all of which it had to take."""
    writer = putter(s3, bucket, **fields)
    assert list(writer.write(records(*bodies))) == []
    writer.close()
    return {key: s3.get(bucket, key) for key in s3.keys(bucket)}


def test_a_batch_is_an_object(any_s3: S3Server) -> None:
    bucket = any_s3.create_bucket()

    ((key, content),) = put(any_s3, bucket, {"id": 1, "name": "é"}, {"id": 2}, [3]).items()

    assert re.fullmatch("[0-9a-f]{32}\\.jsonl", key)
    assert content.decode().splitlines() == ['{"id":1,"name":"é"}', '{"id":2}', "[3]"]
    assert content.endswith(b"\n")
    assert any_s3.client.get_object(Bucket=bucket, Key=key)["ContentType"] == "application/x-ndjson"


def test_records_that_want_other_names_are_in_other_objects(s3: S3Server, bucket: str) -> None:
    bodies = [{"id": number, "status": ["paid", "open"][number % 2]} for number in range(6)]

    found = put(s3, bucket, *bodies, name=Template("orders/{status}/{batch}"))

    assert {key.rpartition("/")[0]: [json.loads(line)["id"] for line in found[key].splitlines()] for key in found} == {
        "orders/open": [1, 3, 5],
        "orders/paid": [0, 2, 4],
    }


def test_a_batch_that_comes_again_replaces_itself(s3: S3Server, bucket: str) -> None:
    def batch(count: int, version: int) -> list[Record]:
        # The second time the trigger says something else about it, and so do the steps.
        meta = {"message_id": "m", "receive_count": version}
        return [Record(f"{number}", {"id": number, "version": version}, dict(meta)) for number in range(count)]

    writer = putter(s3, bucket, max_records=4)
    assert list(writer.write(batch(10, 1))) == []
    keys = s3.keys(bucket)
    assert list(writer.write(batch(10, 2))) == []

    assert len(keys) == 3
    assert s3.keys(bucket) == keys
    assert all(json.loads(line)["version"] == 2 for key in keys for line in s3.get(bucket, key).splitlines())
    assert list(writer.write(batch(9, 2))) == []
    assert len(s3.keys(bucket)) == 4, "what is cut otherwise has another name"
    writer.close()


@pytest.mark.parametrize(
    "difference", [{"meta": {"offset": 2}}, {"key": "b"}, {"headers": {"trace": "2"}}, {"external_id": "2"}], ids=str
)
def test_records_that_only_look_the_same_are_kept(s3: S3Server, bucket: str, difference: dict[str, Any]) -> None:
    first: dict[str, Any] = {"meta": {"offset": 1}, "key": "a", "headers": {"trace": "1"}, "external_id": "1"}
    writer = putter(s3, bucket)

    writer.write([Record("ping", "ping", **first)])
    writer.write([Record("ping", "ping", **{**first, **difference})])

    assert len(s3.keys(bucket)) == 2
    writer.close()


def test_twins_of_one_batch_are_both_there(s3: S3Server, bucket: str) -> None:
    found = put(s3, bucket, "ping", "ping", "ping", max_records=1)

    assert list(found.values()) == [b'"ping"\n'] * 3


def test_a_name_without_the_batch_is_that_of_one_record(s3: S3Server, bucket: str) -> None:
    versions = [{"id": 1, "version": 1}, {"id": 2, "version": 1}, {"id": 1, "version": 2}]

    found = put(s3, bucket, *versions, name=Template("customers/{id}.json"), max_records=1)

    assert {key: json.loads(content)["version"] for key, content in found.items()} == {
        "customers/1.json": 2,
        "customers/2.json": 1,
    }


def test_large_batches_make_several_objects(s3: S3Server, bucket: str) -> None:
    found = put(s3, bucket, *({"id": number, "pad": "x" * 100} for number in range(20)), max_bytes=1000)

    assert all(len(content) <= 1000 for content in found.values())
    assert sorted(json.loads(line)["id"] for content in found.values() for line in content.splitlines()) == list(
        range(20)
    )
    assert len(found) < 5
    assert put(s3, s3.create_bucket(), "x" * 5000, max_bytes=1000), "one that is too long has an object of its own"


def test_compressed(s3: S3Server, bucket: str) -> None:
    ((key, content),) = put(s3, bucket, {"id": 1}, gzip=True).items()

    assert key.endswith(".jsonl.gz")
    assert gzip.decompress(content) == b'{"id":1}\n'
    assert put(s3, bucket, {"id": 1}, gzip=True) == {key: content}


def test_csv_has_a_header(s3: S3Server, bucket: str) -> None:
    form = {"csv": {"columns": ["id", "name"], "delimiter": ";"}}

    ((key, content),) = put(s3, bucket, {"id": 1, "name": 'a "b"\n;'}, {"id": 2, "name": None}, format=form).items()

    assert key.endswith(".csv")
    assert list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=";")) == [
        ["id", "name"],
        ["1", 'a "b"\n;'],
        ["2", ""],
    ]
    assert put(s3, s3.create_bucket(), [1, 2], format="csv").popitem()[1] == b"1,2\r\n"
    without = {"csv": {"columns": ["id"], "header": False}}
    assert put(s3, s3.create_bucket(), {"id": 1}, format=without).popitem()[1] == b"1\r\n"


_COLUMNS = {
    "id": "int64", "name": "string", "total": "decimal(8, 2)", "placed_at": "timestamp", "day": "date",
    "ratio": "double", "yes": "bool", "lines": "json", "small": "int32", "blob": "binary",
}  # fmt: skip


def test_parquet_has_the_types_that_are_asked_for(s3: S3Server, bucket: str) -> None:
    body = {
        "id": 1, "name": "é", "total": 12.5, "placed_at": "2024-05-01T12:00:00+02:00", "day": "2024-05-01",
        "ratio": 1, "yes": True, "lines": [{"sku": "a"}], "small": 7, "blob": b"\x00", "other": 1,
    }  # fmt: skip

    form = {"parquet": {"columns": _COLUMNS, "compression": "zstd"}}
    ((key, content),) = put(s3, bucket, body, {"id": 2, "total": "0.10"}, format=form).items()

    assert key.endswith(".parquet")
    first, second = pq.read_table(io.BytesIO(content)).to_pylist()
    assert first == {
        "id": 1, "name": "é", "total": Decimal("12.50"), "day": date(2024, 5, 1), "ratio": 1.0, "yes": True,
        "placed_at": datetime(2024, 5, 1, 10, tzinfo=timezone.utc), "lines": '[{"sku":"a"}]', "small": 7,
        "blob": b"\x00",
    }  # fmt: skip
    assert second == {**dict.fromkeys(_COLUMNS), "id": 2, "total": Decimal("0.10")}


def test_parquet_guesses_types(s3: S3Server, bucket: str) -> None:
    bodies = [{"id": 1, "tags": ["a"]}, {"id": 2, "more": {"x": 1.5}}]

    (content,) = put(s3, bucket, *bodies, format="parquet", max_records=5).values()

    assert pq.read_table(io.BytesIO(content)).to_pylist() == [
        {"id": 1, "tags": ["a"], "more": None},
        {"id": 2, "tags": None, "more": {"x": 1.5}},
    ]


@pytest.mark.parametrize(
    ("form", "bodies", "advice"),
    [
        ("json-lines", [{"id": 1}, {"id": 10**30}], "body cannot be encoded"),
        ({"csv": {"columns": ["id"]}}, [{"id": 1}, {"no": 1}], "the body has no 'id'"),
        ("parquet", [{"id": 1}, {"id": "five"}], "column 'id'"),
        ("parquet", [{"id": 1}, {"id": 10**30}], "column 'id'"),
        ("parquet", [{"id": 1}, [1]], "needs an object as body, not list"),
        ({"parquet": {"columns": {"id": "int32"}}}, [{"id": 1}, {"id": 2**31}], "column 'id'"),
        ({"parquet": {"columns": {"id": "timestamp"}}}, [{"id": "2024-05-01"}, {"id": "soon"}], "column 'id'"),
        ({"parquet": {"columns": {"id": "decimal(4, 2)"}}}, [{"id": 1.23}, {"id": 1.234}], "column 'id'"),
    ],
    ids=str,
)
def test_what_cannot_be_encoded_is_named_and_its_neighbours_are_written(
    s3: S3Server, bucket: str, form: Any, bodies: list[Any], advice: str
) -> None:
    writer = putter(s3, bucket, format=form)
    good, bad = bodies
    batch = records(good, bad, good)

    (failure,) = writer.write(batch)

    assert failure.record is batch[1]
    assert isinstance(failure.error, RecordError)
    assert advice in str(failure.error)
    assert len(s3.keys(bucket)) == 1
    writer.close()


def test_a_record_without_a_name_is_a_failure(s3: S3Server, bucket: str) -> None:
    writer = putter(s3, bucket, name=Template("{status}/{batch}"))
    batch = records({"status": "open"}, {"id": 1}, {"status": "x" * 1000})

    failures = writer.write(batch)

    assert [failure.record for failure in failures] == batch[1:]
    assert "status" in str(failures[0].error)
    assert "1 to 1024 bytes, not 1039" in str(failures[1].error)
    writer.close()


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"name": "orders.jsonl"}, "a name without {batch} is the same for every batch"),
        ({"format": "parquet", "gzip": True}, "Parquet compresses by itself"),
        ({"format": {"parquet": {"columns": {"id": "int"}}}}, "'int' is no type of a column; there are string"),
        ({"format": {"parquet": {"columns": {"id": "decimal(40, 2)"}}}}, "1 to 38 digits"),
        ({"format": {"csv": {"encoding": "utf-16"}}}, "line"),
        ({"bucket": "a b"}, "bucket"),
    ],
    ids=str,
)
def test_a_mistake_is_said_before_anything_starts(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(advice)):
        PutObjects.model_validate({"bucket": "orders", **fields})


@pytest.mark.parametrize(
    ("account", "where", "advice"),
    [
        ({}, "missing-bucket", "NoSuchBucket.*the bucket does not exist; check bucket"),
        ({"secret_access_key": "wrong"}, None, "SignatureDoesNotMatch.*check secret_access_key"),
        ({"access_key_id": "nobody"}, None, "InvalidAccessKeyId.*check access_key_id"),
    ],
    ids=str,
)
def test_what_trying_again_cannot_help_stops_the_flow(
    s3proxy: S3Server, account: dict[str, str], where: str | None, advice: str
) -> None:
    target = {**s3proxy.account, **account}
    action = PutObjects(account=AwsAccount(**target), bucket=where or s3proxy.create_bucket())
    writer = open_writer(action)

    with pytest.raises(FatalError, match=advice) as raised:
        writer.write(records(1))

    assert "wrong" not in str(raised.value)
    writer.close()


def test_a_server_that_is_away_is_waited_for(s3: S3Server, bucket: str) -> None:
    with TcpProxy("127.0.0.1", s3.port) as proxy:
        account = AwsAccount(**{**s3.account, "endpoint_url": f"http://127.0.0.1:{proxy.port}"})
        writer = open_writer(PutObjects(account=account, bucket=bucket, max_records=2))
        proxy.down()

        failures = writer.write(records(*range(5)))

        assert len(failures) == 5
        assert all(isinstance(failure.error, TransientError) for failure in failures)
        proxy.up()
        assert list(writer.write([failure.record for failure in failures])) == []
        assert len(s3.keys(bucket)) == 3
        writer.close()
