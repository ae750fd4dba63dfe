"""A flow from Kafka to Kafka, exactly once: killed, joined by others, cut off, fenced."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tests.pipelines.flows import RunningFlow, eventually
from tests.servers.kafka import KafkaBroker

PARTITIONS = 3
RECORDS = 20_000
KILLS = 10
BACKLOG = 1_000
"""The topic is fed at the flow's pace, so that the kills are spread over all of it."""
SESSION = {"session.timeout.ms": 6_000}
"""The shortest that a broker allows: how long the group waits for a member that was killed."""


class Sight:
    """What those see who read a topic with `read_committed`, as it comes."""

    def __init__(self, kafka: KafkaBroker, topic: str) -> None:
        self.ids: Counter[int] = Counter()
        self.by: Counter[str] = Counter()
        """How many each flow has written, by its transactional id."""
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap_servers,
                "group.id": "sight",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        partitions = self._consumer.list_topics(topic, 60).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])

    def count(self) -> int:
        """How many different ids there are."""
        for message in self._consumer.consume(1000, 0.05):
            if message.error() is None:
                self.ids[json.loads(message.value() or b"")["id"]] += 1
                self.by[str(dict(message.headers() or [])["by"])] += 1
        return len(self.ids)

    def reach(self, count: int) -> None:
        eventually(lambda: self.count() >= count, f"{count} records are seen", progress=self.count)

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def seen(kafka: KafkaBroker, topic: str) -> Iterator[Sight]:
    sight = Sight(kafka, topic)
    try:
        yield sight
    finally:
        sight.close()


class Feeder(threading.Thread):
    """Puts numbered records into a topic, never far ahead of what is seen at the other end."""

    def __init__(self, kafka: KafkaBroker, topic: str, sight: Sight, records: int | None = RECORDS) -> None:
        super().__init__(name="feeder", daemon=True)
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        self._topic = topic
        self._sight = sight
        self._numbers = itertools.count() if records is None else range(records)
        self.fed = 0
        self.enough = threading.Event()

    def run(self) -> None:
        for number in self._numbers:
            while number - len(self._sight.ids) > BACKLOG:
                threading.Event().wait(0.01)
            if self.enough.is_set():
                break
            self._producer.produce(self._topic, json.dumps({"id": number}), str(number))
            if number % 100 == 99:
                self._producer.flush()
            self.fed = number + 1
        self._producer.flush()


def spec(account: dict[str, Any], source: str, target: str, **sink: Any) -> dict[str, Any]:
    account = {**account, "properties": SESSION}
    return {
        "name": source.replace("topic", "flow"),
        "trigger": {"connector": "kafka", "account": account, "topics": [source], "batch_size": 100},
        "steps": [{"map": {"id": "id", "double": "id * 2"}}],
        "sink": {
            "connector": "kafka",
            "account": account,
            "topic": target,
            "key": "id",
            "headers": {"by": sink.get("transactional_id", "only")},
            "exactly_once": True,
            **sink,
        },
    }


def group_of(flow: RunningFlow) -> str:
    name: str = json.loads((flow.directory / "spec.json").read_text())["name"]
    return name


def ends(kafka: KafkaBroker, flow: RunningFlow, source: str) -> None:
    """Stop a flow that has seen all there is; the group then has committed all of it."""
    eventually(lambda: kafka.lag(group_of(flow), source) == 0, "all is committed")
    assert flow.terminate() == 0, flow.log.read_text()


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one worker", "two workers"])
def test_killed_ten_times(kafka: KafkaBroker, tmp_path: Path, options: tuple[str, ...]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = sorted(random.Random(seed).sample(range(RECORDS // 20, RECORDS - RECORDS // 20), KILLS))
    source, target = kafka.create_topic(PARTITIONS), kafka.create_topic(PARTITIONS)
    flow = RunningFlow(tmp_path, spec(kafka.account, source, target), *options)
    with seen(kafka, target) as sight:
        Feeder(kafka, source, sight).start()
        for moment in moments:
            flow.start()
            sight.reach(moment)
            flow.kill()
        flow.start()
        sight.reach(RECORDS)
        ends(kafka, flow, source)
        assert sight.count() == RECORDS

    assert set(sight.ids.values()) == {1}, "each exactly once"
    uncommitted = len(kafka.consume(target)) - RECORDS
    print(f"{RECORDS} records, {KILLS} kills: {uncommitted} were written and never committed")


def test_others_join_and_leave(kafka: KafkaBroker, tmp_path: Path) -> None:
    source, target = kafka.create_topic(PARTITIONS), kafka.create_topic(PARTITIONS)
    ids = [f"{source}-first", f"{source}-second"]
    for name in ids:
        (tmp_path / name).mkdir()
    first, second = (
        RunningFlow(tmp_path / name, spec(kafka.account, source, target, transactional_id=name, transaction_timeout=5))
        for name in ids
    )
    with seen(kafka, target) as sight:
        feeder = Feeder(kafka, source, sight, None)
        feeder.start()

        writers = [str(name.encode()) for name in ids]

        def both_write() -> None:
            goals = {name: sight.by[name] + BACKLOG for name in writers}
            eventually(
                lambda: sight.count() > 0 and all(sight.by[name] >= goals[name] for name in writers),
                "both write",
            )

        first.start()
        for _ in range(3):
            second.start()
            both_write()
            assert second.terminate() == 0, second.log.read_text()
        second.start()
        both_write()
        second.kill()
        sight.reach(len(sight.ids) + BACKLOG)
        feeder.enough.set()
        feeder.join()
        sight.reach(feeder.fed)
        ends(kafka, first, source)
        sight.count()

    assert set(sight.ids.values()) == {1}, "each exactly once"
    assert "down" not in first.log.read_text(), "a rebalance is no trouble"
    print(f"{feeder.fed} records: {sight.by}")


def test_a_broker_that_is_killed_and_a_connection_that_is_cut(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    source, target = own_kafka.create_topic(PARTITIONS), own_kafka.create_topic(PARTITIONS)
    flow = RunningFlow(tmp_path, spec(own_kafka.proxied_account, source, target))
    with seen(own_kafka, target) as sight:
        Feeder(own_kafka, source, sight).start()
        with flow.running():
            sight.reach(RECORDS // 10)
            own_kafka.kill()
            own_kafka.start()
            for tenth in range(2, 8):
                sight.reach(RECORDS * tenth // 10)
                own_kafka.proxy.cut()
            sight.reach(RECORDS)
            ends(own_kafka, flow, source)
        assert sight.count() == RECORDS

    assert set(sight.ids.values()) == {1}, "each exactly once"


def test_what_is_filtered_and_what_is_a_dead_letter_is_committed_as_well(kafka: KafkaBroker, tmp_path: Path) -> None:
    source, target = kafka.create_topic(), kafka.create_topic()
    flow = RunningFlow(
        tmp_path,
        {**spec(kafka.account, source, target, partition="0 if id % 7 else 99"), "steps": [{"filter": "id % 2"}]},
    )
    kafka.produce(source, *(json.dumps({"id": number}).encode() for number in range(100)), b"no JSON")
    with seen(kafka, target) as sight:
        flow.start()
        wanted = [number for number in range(1, 100, 2) if number % 7]
        sight.reach(len(wanted))
        kafka.produce(source, b'{"id": 0}')
        ends(kafka, flow, source)
        assert sight.count() == len(wanted)

    assert dict(sight.ids) == dict.fromkeys(wanted, 1)
    assert sorted(letter["step"] for letter in flow.dead_letters()) == ["decode"] + ["kafka-produce"] * 7


def test_a_replica_with_the_same_id_ends_the_other(kafka: KafkaBroker, tmp_path: Path) -> None:
    source, target = kafka.create_topic(2), kafka.create_topic()
    flows = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        flows.append(RunningFlow(tmp_path / name, spec(kafka.account, source, target)))
    first, second = flows
    with seen(kafka, target) as sight:
        first.start()
        kafka.produce(source, b'{"id": 0}')
        sight.reach(1)
        second.start()

        def feed() -> bool:
            kafka.produce(source, b'{"id": 1}', partition=0)
            kafka.produce(source, b'{"id": 1}', partition=1)
            return first.process.poll() is not None

        eventually(feed, "the first one ends")
        assert first.process.returncode == 1
        assert "another producer uses the same transactional id; give each replica its own" in first.log.read_text()
        assert second.terminate() == 0
