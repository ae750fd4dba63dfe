"""What the suite must know of Amazon SQS."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit

from sinks.testing import Received, SinkHarness
from sources.testing import TriggerHarness
from tests.conformance.proxied import Proxied
from tests.servers.proxy import FaultyProxy
from tests.servers.sqs import SqsServer
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["FifoQueue", "FifoQueueSink", "StandardQueue", "StandardQueueSink"]

_QUICK = {"wait_time": 1, "prefetch": 40}
_COMMITS = "DeleteMessageBatch"
_MOST_BYTES = 200_000
"""Of one call."""


class _Queue(Proxied):
    """A queue with two proxies before its server: one fails single calls, the other, in front of it, connections."""

    fifo = False
    attributes: ClassVar[dict[str, str]] = {}

    def __init__(self, server: SqsServer) -> None:
        self._server = server
        self._url = server.create_queue(fifo=self.fifo, **self.attributes)
        self._proxies = ExitStack()
        self._calls = self._proxies.enter_context(FaultyProxy(server.endpoint))
        port = urlsplit(self._calls.endpoint).port or 0
        self._proxy = self._proxies.enter_context(TcpProxy("127.0.0.1", port))

    def close(self) -> None:
        self._proxies.close()

    def _spec(self, fields: dict[str, Any], *, proxied: bool = False) -> dict[str, Any]:
        proxy = {"endpoint_url": f"http://127.0.0.1:{self._proxy.port}"} if proxied else {}
        account = {**self._server.account, **proxy}
        return {"connector": "amazon-sqs", "account": account, "queue_url": self._url, **fields}

    def _missing(self) -> str:
        return f"{self._url.removesuffix('.fifo')}-missing" + (".fifo" if self.fifo else "")


class StandardQueue(_Queue, TriggerHarness):
    """A queue without order; its client is boto3."""

    many = 20_000
    backlog = 1_000
    flood = (500, 200_000)
    shared = True
    taken_back = "messages were lost before they were deleted"
    ack_timeout = 6.0
    attributes: ClassVar = {"VisibilityTimeout": f"{ack_timeout:.0f}"}

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return self._spec({**_QUICK, **fields})

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self._spec({**_QUICK, **fields}, proxied=True)

    def missing(self) -> dict[str, Any]:
        return self.trigger(queue_url=self._missing())

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        attributes: Any = {
            name: {"DataType": "String", "StringValue": value} for name, value in (headers or {}).items()
        }
        for batch in _calls(payloads):
            entries: Any = [
                {
                    "Id": str(number),
                    "MessageBody": payload.decode(),
                    "MessageAttributes": attributes,
                    **self._order(payload, key),
                }
                for number, payload in enumerate(batch)
            ]
            answer = self._server.client.send_message_batch(QueueUrl=self._url, Entries=entries)
            assert not answer.get("Failed"), answer["Failed"]

    def _order(self, payload: bytes, key: str | None) -> dict[str, str]:
        return {}

    def left(self) -> int:
        return sum(self._server.depth(self._url))

    @contextmanager
    def refusing_commits(self) -> Iterator[None]:
        self._calls.refuse(_COMMITS)
        try:
            yield
        finally:
            self._calls.allow(_COMMITS)


class FifoQueue(StandardQueue):
    """A queue that keeps the order of each message group."""

    fifo = True
    many = 2_000
    keys = ("a", "b", "c")
    _ids = itertools.count()

    def _order(self, payload: bytes, key: str | None) -> dict[str, str]:
        # A message without a key is a group of its own.
        unique = f"message-{next(self._ids)}"
        return {"MessageGroupId": key or unique, "MessageDeduplicationId": unique}


class StandardQueueSink(_Queue, SinkHarness):
    """A queue that messages are received from, by boto3."""

    headers_field = "attributes"
    too_large = 2_000_000

    def __init__(self, server: SqsServer) -> None:
        super().__init__(server)
        self._received: list[Received] = []

    def action(self, **fields: Any) -> dict[str, Any]:
        return self._spec({**self._order(), **fields})

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self._spec({**self._order(), **fields}, proxied=True)

    def _order(self) -> dict[str, str]:
        return {}

    def missing(self) -> dict[str, Any]:
        return self.action(queue_url=self._missing())

    def received(self) -> list[Received]:
        while messages := self._server.client.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            entries: Any = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
            assert not self._server.client.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed")
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                headers = {name: value["StringValue"] for name, value in attributes.items()}
                self._received.append(Received(message["Body"].encode(), headers))
        return self._received


class FifoQueueSink(StandardQueueSink):
    """A queue that keeps the order of each message group."""

    fifo = True
    attributes: ClassVar = {"ContentBasedDeduplication": "true"}
    ordered: ClassVar = {"group_id": "{group}"}

    def _order(self) -> dict[str, str]:
        # A message is a group of its own.
        return {"group_id": "{id}"}


def _calls(payloads: Sequence[bytes]) -> Iterator[list[bytes]]:
    call: list[bytes] = []
    for payload in payloads:
        if call and (len(call) == 10 or sum(map(len, call)) + len(payload) > _MOST_BYTES):
            yield call
            call = []
        call.append(payload)
    if call:
        yield call
