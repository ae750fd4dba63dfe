"""What the suite must know of Amazon S3."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Mapping, Sequence
from email.header import Header
from typing import Any, ClassVar

from sinks.testing import Received, SinkHarness
from sources.testing import PollingHarness
from tests.conformance.proxied import Proxied
from tests.servers.s3 import S3Server
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["ObjectsByKey", "ObjectsByTime", "ObjectsSink"]


class _Bucket(Proxied):
    """A bucket with a proxy before its server."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self._bucket = server.create_bucket()
        self._proxy = TcpProxy("127.0.0.1", server.port)
        self._proxy.__enter__()

    def close(self) -> None:
        self._proxy.__exit__(None, None, None)

    def _spec(self, fields: dict[str, Any], *, proxied: bool = False) -> dict[str, Any]:
        proxy = {"endpoint_url": f"http://127.0.0.1:{self._proxy.port}"} if proxied else {}
        account = {**self._server.account, **proxy}
        return {"connector": "amazon-s3", "account": account, "bucket": self._bucket, **fields}


class ObjectsByTime(_Bucket, PollingHarness):
    """Objects of any names, read by the time of their modification, that are deleted when they are delivered."""

    event = "amazon-s3.new-objects"
    many = 10_000
    backlog = 2_000
    flood = (500, 200_000)
    order: ClassVar[dict[str, Any]] = {"order": "modified", "after": "delete"}

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        self._rows: dict[str, int] = {}

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return self._spec({"interval": "50ms", **self.order, **fields})

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self._spec({"interval": "50ms", **self.order, **fields}, proxied=True)

    def missing(self) -> dict[str, Any]:
        return self.trigger(bucket="missing-bucket")

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._put(f"{uuid.uuid4()}.jsonl", payloads, headers or {})

    def _put(self, name: str, payloads: Sequence[bytes], headers: Mapping[str, str]) -> None:
        # Metadata is ASCII; S3 writes other characters as mail does.
        metadata = {
            each: value if value.isascii() else Header(value, "utf-8").encode() for each, value in headers.items()
        }
        self._rows[name] = len(payloads)
        self._server.client.put_object(
            Bucket=self._bucket, Key=name, Body=b"".join(payload + b"\n" for payload in payloads), Metadata=metadata
        )

    def left(self) -> int:
        return self._rows_of(self._server.keys(self._bucket)) - self._read_of_half()

    def _rows_of(self, keys: Sequence[str]) -> int:
        return sum(self._rows[key] for key in keys)

    def _read_of_half(self) -> int:
        half = (self.saved_cursor() or {}).get("half")
        return half["after"]["row"] if half and half["after"] else 0


class ObjectsByKey(ObjectsByTime):
    """Objects whose names grow, that stay."""

    order: ClassVar = {"order": "key"}
    keys = ("the bucket",)

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        self._numbers = itertools.count()
        self._sending = threading.Lock()

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        with self._sending:
            self._put(f"{next(self._numbers):09}.jsonl", payloads, headers or {})

    def left(self) -> int:
        last = (self.saved_cursor() or {"at": ""})["at"]
        return self._rows_of([key for key in self._rows if key > last]) - self._read_of_half()


class ObjectsSink(_Bucket, SinkHarness):
    """A bucket that somebody lists."""

    upserting: ClassVar = {"name": "{id}.json", "max_records": 1}

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        self._seen: set[tuple[str, str]] = set()
        self._received: list[Received] = []

    def action(self, **fields: Any) -> dict[str, Any]:
        return self._spec({"action": "put-objects", **fields})

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self._spec({"action": "put-objects", **fields}, proxied=True)

    def missing(self) -> dict[str, Any]:
        return self.action(bucket="missing-bucket")

    def received(self) -> Sequence[Received]:
        pages = self._server.client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        found = [each for page in pages for each in page.get("Contents", ())]
        for each in sorted(found, key=lambda each: each["LastModified"]):
            if (identity := (each["Key"], each["ETag"])) not in self._seen:
                self._seen.add(identity)
                lines = self._server.get(self._bucket, each["Key"]).splitlines()
                self._received += [Received(line) for line in lines]
        return self._received
