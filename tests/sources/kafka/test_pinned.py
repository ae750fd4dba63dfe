"""Partitions that stay where they are: by themselves, and through Bytewax with a real recovery store."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from bytewax.recovery import init_db_dir
from confluent_kafka import Consumer, TopicPartition

from flowspec.errors import FatalError
from sources.kafka import ConsumeTopics, KafkaAccount
from tests.flowspec.delivery.test_cluster import free_addresses
from tests.pipelines.flows import Output, eventually
from tests.servers.kafka import KafkaBroker
from tests.sources.kafka.conftest import Open
from tests.sources.kafka.test_reader import group, numbers, read, values

PARTITIONS = 4
MESSAGES = 6_000


def pinned(account: dict[str, Any], **fields: Any) -> ConsumeTopics:
    return ConsumeTopics(account=KafkaAccount(**account), assignment="pinned", **fields)


def test_all_partitions_of_the_topics_are_listed(kafka: KafkaBroker) -> None:
    first, second = kafka.create_topic(2), kafka.create_topic()
    listed = pinned(kafka.account, topics=[first, second]).partitions(5)
    assert listed == sorted([f"{first}/0", f"{first}/1", f"{second}/0"])
    assert pinned(kafka.account, topic_pattern=f"{second}$").partitions(1) == [f"{second}/0"]


def test_a_topic_that_does_not_exist_cannot_be_listed(kafka: KafkaBroker) -> None:
    with pytest.raises(FatalError, match="does not exist"):
        pinned(kafka.account, topics=["orders-not"]).partitions(1)


def test_a_cluster_that_is_away_is_waited_for(own_kafka: KafkaBroker, caplog: pytest.LogCaptureFixture) -> None:
    topic = own_kafka.create_topic()
    own_kafka.proxy.down()
    listed: list[str] = []
    trigger = pinned(own_kafka.proxied_account, topics=[topic])
    with caplog.at_level(logging.WARNING):
        asking = threading.Thread(target=lambda: listed.extend(trigger.partitions(1)))
        asking.start()
        eventually(lambda: "cannot be listed yet" in caplog.text, "it says what it waits for")
        own_kafka.proxy.up()
        asking.join()
    assert listed == [f"{topic}/0"]


def test_only_its_partition_is_read_from_where_it_resumes(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(2)
    kafka.produce(topic, *values(range(10)), partition=0)
    kafka.produce(topic, *values(range(10, 20)), partition=1)
    reader = open_reader(kafka.account, topic, assignment="pinned", partition=f"{topic}/1", resume=4)
    assert reader.position() == 4

    records = read(reader, 6)

    assert numbers(records) == list(range(14, 20))
    assert reader.read(10, 0.5) == []
    assert reader.position() == 10
    reader.commit(7)
    eventually(lambda: kafka.committed(group(topic), topic) == {1: 7}, "the group knows it")
    reader.commit(10)
    reader.close(5)
    assert kafka.committed(group(topic), topic) == {1: 10}
    again = open_reader(kafka.account, topic, assignment="pinned", partition=f"{topic}/1")
    kafka.produce(topic, b"20", partition=1)
    assert numbers(read(again, 1)) == [20], "without a position it goes on where the group is"


def test_start_is_for_a_partition_without_any_position(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, *values(range(10)))
    reader = open_reader(kafka.account, topic, assignment="pinned", partition=f"{topic}/0", start="latest")
    eventually(lambda: kafka.committed(group(topic), topic) == {0: 10}, "the start is committed")
    kafka.produce(topic, b"10")
    assert numbers(read(reader, 1)) == [10]


def test_a_broker_that_is_away_at_the_start_is_waited_for(own_kafka: KafkaBroker, open_reader: Open) -> None:
    topic = own_kafka.create_topic()
    own_kafka.produce(topic, b"1")
    own_kafka.proxy.down()
    fields = {"assignment": "pinned", "partition": f"{topic}/0", "start": "2024-05-01T00:00:00Z"}
    reader = open_reader(own_kafka.proxied_account, topic, **fields)
    eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
    own_kafka.proxy.up()
    assert numbers(read(reader, 1)) == [1]
    eventually(lambda: reader._health.state == "up", "the trigger says that it is up")


class _Cluster:
    """Processes that run the flow, from the store of those before them."""

    def __init__(self, spec: dict[str, Any], directory: Path) -> None:
        self._spec = json.dumps(spec)
        self._directory = directory

    def start(self, stack: ExitStack, processes: int, until_idle: float = 3600.0) -> list[subprocess.Popen[str]]:
        addresses = ";".join(free_addresses(processes))
        command = [sys.executable, "-m", "tests.sources.kafka.pinned_process", self._spec, addresses]
        started = []
        for number in range(processes):
            process = stack.enter_context(
                subprocess.Popen(
                    [*command, str(number), str(self._directory), str(until_idle)],
                    cwd=Path(__file__).parents[3],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            started.append(process)
        return started


def test_a_recovery_store_is_where_a_flow_resumes(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.create_topic(PARTITIONS)
    for partition in range(PARTITIONS):
        mine = range(partition, MESSAGES, PARTITIONS)
        kafka.produce(topic, *(b'{"id": %d}' % number for number in mine), partition=partition)
    output = Output(tmp_path / "out.jsonl")
    init_db_dir(_made(tmp_path / "store"), 2)
    trigger = {"connector": "kafka", "account": kafka.account, "topics": [topic], "group": group(topic)}
    sink = {"connector": "files", "action": "append", "path": str(output.path)}
    spec = {
        "name": "pinned",
        "trigger": {**trigger, "assignment": "pinned", "batch_size": 20},
        "sink": sink,
    }
    cluster = _Cluster(spec, tmp_path)

    def written() -> int:
        return len({line["id"] for line in output.lines()})

    for processes, count in ((1, 1_000), (2, 2_000), (3, 3_000)):
        with ExitStack() as stack:
            started = cluster.start(stack, processes)
            eventually(lambda count=count: written() >= count, f"{count} are written", written)  # type: ignore[misc]
            # What is committed is in the store; from then on that is where a partition resumes.
            eventually(
                lambda: len(kafka.committed(group(topic), topic)) == PARTITIONS, "the store knows all partitions"
            )
            for process in started:
                process.kill()
        # The group's offsets are for those who look; a flow that went by them would miss all that is left.
        _commit_ends(kafka, topic)
    with ExitStack() as stack:
        (last,) = cluster.start(stack, 1, until_idle=3.0)
        said, _ = last.communicate(timeout=120)
        assert last.returncode == 0, said

    assert {line["id"] for line in output.lines()} == set(range(MESSAGES))
    assert len(output.lines()) < 2 * MESSAGES, "it did not begin again"
    assert kafka.lag(group(topic), topic) == 0


def _commit_ends(kafka: KafkaBroker, topic: str) -> None:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group(topic)})
    ends = [TopicPartition(topic, partition, end) for partition, end in kafka.end_offsets(topic).items()]
    consumer.commit(offsets=ends, asynchronous=False)
    consumer.close()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
