"""Looking at topics of a real broker: the records are what the flow would read, and the group does not notice."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from flowspec.records import Record
from sources.kafka import ConsumeTopics, KafkaAccount
from sources.testing.lab import Lab, numbered
from tests.pipelines.flows import eventually
from tests.servers.kafka import KafkaBroker
from tests.sources.kafka.conftest import Open
from tests.sources.kafka.test_reader import group, read

CONTEXT = WorkerContext("looking", 0, 1, threading.Event(), Health("trigger"))


def sample(account: dict[str, Any], topic: str, most: int = 10, wait: float = 5.0, **fields: Any) -> list[Record]:
    trigger = ConsumeTopics(account=KafkaAccount(**account), topics=[topic], **{"group": group(topic), **fields})
    return trigger.sample(most, wait, CONTEXT)


def test_the_records_are_those_that_are_read(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, b'{"id": 1}', None, key=b"k", headers=[("source", b"shop")], timestamp=1_714_521_600_123)

    looked_at = sample(kafka.account, topic)

    assert looked_at == read(open_reader(kafka.account, topic), 2)
    trigger = ConsumeTopics(account=KafkaAccount(**kafka.account), topics=[topic])
    assert [trigger.identity(record) for record in looked_at] == [f"{topic}/0/0", f"{topic}/0/1"]


def test_a_look_begins_where_the_group_is(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, b"0", b"1", b"2", b"3")
    reader = open_reader(kafka.account, topic)
    read(reader, 2, most=2)
    reader.commit(reader.position())
    eventually(lambda: kafka.committed(group(topic), topic) == {0: 2}, "it is committed")

    for start in ("earliest", "latest"):
        assert [record.raw for record in sample(kafka.account, topic, start=start)] == [b"2", b"3"]
    assert [record.raw for record in sample(kafka.account, topic, most=1)] == [b"2"]
    assert kafka.committed(group(topic), topic) == {0: 2}
    reader.close(10)
    assert kafka.committed(group(topic), topic) == {0: 2}


def test_a_group_without_offsets_begins_where_the_flow_would(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, b"old", timestamp=1_000_000_000_000)
    kafka.produce(topic, b"new", timestamp=1_600_000_000_000)

    assert [record.raw for record in sample(kafka.account, topic)] == [b"old", b"new"]
    assert [record.raw for record in sample(kafka.account, topic, start="2015-01-01T00:00:00Z")] == [b"new"]
    assert sample(kafka.account, topic, wait=0.5, start="latest") == []
    assert kafka.committed(group(topic), topic) == {}, "a look commits no start"


def test_nothing_there_is_no_error(kafka: KafkaBroker) -> None:
    assert sample(kafka.account, kafka.create_topic(partitions=2), wait=0.5) == []


def test_a_topic_that_does_not_exist(kafka: KafkaBroker) -> None:
    with pytest.raises(FatalError, match="the topic does not exist"):
        sample(kafka.account, "orders-missing")


def test_a_running_flow_does_not_notice(kafka: KafkaBroker, tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    topic = kafka.create_topic()
    spec = {
        "connector": "kafka",
        "event": "consume-topics",
        "account": kafka.account,
        "topics": [topic],
        "group": group(topic),
        "batch_size": 20,
    }
    flow = lab.flow(spec)
    kafka.produce(topic, *numbered(range(2_000)))
    with flow.running():
        lab.wait_for(1)
        for _ in range(3):
            sample(kafka.account, topic, wait=1.0)
        kafka.produce(topic, *numbered(range(2_000, 2_500)))
        lab.wait_for(2_500)
        eventually(lambda: kafka.lag(group(topic), topic) == 0, "all are committed")
        assert flow.health() is not None
    assert lab.ids() == list(range(2_500)), "complete, once, in order"
