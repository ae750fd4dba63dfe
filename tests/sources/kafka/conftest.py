"""Readers on a real broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from sources.kafka import ConsumeTopics, KafkaAccount
from sources.kafka.reader import TopicsReader

Open = Callable[..., TopicsReader]


@pytest.fixture
def open_reader() -> Iterator[Open]:
    """Opens readers and closes them at the end."""
    readers: list[TopicsReader] = []

    def open_one(
        account: dict[str, Any],
        *topics: str,
        flow: str = "test",
        partition: str = "0",
        resume: int | None = None,
        worker: int = 0,
        workers: int = 1,
        **fields: Any,
    ) -> TopicsReader:
        if topics:
            fields = {"topics": list(topics), "group": f"of-{topics[0]}", **fields}
        trigger = ConsumeTopics(account=KafkaAccount(**account), **fields)
        context = WorkerContext(flow, worker, workers, threading.Event(), Health("trigger"))
        readers.append(trigger.open(partition, resume, context))
        return readers[-1]

    yield open_one
    for reader in readers:
        reader.close(10)
