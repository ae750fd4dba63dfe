"""The poller by itself, against real S3-compatible servers."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.polling import Page
from flowspec.records import Record
from sinks.amazon_s3 import PutObjects
from sources.amazon_s3 import AwsAccount, NewObjects
from sources.amazon_s3.bucket import Body, Stored
from sources.amazon_s3.poller import ObjectPoller
from tests.servers.s3 import S3Server
from tests.servers.tcp_proxy import TcpProxy


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.create_bucket()


@contextmanager
def polling(s3: S3Server, bucket: str, **fields: Any) -> Iterator[Polling]:
    """A poller, and where it stands."""
    since = fields.get("since", "beginning")
    account = AwsAccount(**{**s3.account, **fields.pop("account", {})})
    trigger = NewObjects.model_validate({"account": account, "bucket": bucket, **fields})
    poller = trigger.poller(since, WorkerContext("test", 0, 1, threading.Event(), Health("trigger")))
    assert isinstance(poller, ObjectPoller)
    with closing(poller):
        yield Polling(poller)


class Polling:
    """Polls as the reader does."""

    def __init__(self, poller: ObjectPoller) -> None:
        self.poller = poller
        self.cursor: Any = None
        self.failures: list[TransientError] = []
        self.opened: list[tuple[int, int | None]] = []
        """The parts of objects that were asked for."""
        bucket = poller._bucket
        open_object = bucket.open

        def remembered(stored: Stored, offset: int = 0, until: int | None = None) -> Body:
            self.opened.append((offset, until))
            return open_object(stored, offset, until)

        bucket.open = remembered  # type: ignore[method-assign]

    def page(self, most: int = 100) -> Page:
        page = self.poller.poll(self.cursor, most)
        self.cursor = page.cursor
        return page

    def pages(self, most: int = 100) -> Iterator[Page]:
        """What is there at present, whatever fails meanwhile: an empty page stands for a failure."""
        more = True
        while more:
            try:
                page = self.page(most)
            except TransientError as error:
                self.failures.append(error)
                page = Page([], self.cursor, more=True)
            assert len(page.records) <= most
            more = page.more
            yield page

    def all(self, most: int = 100) -> list[Record]:
        """What is there at present."""
        records = [record for page in self.pages(most) for record in page.records]
        assert self.failures == []
        return records

    def some(self, count: int) -> list[Record]:
        """The next so many records, of pages that may end by their time."""
        records: list[Record] = []
        while len(records) < count:
            records += self.page(count - len(records)).records
        return records

    def bodies(self, most: int = 100) -> list[Any]:
        return [record.body for record in self.all(most)]


def json_lines(*bodies: Any) -> bytes:
    return b"".join(json.dumps(body).encode() + b"\n" for body in bodies)


def test_new_objects_are_read_once(any_s3: S3Server) -> None:
    bucket = any_s3.create_bucket()
    with polling(any_s3, bucket, prefix="in/", suffix=".jsonl") as polls:
        assert polls.all() == []
        any_s3.put(bucket, "in/", b"")
        any_s3.put(bucket, "in/b.jsonl", json_lines(1, 2))
        any_s3.put(bucket, "in/é +%20.jsonl", json_lines(3))
        any_s3.put(bucket, "in/empty.jsonl", b"")
        any_s3.put(bucket, "in/c.txt", b"no")
        any_s3.put(bucket, "out/d.jsonl", json_lines("no"))

        assert polls.bodies() == [1, 2, 3]
        assert polls.all() == []
        any_s3.put(bucket, "in/a.jsonl", json_lines(4))
        any_s3.put(bucket, "in/b.jsonl", json_lines(5))
        assert polls.bodies() == [4, 5]
        before = polls.cursor
        assert polls.all() == []
        assert polls.cursor is before, "an idle poll leaves the cursor as it is"


def test_a_record_says_where_it_is_from(any_s3: S3Server) -> None:
    bucket = any_s3.create_bucket()
    began = datetime.now(timezone.utc).replace(microsecond=0)
    content = json_lines({"id": 1}, {"id": 2})
    metadata = {"source": "shop", "name": "=?UTF-8?B?w6k=?="}
    etag = any_s3.client.put_object(Bucket=bucket, Key="a.jsonl", Body=content, Metadata=metadata)["ETag"]

    with polling(any_s3, bucket) as polls:
        first, second = polls.all()

    modified = datetime.fromisoformat(first.meta.pop("modified_at").replace("Z", "+00:00"))
    assert began <= modified <= datetime.now(timezone.utc)
    assert first == Record(
        b'{"id": 1}',
        {"id": 1},
        {"bucket": bucket, "key": "a.jsonl", "etag": etag.strip('"'), "size": len(content), "row": 1, "offset": 0},
        "a.jsonl",
        {"source": "shop", "name": "é"},
    )
    assert (second.meta["row"], second.meta["offset"]) == (2, 10)


def parquet(count: int, groups: int = 3) -> bytes:
    file = io.BytesIO()
    pads = [os.urandom(50).hex() for _ in range(count)]
    table = pa.table({"id": list(range(count)), "pad": pads})
    pq.write_table(table, file, row_group_size=count // groups + 1)
    return file.getvalue()


_IDS = [{"id": number} for number in range(20)]
_CONTENTS: dict[str, tuple[Any, str, bytes, list[Any]]] = {
    "json-lines": ("json-lines", "a.jsonl", json_lines(*_IDS), _IDS),
    "gzip": ("json-lines", "a.jsonl.gz", gzip.compress(json_lines(*_IDS)), _IDS),
    "csv": ("csv", "a.csv", b"id\r\n" + b"".join(b"%d\r\n" % number for number in range(20)),
            [{"id": str(number)} for number in range(20)]),
    "text": ("text", "a.txt", b"a\nb\n\nc", ["a", "b", "c"]),
    "whole-text": ("whole-text", "a.txt", b"a\nb", ["a\nb"]),
    "json": ("json", "a.json", b'{"id": 1}', [{"id": 1}]),
    "items": ({"json": {"items": "orders"}}, "a.json", json.dumps({"orders": _IDS}).encode(), _IDS),
    "bytes": ("bytes", "a.bin", b"\x00\n\x01", [b"\x00\n\x01"]),
    "parquet": ({"parquet": {"columns": ["id"]}}, "a.parquet", parquet(20), _IDS),
}  # fmt: skip


@pytest.mark.parametrize("which", _CONTENTS)
def test_every_format_goes_on_behind_any_row(s3: S3Server, bucket: str, which: str) -> None:
    form, key, content, bodies = _CONTENTS[which]
    s3.put(bucket, key, content)
    s3.put(bucket, f"b-{key}", content)
    with polling(s3, bucket, format=form) as polls:
        page = polls.page()
        assert [record.body for record in page.records] == bodies * 2
        assert page.part is not None
        for count in range(1, 2 * len(bodies), 1 + len(bodies) // 7):
            # As after a kill: another process, with what was saved.
            polls.cursor = json.loads(json.dumps(page.part(count)))
            assert polls.bodies(7) == (bodies * 2)[count:]
            assert polls.all() == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({}, {}),
        ({"gzip": True}, {}),
        ({"format": {"csv": {"columns": ["id", "name"], "delimiter": ";"}}}, {"format": {"csv": {"delimiter": ";"}}}),
        ({"format": {"parquet": {"columns": {"id": "string", "name": "string"}}}}, {"format": "parquet"}),
    ],
    ids=str,
)
def test_what_the_sink_writes_is_read(s3: S3Server, bucket: str, written: dict[str, Any], read: dict[str, Any]) -> None:
    bodies = [{"id": str(number), "name": 'é "quoted";\nline'} for number in range(50)]
    account = AwsAccount(**s3.account)
    action = PutObjects.model_validate({"account": account, "bucket": bucket, "max_records": 20, **written})
    writer = action.open(WorkerContext("test", 0, 1, threading.Event(), Health("sink")))
    assert list(writer.write([Record("raw", body) for body in bodies])) == []
    writer.close()

    with polling(s3, bucket, **read) as polls:
        assert sorted(polls.bodies(), key=lambda body: int(body["id"])) == bodies


def test_large_objects_are_streamed(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "large.jsonl", json_lines(*({"id": number, "pad": "x" * 100_000} for number in range(600))))
    with polling(s3, bucket) as polls:
        tracemalloc.start()
        pages = [[record.body["id"] for record in page.records] for page in polls.pages(1000)]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert [number for page in pages for number in page] == list(range(600))
    assert max(map(len, pages)) < 100, "a page has a bound in bytes"
    assert peak < 45_000_000, "two pages, as received and decoded, and not the 60 MB of the object"
    assert len(polls.opened) == 1, "it is one request"


def test_a_cut_connection_costs_no_row_and_repeats_none(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "large.jsonl", json_lines(*({"id": number, "pad": "x" * 100_000} for number in range(200))))
    with TcpProxy("127.0.0.1", s3.port) as proxy:
        # So slow that it is never read to the end before it is cut.
        proxy.delay(0.001)
        with polling(s3, bucket, account={"endpoint_url": f"http://127.0.0.1:{proxy.port}"}) as polls:
            seen: list[int] = []
            for page in polls.pages(20):
                seen += [record.body["id"] for record in page.records]
                if page.records:
                    proxy.cut()
    assert seen == list(range(200))
    offsets = [offset for offset, _ in polls.opened]
    assert len(offsets) > 2
    assert offsets == sorted(offsets), "each request goes on where the last one was cut"


def test_parquet_is_read_in_pieces(s3: S3Server, bucket: str) -> None:
    content = parquet(20_000)
    assert len(content) > 1_100_000
    s3.put(bucket, "a.parquet", content)
    with TcpProxy("127.0.0.1", s3.port) as proxy:
        proxied = {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}
        with polling(s3, bucket, format="parquet", account=proxied) as polls:
            seen: list[int] = []
            for page in polls.pages(1000):
                if page.records and not seen:
                    proxy.down()
                seen += [record.body["id"] for record in page.records]
                if polls.failures:
                    proxy.up()
    assert seen == list(range(20_000))
    assert polls.failures
    assert all(until is not None for _, until in polls.opened), "no request is for more than a piece"


@pytest.mark.parametrize("order", ["modified", "key"])
def test_an_object_that_is_replaced_in_the_middle_is_read_anew(s3: S3Server, bucket: str, order: str) -> None:
    s3.put(bucket, "a", json_lines(*range(20)))
    s3.put(bucket, "b", json_lines("b"))
    with polling(s3, bucket, order=order) as polls:
        assert [record.body for record in polls.some(5)] == [0, 1, 2, 3, 4]
        saved = json.loads(json.dumps(polls.cursor))
    s3.put(bucket, "a", json_lines(*range(100, 110)))

    with polling(s3, bucket, order=order) as polls:
        polls.cursor = saved
        assert polls.bodies(7) == [*range(100, 110), "b"]
        assert polls.all() == []


def test_an_object_that_is_deleted_in_the_middle_is_passed_over(
    s3: S3Server, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    s3.put(bucket, "a", json_lines(*range(20)))
    s3.put(bucket, "b", json_lines("b"))
    with polling(s3, bucket) as polls:
        polls.some(5)
        saved = json.loads(json.dumps(polls.cursor))
    s3.client.delete_object(Bucket=bucket, Key="a")

    with polling(s3, bucket) as polls:
        polls.cursor = saved
        assert polls.bodies() == ["b"]
    assert f"s3://{bucket}/a was deleted before it was read to its end" in caplog.text


def test_a_change_of_the_format_begins_the_object_anew(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "a", b"1\n2\n3\n")
    with polling(s3, bucket) as polls:
        assert [record.body for record in polls.some(2)] == [1, 2]
        saved = polls.cursor
    with polling(s3, bucket, format="text") as polls:
        polls.cursor = saved
        assert polls.bodies() == ["1", "2", "3"]


def test_what_is_no_row_is_a_dead_letter(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "a.jsonl", b"1\n{\n2\n")
    s3.put(bucket, "b.jsonl.gz", b"not gzip")
    s3.put(bucket, "c.jsonl", b"[" + b" " * 2000 + b"]\n3\n")
    with polling(s3, bucket, max_row=1000) as polls:
        one, broken, two, spoilt, long, three = polls.all()

    assert [one.body, two.body, three.body] == [1, 2, 3]
    for record, said in ((broken, "the line is not json"), (spoilt, "gzip"), (long, "longer than 1000 bytes")):
        assert isinstance(record.body, RecordError)
        assert said in str(record.body)
        assert record.meta["bucket"] == bucket
    assert broken.raw == b"{"


def test_an_archived_object_is_a_dead_letter(s3: S3Server, bucket: str) -> None:
    s3.client.put_object(Bucket=bucket, Key="a", Body=b"1\n", StorageClass="GLACIER")
    s3.put(bucket, "b", b"2\n")
    with polling(s3, bucket) as polls:
        archived, read = polls.all()
        assert polls.all() == []

    assert isinstance(archived.body, RecordError)
    assert "has to be restored from its archive first" in str(archived.body)
    assert archived.meta["key"] == "a"
    assert read.body == 2


@pytest.mark.parametrize("order", ["modified", "key"])
def test_now_leaves_out_what_is_there(s3: S3Server, bucket: str, order: str) -> None:
    s3.put(bucket, "a", b"1\n")
    time.sleep(1.1)  # The server tells its time in seconds.
    with polling(s3, bucket, since="now", order=order) as polls:
        assert polls.all() == []
        s3.put(bucket, "b", b"2\n")
        saved = json.loads(json.dumps(polls.cursor))
    with polling(s3, bucket, since="now", order=order) as polls:
        polls.cursor = saved
        assert polls.bodies() == [2]


def test_a_value_is_something_to_begin_behind(s3: S3Server, bucket: str) -> None:
    for key in "abc":
        s3.put(bucket, key, json_lines(key))
    with polling(s3, bucket, order="key", since="a") as polls:
        assert polls.bodies() == ["b", "c"]
    hour = timedelta(hours=1)
    for since, expected in (
        (datetime.now(timezone.utc) - hour, ["a", "b", "c"]),
        (datetime.now(timezone.utc) + hour, []),
    ):
        with polling(s3, bucket, since=since.isoformat()) as polls:
            assert polls.bodies() == expected


def test_by_key_what_is_young_waits_for_what_may_come_before_it(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "2", b"2\n")
    with polling(s3, bucket, order="key", lag="3s") as polls:
        assert polls.all() == []
        s3.put(bucket, "1", b"1\n")
        seen: list[Any] = []
        until = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < until:
            seen += polls.bodies()
            time.sleep(0.05)
    assert seen == [1, 2]


def test_many_objects_are_listed_in_pages(s3: S3Server, bucket: str) -> None:
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda number: s3.put(bucket, f"{number:04}", b"%d\n" % number), range(1100)))
    for order in ("modified", "key"):
        with polling(s3, bucket, order=order, readers=4) as polls:
            assert polls.bodies(300) == list(range(1100))
            assert polls.all() == []


def test_delivered_objects_are_deleted(any_s3: S3Server) -> None:
    bucket = any_s3.create_bucket()
    for key in "abc":
        any_s3.put(bucket, key, json_lines(key, key))
    with polling(any_s3, bucket, after="delete") as polls:
        page = polls.page(3)
        assert page.part is not None
        polls.poller.settle(page.part(1))
        assert any_s3.keys(bucket) == ["a", "b", "c"], "nothing is deleted before it is delivered as a whole"
        polls.poller.settle(page.part(2))
        assert any_s3.keys(bucket) == ["b", "c"]
        assert len(polls.all()) == 3
        any_s3.put(bucket, "c", json_lines("new"))
        saved = json.loads(json.dumps(polls.cursor))

    with polling(any_s3, bucket, after="delete") as polls:
        for _ in range(2):
            polls.poller.settle(saved)
            assert any_s3.keys(bucket) == ["c"], "what was put in its place stays"
        polls.cursor = saved
        assert polls.bodies() == ["new"]
        polls.poller.settle(polls.cursor)
        assert any_s3.keys(bucket) == []
        polls.all()
        assert "leaving" not in polls.cursor


def test_a_poll_that_is_cancelled_ends(s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "a", b"1\n")
    with TcpProxy("127.0.0.1", s3.port) as proxy:
        proxied = {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}
        with polling(s3, bucket, account=proxied) as polls:
            polls.poller.cancel()
            assert polls.bodies() == [1], "one that comes when nothing is under way"
            proxy.delay(0.5)
            canceller = threading.Timer(0.1, polls.poller.cancel)
            canceller.start()
            with pytest.raises(TransientError, match="cancelled"):
                polls.page()
            canceller.join()
            proxy.delay(0)
            assert polls.all() == []


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
    with (
        polling(s3proxy, where or s3proxy.create_bucket(), account=account) as polls,
        pytest.raises(FatalError, match=advice) as raised,
    ):
        polls.all()

    assert "wrong" not in str(raised.value)


def test_a_beginning_that_is_none_is_said_before_anything_starts(s3: S3Server) -> None:
    with pytest.raises(ValidationError, match="'soon' is nothing to begin at"):
        NewObjects(bucket="orders", since="soon")
    trigger = NewObjects(bucket="orders", account=AwsAccount(**s3.account))
    with pytest.raises(FatalError, match="'soon' is nothing to begin at"):
        trigger.poller("soon", WorkerContext("test", 0, 1, threading.Event(), Health("trigger")))
