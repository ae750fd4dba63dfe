"""Readers of queues, and a node that speaks TLS, for the tests of this directory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.records import Record
from sources.rabbitmq import ConsumeQueue, RabbitAccount
from sources.rabbitmq.reader import QueueReader
from tests.pipelines.flows import eventually
from tests.servers.process import server_port
from tests.servers.rabbitmq import RabbitNode

__all__ = ["Open", "read"]


class Open(Protocol):
    """Opens a reader that is closed at the end of the test."""

    def __call__(
        self, account: dict[str, Any], queue: str, *, worker: int = 0, workers: int = 1, **fields: Any
    ) -> QueueReader: ...


@pytest.fixture
def open_reader() -> Iterator[Open]:
    """Opens readers and closes them at the end."""
    readers: list[QueueReader] = []

    def open_one(
        account: dict[str, Any], queue: str, *, worker: int = 0, workers: int = 1, **fields: Any
    ) -> QueueReader:
        trigger = ConsumeQueue(account=RabbitAccount(**account), queue=queue, **fields)
        context = WorkerContext("test", worker, workers, threading.Event(), Health("trigger"))
        readers.append(trigger.open("0", None, context))
        return readers[-1]

    yield open_one
    for reader in readers:
        reader.close(5)


def read(reader: QueueReader, count: int) -> list[Record]:
    """Read until `count` records have come, however many come at a time."""
    records: list[Record] = []

    def read_more() -> bool:
        records.extend(reader.read(count - len(records), 0.05))
        return len(records) == count

    eventually(read_more, f"{count} records are read", lambda: len(records))
    return records


@pytest.fixture(scope="session", name="tls_port")
def _tls_port(rabbitmq: RabbitNode, certificates: Path) -> int:
    """Where the node speaks TLS with whoever comes."""
    return _listen_with_tls(rabbitmq, certificates)


@pytest.fixture(scope="session", name="strict_port")
def _strict_port(rabbitmq: RabbitNode, certificates: Path) -> int:
    """Where the node speaks TLS with clients that have a certificate."""
    return _listen_with_tls(rabbitmq, certificates, ", {verify, verify_peer}, {fail_if_no_peer_cert, true}")


def _listen_with_tls(node: RabbitNode, certificates: Path, options: str = "") -> int:
    port = server_port()
    files = (
        f'{{cacertfile, "{certificates}/ca.pem"}}, {{certfile, "{certificates}/server.pem"}}, '
        f'{{keyfile, "{certificates}/server.key"}}'
    )
    started = node.evaluate(f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, [{files}{options}], 1).')
    assert started == "ok"
    return port
