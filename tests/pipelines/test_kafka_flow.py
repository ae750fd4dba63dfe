"""A flow by the command line, in what is particular to Kafka: other cases are in `tests/conformance`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.kafka import KafkaBroker

PARTITIONS = 3


def spec(account: dict[str, Any], topic: str, out: Path, **changes: Any) -> dict[str, Any]:
    trigger = {"connector": "kafka", "account": account, "topics": [topic], "external_id": "id", "group": topic}
    return {
        "name": "orders",
        "trigger": {**trigger, **changes.pop("trigger", {})},
        "sink": {"connector": "files", "action": "append", "path": str(out)},
        **changes,
    }


def send(kafka: KafkaBroker, topic: str, numbers: range) -> None:
    """Number n goes to partition n % PARTITIONS, and is the message n // PARTITIONS there."""
    for partition in range(PARTITIONS):
        mine = (number for number in numbers if number % PARTITIONS == partition)
        kafka.produce(topic, *(b'{"id": %d}' % number for number in mine), partition=partition)


def ids(output: Output) -> list[int]:
    return [line["id"] for line in output.lines()]


def wait_for_no_lag(kafka: KafkaBroker, topic: str) -> None:
    eventually(lambda: kafka.lag(topic, topic) == 0, "the lag is 0", lambda: kafka.lag(topic, topic))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broker_that_restarts_is_waited_for(own_kafka: KafkaBroker, tmp_path: Path, workers: int) -> None:
    topic = own_kafka.create_topic(PARTITIONS)
    output = Output(tmp_path / "out.jsonl")
    flow = RunningFlow(tmp_path, spec(own_kafka.account, topic, output.path), *("--workers", str(workers)))
    send(own_kafka, topic, range(20_000))
    with flow.running():
        eventually(lambda: len(output.lines()) >= 1000, "records flow")
        own_kafka.kill()
        eventually(lambda: flow.log.read_text().count("trigger is down") == workers, "the outage is said")
        own_kafka.start()
        eventually(lambda: flow.log.read_text().count("trigger is back") == workers, "its end is said")
        send(own_kafka, topic, range(20_000, 30_000))
        eventually(lambda: len(set(ids(output))) == 30_000, "all arrive", lambda: len(output.lines()))
        wait_for_no_lag(own_kafka, topic)
    log = flow.log.read_text()
    assert log.count("trigger is down") == log.count("trigger is back") == workers, log


def test_garbage_is_a_dead_letter_and_a_tombstone_is_none(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.create_topic(PARTITIONS)
    output = Output(tmp_path / "out.jsonl")
    garbage = {b"not JSON": "payload is not json", b"": "payload is not json", b"\x00\xff": "payload is not json"}
    kafka.produce(topic, *garbage, key=b"k", headers=[("source", b"shop")])
    kafka.produce(topic, None, key=b"deleted")
    kafka.produce(topic, b'{"id": 1}', key=b"\xff")
    steps = [
        {"map": {"id": "body['id'] if body is not None else -1", "tombstone": "meta.tombstone", "at": "meta.timestamp"}}
    ]
    trigger = {"external_id": "key"}
    flow = RunningFlow(tmp_path, spec(kafka.account, topic, output.path, trigger=trigger, steps=steps))
    with flow.running():
        wait_for_no_lag(kafka, topic)

    assert sorted((line["id"], line["tombstone"]) for line in output.lines()) == [(-1, True), (1, False)]
    assert all(line["at"].startswith("20") for line in output.lines())
    letters = flow.dead_letters()
    assert len(letters) == len(garbage)
    for letter in letters:
        assert letter["error"]["message"].startswith("payload is not json")
        assert letter["origin"]["topic"] == topic
        assert letter["key"] == "k"
        assert letter["headers"] == {"source": "shop"}


def test_what_is_wrong_ends_the_flow_with_a_clear_message(kafka: KafkaBroker, tmp_path: Path) -> None:
    account = {**kafka.account, "properties": {"fetch.wait.maxx.ms": 5}}
    for account_, said in ((kafka.account, "does not exist; create it"), (account, "fetch.wait.maxx.ms")):
        flow = RunningFlow(tmp_path, spec(account_, "orders-not", tmp_path / "out.jsonl"))
        flow.start()
        assert flow.wait() == 1
        log = flow.log.read_text()
        assert said in log
        assert "Traceback" not in log


def test_the_lag_is_in_the_status(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.create_topic(PARTITIONS)
    send(kafka, topic, range(100))
    flow = RunningFlow(tmp_path, spec(kafka.account, topic, tmp_path / "out.jsonl"))
    flow.start("--status", "json")

    def lags() -> list[Any]:
        lines = [line for line in flow.log.read_text().splitlines() if line.startswith("{")]
        return [json.loads(line)["trigger"]["lag"] for line in lines]

    eventually(lambda: 0 in lags(), "the lag is shown")
    assert flow.terminate() == 0
