"""A flow from topics to a file by the command line, through all that can happen to it."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.kafka import KafkaBroker

PARTITIONS = 3
MESSAGES = 50_000
KILLS = 5


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


def test_sigterm_drains_and_a_restart_gives_no_duplicate(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.create_topic(PARTITIONS)
    output = Output(tmp_path / "out.jsonl")
    flow = RunningFlow(tmp_path, spec(kafka.account, topic, output.path, trigger={"batch_size": 10}))
    send(kafka, topic, range(30_000))
    flow.start()
    eventually(lambda: len(output.lines()) >= 50, "records flow")

    assert flow.terminate() == 0, flow.log.read_text()
    done = len(output.lines())
    assert kafka.lag(topic, topic) == 30_000 - done, "what is delivered is committed, and no more"

    with flow.running():
        eventually(lambda: len(output.lines()) >= 30_000, "the rest follows", lambda: len(output.lines()))
    assert sorted(ids(output)) == list(range(30_000))
    assert kafka.lag(topic, topic) == 0
    assert flow.log.read_text().count("\n") <= 6, "librdkafka says nothing on stderr"


@pytest.mark.parametrize("workers", [1, 3])
def test_killed_five_times(kafka: KafkaBroker, tmp_path: Path, workers: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = sorted(random.Random(seed).sample(range(MESSAGES // 20, MESSAGES - MESSAGES // 20), KILLS))
    topic = kafka.create_topic(PARTITIONS)
    send(kafka, topic, range(MESSAGES))
    output = Output(tmp_path / "out.jsonl")
    # The next run of a killed member need not wait for the session of the one before.
    account = {**kafka.account, "properties": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}}
    steps = [{"filter": "id >= 0"}, {"map": {"id": "id", "double": "id * 2"}}]
    flow = RunningFlow(
        tmp_path,
        spec(account, topic, output.path, trigger={"batch_size": 50}, steps=steps),
        *("--workers", str(workers)),
    )
    seen: Counter[int] = Counter()

    def delivered() -> int:
        lines = output.lines()
        seen.update(line["id"] for line in lines[seen.total() :])
        return len(seen)

    def reach(count: int) -> None:
        eventually(lambda: delivered() >= count, f"{count} messages are delivered", progress=delivered)

    may_come_again = 0
    for moment in moments:
        flow.start()
        reach(moment)
        flow.kill()
        delivered()
        committed = kafka.committed(topic, topic)
        may_come_again += sum(n // PARTITIONS >= committed.get(n % PARTITIONS, 0) for n in seen)
    flow.start()
    reach(MESSAGES)
    wait_for_no_lag(kafka, topic)
    assert flow.terminate() == 0, flow.log.read_text()

    delivered()
    duplicates = seen.total() - len(seen)
    print(f"{MESSAGES} messages, {KILLS} kills: {duplicates} duplicates of {may_come_again} written and not committed")
    assert set(seen) == set(range(MESSAGES))
    assert duplicates <= may_come_again


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


def test_a_step_slower_than_session_and_poll_interval_gives_no_duplicate(kafka: KafkaBroker, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\n\ndef step(body):\n    time.sleep(1)\n    return body\n")
    topic = kafka.create_topic(PARTITIONS)
    output = Output(tmp_path / "out.jsonl")
    send(kafka, topic, range(20))
    properties = {"session.timeout.ms": 6000, "max.poll.interval.ms": 6000, "heartbeat.interval.ms": 1000}
    account = {**kafka.account, "properties": properties}
    flow = RunningFlow(tmp_path, spec(account, topic, output.path, steps=[{"python": "slow:step"}]))

    with flow.running():
        eventually(lambda: len(output.lines()) >= 20, "all are delivered")
        wait_for_no_lag(kafka, topic)

    assert sorted(ids(output)) == list(range(20))


def test_a_sink_that_is_down_holds_the_flow(kafka: KafkaBroker, tmp_path: Path) -> None:
    down, output = tmp_path / "down", Output(tmp_path / "out.jsonl")
    topic = kafka.create_topic(PARTITIONS)
    send(kafka, topic, range(30_000))
    sink = {"connector": "testbed", "action": "flaky", "path": str(output.path), "down_file": str(down)}
    flow = RunningFlow(tmp_path, spec(kafka.account, topic, output.path, sink=sink))
    down.touch()
    with flow.running():
        eventually(lambda: "testbed-flaky is down" in flow.log.read_text(), "the sink is down")
        assert kafka.committed(topic, topic) == {}, "nothing is committed"
        down.unlink()
        eventually(lambda: len(output.lines()) >= 30_000, "it goes on by itself", lambda: len(output.lines()))
        wait_for_no_lag(kafka, topic)
    assert sorted(ids(output)) == list(range(30_000))


def test_independent_runs_in_one_group_share_and_lose_nothing(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.create_topic(PARTITIONS * 2)
    outputs, flows = [], []
    for name in ("first", "second"):
        directory = tmp_path / name
        directory.mkdir()
        outputs.append(Output(directory / "out.jsonl"))
        flows.append(RunningFlow(directory, spec(kafka.account, topic, outputs[-1].path)))
    total = 0

    def seen() -> list[int]:
        return [number for output in outputs for number in ids(output)]

    flows[0].start()
    for _ in range(3):
        send(kafka, topic, range(total, total + 3000))
        total += 3000
        before = len(outputs[1].lines())
        flows[1].start()
        eventually(lambda: len(set(seen())) == total, "all arrive", lambda: len(seen()))  # noqa: B023 - at once

        def joined(before: int = before) -> bool:
            nonlocal total
            send(kafka, topic, range(total, total + 30))
            total += 30
            return len(outputs[1].lines()) > before

        eventually(joined, "the second one has its share")
        assert flows[1].terminate() == 0, flows[1].log.read_text()
    eventually(lambda: len(set(seen())) == total, "all arrive", lambda: len(seen()))
    wait_for_no_lag(kafka, topic)
    assert flows[0].terminate() == 0, flows[0].log.read_text()
    assert sorted(seen()) == list(range(total)), "each of them once"


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
