"""The reader by itself, against a real broker."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewPartitions, NewTopic

from flowspec.errors import FatalError
from flowspec.records import Record
from sources.kafka import ConsumeTopics
from sources.kafka.reader import TopicsReader
from tests.pipelines.flows import eventually
from tests.servers.kafka import KafkaBroker
from tests.servers.kafka_commits import check_owners, commits
from tests.servers.missing import missing
from tests.sources.kafka.conftest import Open

SHORT = {"session_timeout_ms": 6000, "max_poll_interval_ms": 6000, "heartbeat_interval_ms": 1000}


def read(reader: TopicsReader, count: int, most: int = 500) -> list[Record]:
    """Read until `count` records have come, however many come at a time."""
    records: list[Record] = []

    def read_more() -> bool:
        records.extend(reader.read(min(most, count - len(records)), 0.05))
        return len(records) == count

    eventually(read_more, f"{count} records are read", lambda: len(records))
    return records


def numbers(records: list[Record]) -> list[Any]:
    return [json.loads(record.raw) for record in records]


def values(of: range) -> list[bytes]:
    return [b"%d" % number for number in of]


def group(topic: str) -> str:
    return f"of-{topic}"


def with_properties(account: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {**account, "properties": {name.replace("_", "."): value for name, value in properties.items()}}


def test_messages_come_with_all_that_kafka_says(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=2)
    kafka.produce(
        topic,
        b'{"id": 7}',
        key="schlüssel".encode(),
        headers=[("source", b"shop"), ("raw", b"\x00\xff"), ("nothing", None), ("tag", b"a"), ("tag", b"b"), ("", b"")],
        partition=1,
        timestamp=1_714_521_600_123,
    )

    (record,) = read(open_reader(kafka.account, topic), 1)

    assert record.raw == b'{"id": 7}'
    assert record.key == "schlüssel"
    assert record.headers == {"source": "shop", "raw": b"\x00\xff", "nothing": None, "tag": ["a", "b"], "": ""}
    assert record.meta == {
        "topic": topic,
        "partition": 1,
        "offset": 0,
        "timestamp": datetime(2024, 5, 1, 0, 0, 0, 123_000, tzinfo=timezone.utc),
        "tombstone": False,
        "assignment": record.meta["assignment"],
    }


def test_odd_messages_come_as_they_were_sent(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, None, key=b"\xff\x00")
    kafka.produce(topic, b"", key=b"")
    kafka.produce(topic, b"\x00\xff")
    kafka.produce(topic, b"x" * 900_000)
    kafka.produce(topic, b"far", timestamp=2**60)
    reader = open_reader(kafka.account, topic, format="text")

    tombstone, empty, binary, large, far = read(reader, 5)

    assert (tombstone.raw, tombstone.key, tombstone.meta["tombstone"]) == (b"", b"\xff\x00", True)
    assert (empty.raw, empty.key, empty.meta["tombstone"]) == (b"", "", False)
    assert (binary.raw, binary.key) == (b"\x00\xff", None)
    assert len(large.raw) == 900_000
    assert (far.raw, far.meta["timestamp"]) == (b"far", None), "no calendar has that year"
    decode = ConsumeTopics(account="kafka", topics=["orders"], format="text").decoder()
    assert (decode(tombstone.raw), decode(empty.raw)) == (None, "")


def test_a_header_whose_name_is_no_text_holds_up_nothing(
    kafka: KafkaBroker, open_reader: Open, caplog: pytest.LogCaptureFixture
) -> None:
    if (kcat := shutil.which("kcat")) is None:
        missing("kcat", "apt-get install kcat; no client of Python sends such a header")
    topic = kafka.create_topic()
    kafka.produce(topic, *[b"0"] * 50, headers=[("source", b"shop")])
    command: list[str | bytes] = [
        kcat,
        "-P",
        "-b",
        kafka.bootstrap_servers,
        "-t",
        topic,
        "-H",
        b"\xff=1",
        "-H",
        "source=shop",
    ]
    subprocess.run(command, input=b"1", check=True)
    kafka.produce(topic, b"2", headers=[("source", b"shop")])

    *_, odd, plain = read(open_reader(kafka.account, topic), 52)

    assert (odd.raw, odd.headers) == (b"1", {})
    assert (plain.raw, plain.headers) == (b"2", {"source": "shop"})
    assert f"{topic}/0, offset 50: the headers cannot be read" in caplog.text


def test_what_is_committed_is_known_to_the_broker_and_no_more(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=2)
    kafka.produce(topic, *values(range(10)), partition=0)
    kafka.produce(topic, *values(range(10, 30)), partition=1)
    reader = open_reader(kafka.account, topic)
    first = read(reader, 12, most=3)
    position = reader.position()
    read(reader, 18, most=3)

    reader.commit(position)
    expected: dict[int, int] = {}
    for record in first:
        expected[record.meta["partition"]] = record.meta["offset"] + 1
    eventually(lambda: kafka.committed(group(topic), topic) == expected, "what was read first is committed")
    reader.close(5)

    assert kafka.committed(group(topic), topic) == expected
    (member,) = {commit.member for commit in commits(kafka, group(topic), topic)}
    assert member.startswith("test-0-"), "a commit says who made it"


def test_the_last_commit_is_made_by_close(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, *values(range(1000)))
    reader = open_reader(kafka.account, topic)
    read(reader, 600)
    reader.stop()
    reader.commit(reader.position())
    reader.close(5)
    reader.close(5)

    assert kafka.committed(group(topic), topic) == {0: 600}
    assert reader.position() == {}, "it may still be asked"
    again = read(open_reader(kafka.account, topic), 400)
    assert numbers(again) == list(range(600, 1000)), "what was not handed over comes at once"


def test_unread_messages_are_bounded_and_a_stalled_flow_stays_in_the_group(
    kafka: KafkaBroker, open_reader: Open
) -> None:
    topic = kafka.create_topic(partitions=2)
    kafka.produce(topic, *values(range(30_000)))
    reader = open_reader(with_properties(kafka.account, **SHORT), topic)
    seen = read(reader, 10)
    eventually(lambda: len(reader._paused) == 2, "the partitions are paused")

    until = time.monotonic() + 10
    while time.monotonic() < until:
        assert len(reader._assignment.unread) <= 2 * reader._drain
        time.sleep(0.1)
    eventually(lambda: reader._health.lag == 29_990, "the lag is known though nothing is fetched")
    seen += read(reader, 29_990)

    assert sorted(numbers(seen)) == list(range(30_000)), "each of them once"
    assert {record.meta["assignment"] for record in seen} == {1, 2}, "the group has moved nothing"
    assert reader._paused == set()


def test_partitions_that_come_while_all_are_paused_are_paused(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, *values(range(10_000)))
    reader = open_reader(kafka.account, topic)
    eventually(lambda: len(reader._paused) == 1, "the partition is paused")

    admin = kafka.admin()
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result()
    eventually(lambda: len(reader._paused) == 2, "the new one as well")
    kafka.produce(topic, *values(range(10_000, 20_000)), partition=1)

    assert sorted(numbers(read(reader, 20_000))) == list(range(20_000))


def test_a_batch_gathers_for_a_while(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    reader = open_reader(kafka.account, topic, batch_wait=60)
    kafka.produce(topic, *values(range(15)))
    eventually(lambda: len(reader._assignment.unread) == 15, "all are received")

    assert reader.read(20, 0) == []
    assert numbers(reader.read(15, 0)) == list(range(15))


def test_the_lag_is_what_is_still_to_be_read(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=3)
    reader = open_reader(kafka.account, topic)
    eventually(lambda: reader._health.lag == 0, "nothing is to be read")
    kafka.produce(topic, *values(range(100)))
    eventually(lambda: reader._health.lag == 100, "all is to be read")
    read(reader, 70)
    eventually(lambda: reader._health.lag == 30, "the rest is to be read")


def test_entries_that_are_no_messages_leave_no_lag(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions()
    for number in range(3):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number)
        producer.flush()
        if number == 1:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    reader = open_reader(kafka.account, topic)

    assert numbers(read(reader, 2)) == [0, 2], "what was aborted does not come"
    time.sleep(1.5)
    assert kafka.committed(group(topic), topic) == {}, "nothing is delivered yet"
    reader.commit(reader.position())
    eventually(lambda: kafka.lag(group(topic), topic) == 0, "the group has passed the end of the last transaction")


def test_start_latest_is_kept_from_the_first_moment_on(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=2)
    kafka.produce(topic, *values(range(10)))
    reader = open_reader(kafka.account, topic, start="latest")
    ends = kafka.end_offsets(topic)
    eventually(lambda: kafka.committed(group(topic), topic) == ends, "the start is committed")
    reader.close(5)
    kafka.produce(topic, *values(range(10, 20)))

    again = open_reader(kafka.account, topic, start="latest")

    assert sorted(numbers(read(again, 10))) == list(range(10, 20)), "what came while nobody read is not skipped"


def test_a_partition_that_is_new_is_read_from_its_beginning(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, b"0")
    reader = open_reader(kafka.account, topic, start="latest")
    eventually(lambda: kafka.committed(group(topic), topic) == {0: 1}, "the start is committed")
    admin = kafka.admin()
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result()
    eventually(lambda: set(kafka.end_offsets(topic)) == {0, 1}, "there is another partition")
    kafka.produce(topic, b"1", partition=1)

    assert numbers(read(reader, 1)) == [1]


def test_start_at_a_time(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=3)
    for partition, days in ((0, range(1, 10)), (1, range(1, 3))):
        for day in days:
            at = int(datetime(2024, 5, day, tzinfo=timezone.utc).timestamp() * 1000)
            kafka.produce(topic, b"%d" % day, partition=partition, timestamp=at)
    reader = open_reader(kafka.account, topic, start="2024-05-06T12:00:00+00:00")

    assert numbers(read(reader, 3)) == [7, 8, 9]
    eventually(lambda: kafka.committed(group(topic), topic) == {0: 6, 1: 2, 2: 0}, "the start is committed")
    kafka.produce(topic, b"3", partition=1)
    assert numbers(read(reader, 1)) == [3]


def test_what_retention_has_deleted_is_said(
    kafka: KafkaBroker, open_reader: Open, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, *values(range(100)))
    reader = open_reader(kafka.account, topic)
    read(reader, 10)
    reader.commit(reader.position())
    reader.close(5)
    admin = kafka.admin()
    deleted = TopicPartition(topic, 0, 50)
    admin.delete_records([deleted])[deleted].result()
    eventually(lambda: len(kafka.consume(topic)) == 50, "half of them are gone")

    with caplog.at_level(logging.WARNING):
        again = read(open_reader(kafka.account, topic, start="latest"), 50)

    assert numbers(again) == list(range(50, 100)), "all that is left comes"
    said = [record.getMessage() for record in caplog.records if topic in record.getMessage()]
    assert len(said) == 1
    assert "lost" in said[0]


def test_a_pattern_finds_topics_that_are_made_later(kafka: KafkaBroker, open_reader: Open) -> None:
    first = kafka.create_topic()
    pattern = first + "|topic-.*-of-pattern"
    reader = open_reader(kafka.account, topic_pattern=f"({pattern})$", group=group(first))
    kafka.produce(first, b"1")
    assert numbers(read(reader, 1)) == [1]

    later = f"{first}-of-pattern"
    admin = kafka.admin()
    admin.create_topics([NewTopic(later, 1)])[later].result()
    kafka.produce(later, b"2")

    (record,) = read(reader, 1)
    assert record.meta["topic"] == later


def test_a_pattern_without_topics_waits(kafka: KafkaBroker, open_reader: Open) -> None:
    reader = open_reader(kafka.account, topic_pattern="none-.*", group="of-none")
    eventually(lambda: reader._health.state == "up", "the group answers")
    assert reader.read(10, 5) == []


def test_a_topic_that_does_not_exist_is_fatal(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    reader = open_reader(kafka.account, topic, topics=[topic, "orders-not"])

    with pytest.raises(FatalError, match=r"orders-not: .*does not exist; create it"):
        eventually(lambda: bool(reader.read(1, 0.05)), "reading fails")


def test_a_topic_that_is_deleted_is_fatal(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, b"1")
    reader = open_reader(kafka.account, topic)
    read(reader, 1)
    admin = kafka.admin()
    admin.delete_topics([topic])[topic].result()

    with pytest.raises(FatalError, match="does not exist"):
        eventually(lambda: bool(reader.read(1, 0.05)), "reading fails")


def test_a_property_that_does_not_exist_is_named(kafka: KafkaBroker, open_reader: Open) -> None:
    with pytest.raises(FatalError, match=r"fetch\.wait\.maxx\.ms"):
        open_reader(with_properties(kafka.account, fetch_wait_maxx_ms=1), "orders")


def test_a_member_that_is_replaced_stops(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, b"1")
    first = open_reader(kafka.account, topic, instance_id="billing")
    read(first, 1)
    second = open_reader(kafka.account, topic, instance_id="billing")

    with pytest.raises(FatalError, match=r"same .*instance"):
        eventually(lambda: bool(first.read(1, 0.05)), "the first one fails")
    assert numbers(read(second, 1)) == [1]


def test_a_static_member_keeps_its_partitions(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=4)
    readers = [
        open_reader(kafka.account, topic, instance_id="billing", worker=worker, workers=2) for worker in range(2)
    ]
    eventually(lambda: [len(each._assignment.partitions) for each in readers] == [2, 2], "each has its share")
    before = [set(each._assignment.partitions) for each in readers]
    readers[1].close(5)
    again = open_reader(kafka.account, topic, instance_id="billing", worker=1, workers=2)
    eventually(lambda: set(again._assignment.partitions) == before[1], "it gets what it had")
    assert set(readers[0]._assignment.partitions) == before[0]


def test_a_server_that_is_not_there_is_waited_for(own_kafka: KafkaBroker, open_reader: Open) -> None:
    topic = own_kafka.create_topic()
    own_kafka.produce(topic, b"1")
    own_kafka.proxy.down()
    reader = open_reader(own_kafka.proxied_account, topic)
    eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
    assert "refused" in str(reader._health.reason)

    own_kafka.proxy.up()

    assert numbers(read(reader, 1)) == [1]
    eventually(lambda: reader._health.state == "up", "the trigger says that it is up")


def test_a_broker_that_restarts_loses_and_repeats_nothing(
    own_kafka: KafkaBroker, open_reader: Open, caplog: pytest.LogCaptureFixture
) -> None:
    topic = own_kafka.create_topic(partitions=2)
    own_kafka.produce(topic, *values(range(100)))
    reader = open_reader(own_kafka.account, topic)
    seen = read(reader, 100)
    with caplog.at_level(logging.INFO):
        own_kafka.kill()
        reader.commit(reader.position())
        eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
        own_kafka.start()
        eventually(lambda: reader._health.state == "up", "an idle topic is up again")
        eventually(lambda: own_kafka.lag(group(topic), topic) == 0, "what failed is committed")
    own_kafka.produce(topic, *values(range(100, 200)))
    seen += read(reader, 100)

    assert sorted(numbers(seen)) == list(range(200))
    said = [record.getMessage() for record in caplog.records if record.name.startswith("flowspec")]
    assert [("is down" in line, "is back" in line) for line in said] == [(True, False), (False, True)], said


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_connections_that_break_lose_nothing(own_kafka: KafkaBroker, open_reader: Open, fault: str) -> None:
    topic = own_kafka.create_topic(partitions=2)
    account = with_properties(own_kafka.proxied_account, socket_timeout_ms=3000)
    reader = open_reader(account, topic)
    seen: list[Record] = []
    for turn in range(3):
        own_kafka.produce(topic, *values(range(turn * 1000, turn * 1000 + 1000)))
        seen += read(reader, 200)
        getattr(own_kafka.proxy, fault)()
        reader.commit(reader.position())
        if fault == "stall":
            eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
            own_kafka.proxy.resume()
        seen += read(reader, 800)
        reader.commit(reader.position())
    eventually(lambda: own_kafka.lag(group(topic), topic) == 0, "all is committed")
    eventually(lambda: reader._health.state == "up", "the trigger says that it is up")

    assert set(numbers(seen)) == set(range(3000))
    assert len(seen) == 3000, "each of them once"


def test_a_broker_that_is_away_does_not_hold_up_the_end(own_kafka: KafkaBroker, open_reader: Open) -> None:
    topic = own_kafka.create_topic()
    own_kafka.produce(topic, b"1")
    reader = open_reader(own_kafka.account, topic)
    read(reader, 1)
    own_kafka.kill()
    reader.commit(reader.position())

    started = time.monotonic()
    reader.close(1)

    assert time.monotonic() - started < 10


def test_a_flow_that_is_slow_gets_nothing_twice(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, *values(range(20)))
    reader = open_reader(with_properties(kafka.account, **SHORT), topic)
    seen = []
    for _ in range(2):
        seen += read(reader, 10)
        time.sleep(8)
        reader.commit(reader.position())

    assert numbers(seen) == list(range(20))
    assert reader.read(10, 1) == []
    eventually(lambda: kafka.lag(group(topic), topic) == 0, "all is committed")


class _Worker(threading.Thread):
    """Reads and commits with a reader, as a flow does, and stops when it is told to."""

    def __init__(self, reader: TopicsReader) -> None:
        super().__init__(name="worker", daemon=True)
        self.reader = reader
        self.seen: list[int] = []
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopping.is_set():
            records = self.reader.read(50, 0.05)
            position = self.reader.position()
            time.sleep(0.005)
            self.seen += numbers(records)
            self.reader.commit(position)
        self.reader.stop()
        self.reader.close(10)

    def leave(self) -> None:
        self._stopping.set()
        self.join()


def test_members_that_join_and_leave_lose_nothing_and_commit_only_what_is_theirs(
    kafka: KafkaBroker, open_reader: Open
) -> None:
    topic = kafka.create_topic(partitions=6)
    total = 0
    workers = [_Worker(open_reader(kafka.account, topic, worker=0, workers=2))]
    joins = 5
    for turn in range(joins):
        kafka.produce(topic, *values(range(total, total + 2000)))
        total += 2000
        other = _Worker(open_reader(kafka.account, topic, worker=1, workers=2, flow=f"other-{turn}"))
        workers.append(other)
        eventually(lambda other=other: len(other.reader._assignment.partitions) == 3, "it has its share")  # type: ignore[misc]
        kafka.produce(topic, *values(range(total, total + 1000)))
        total += 1000
        other.leave()
    first = workers[0]
    eventually(lambda: kafka.lag(group(topic), topic) == 0, "all is read", lambda: len(first.seen))
    first.leave()

    seen = [number for worker in workers for number in worker.seen]
    assert sorted(seen) == list(range(total)), "each of them once: a partition moves when what is read is delivered"
    history = commits(kafka, group(topic), topic)
    assert {commit.partition for commit in history} == set(range(6))
    check_owners(history)


def test_what_is_not_delivered_in_time_goes_to_the_next_owner(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=2)
    kafka.produce(topic, *values(range(10)), partition=0)
    kafka.produce(topic, *values(range(10, 20)), partition=1)
    slow = open_reader(kafka.account, topic)
    slow._patience = 1.0
    records = read(slow, 20)
    position = slow.position()
    assert all(slow.owns(record) for record in records)

    other = open_reader(kafka.account, topic, worker=1, workers=2)
    again = read(other, 10)
    (moved,) = {record.meta["partition"] for record in again}
    slow.commit(position)
    eventually(lambda: kafka.committed(group(topic), topic) == {1 - moved: 10}, "what is still its own is committed")

    assert [record.meta["partition"] for record in records if not slow.owns(record)] == [moved] * 10
    other.close(5)
    eventually(lambda: len(slow._assignment.partitions) == 2, "it gets the partition back")
    slow.commit(position)
    time.sleep(1)
    assert kafka.committed(group(topic), topic) == {1 - moved: 10}, "its earlier time does not count"
    assert not any(slow.owns(record) for record in records if record.meta["partition"] == moved)
    assert numbers(read(slow, 10)) == numbers(again)


def test_partitions_that_are_lost_are_forgotten_at_once(own_kafka: KafkaBroker, open_reader: Open) -> None:
    topic = own_kafka.create_topic()
    own_kafka.produce(topic, *values(range(10)))
    reader = open_reader(with_properties(own_kafka.proxied_account, **SHORT), topic)
    records = read(reader, 10)
    position = reader.position()
    own_kafka.proxy.stall()
    eventually(lambda: not _members(own_kafka, group(topic)), "the broker gives the member up")
    own_kafka.proxy.resume()
    eventually(lambda: not reader.owns(records[0]), "the partition is lost")

    reader.commit(position)

    assert numbers(read(reader, 10)) == list(range(10)), "they come again"
    assert own_kafka.committed(group(topic), topic) == {}


def _members(kafka: KafkaBroker, name: str) -> list[Any]:
    admin = kafka.admin()
    return list(admin.describe_consumer_groups([name])[name].result().members)


def test_another_strategy_than_a_cooperative_one_works(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic(partitions=4)
    kafka.produce(topic, *values(range(400)))
    account = with_properties(kafka.account, partition_assignment_strategy="range")
    first = _Worker(open_reader(account, topic, start="2024-05-01T00:00:00Z"))
    eventually(lambda: len(first.seen) == 400, "all is read")
    second = _Worker(open_reader(account, topic, start="latest", worker=1, workers=2))
    eventually(lambda: len(second.reader._assignment.partitions) == 2, "it has its share")
    kafka.produce(topic, *values(range(400, 800)))
    eventually(lambda: len(first.seen) + len(second.seen) == 800, "the rest is read")
    first.leave()
    second.leave()
    assert sorted(first.seen + second.seen) == list(range(800))
    assert kafka.lag(group(topic), topic) == 0


def test_nothing_of_librdkafka_is_on_stderr(
    own_kafka: KafkaBroker, open_reader: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    own_kafka.proxy.down()
    reader = open_reader(own_kafka.proxied_account, "orders")
    eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
    reader.close(5)
    assert capfd.readouterr().err == ""


class _Noted:
    """Takes the place of a sink's transaction, and commits the way it does."""

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self.offsets: list[dict[int, int]] = []
        self.groups: list[Any] = []

    def commit(self, consumed: Callable[[], tuple[list[TopicPartition], Any]]) -> None:
        offsets, group = consumed()
        self.threads.add(threading.current_thread())
        self.offsets.append({each.partition: each.offset for each in offsets})
        self.groups.append(group)


def test_a_transaction_commits_instead(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, *values(range(10)))
    reader = open_reader(kafka.account, topic)
    transaction = _Noted()
    reader.enlist(transaction)
    read(reader, 4)
    reader.commit(reader.position())
    read(reader, 6)
    reader.commit(reader.position())
    time.sleep(1)
    reader.close(5)

    assert transaction.offsets == [{0: 4}, {0: 10}]
    assert transaction.threads == {threading.current_thread()}
    assert kafka.committed(group(topic), topic) == {}, "the reader itself commits nothing"


def test_a_consumer_of_another_kind_sees_the_same_offsets(kafka: KafkaBroker, open_reader: Open) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, *values(range(5)))
    reader = open_reader(kafka.account, topic)
    read(reader, 3)
    reader.commit(reader.position())
    reader.close(5)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group(topic)})
    consumer.subscribe([topic])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.offset() == 3
