"""A flow by the command line, in what is particular to SQS: other cases are in `tests/conformance`."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.sqs import SqsServer


def spec(account: dict[str, str], url: str, out: Path, **changes: Any) -> dict[str, Any]:
    trigger = {"connector": "amazon-sqs", "account": account, "queue_url": url, "wait_time": 1, "external_id": "id"}
    return {
        "name": "orders",
        "trigger": {**trigger, **changes.pop("trigger", {})},
        "sink": {"connector": "files", "action": "append", "path": str(out)},
        **changes,
    }


def send(sqs: SqsServer, url: str, numbers: range) -> None:
    for number in numbers:
        sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps({"id": number}))


def ids(output: Output) -> list[int]:
    return [line["id"] for line in output.lines()]


def wait_for_lines(output: Output, count: int) -> None:
    eventually(lambda: len(output.lines()) >= count, f"{count} records are delivered")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sink_that_is_down_holds_the_flow(sqs: SqsServer, tmp_path: Path, workers: int) -> None:
    down, output = tmp_path / "down", Output(tmp_path / "out.jsonl")
    url = sqs.create_queue(VisibilityTimeout="6")
    sink = {"connector": "testbed", "action": "flaky", "path": str(output.path), "down_file": str(down)}
    flow = RunningFlow(
        tmp_path,
        spec(sqs.account, url, output.path, sink=sink, trigger={"batch_size": 10, "prefetch": 20}),
        *("--workers", str(workers)),
    )
    send(sqs, url, range(100))
    down.touch()
    with flow.running():
        eventually(lambda: sum(sqs.depth(url)) == 100 and sqs.depth(url)[1] >= 20, "the prefetch is full")
        until = time.monotonic() + 10
        while time.monotonic() < until:
            visible, in_flight = sqs.depth(url)
            assert visible + in_flight == 100, "nothing is deleted"
            assert in_flight <= workers * 60, "no more is taken than a few batches and the prefetch of each worker"
            time.sleep(0.2)
        assert output.lines() == []

        down.unlink()
        eventually(lambda: len(output.lines()) >= 100, "it goes on by itself")
        eventually(lambda: sqs.depth(url) == (0, 0), "the queue is empty")
    assert sorted(ids(output)) == list(range(100))
    log = flow.log.read_text()
    assert log.count("testbed-flaky is down") == log.count("testbed-flaky is back") <= workers


def test_a_stop_while_the_sink_is_down_loses_nothing(sqs: SqsServer, tmp_path: Path) -> None:
    down, output = tmp_path / "down", Output(tmp_path / "out.jsonl")
    url = sqs.create_queue(VisibilityTimeout="6")
    sink = {"connector": "testbed", "action": "flaky", "path": str(output.path), "down_file": str(down)}
    flow = RunningFlow(tmp_path, spec(sqs.account, url, output.path, sink=sink), "--drain-timeout", "1")
    send(sqs, url, range(10))
    down.touch()
    flow.start()
    eventually(lambda: "is down" in flow.log.read_text(), "the sink is tried")

    assert flow.terminate() == 1
    assert "will come again" in flow.log.read_text()
    assert sum(sqs.depth(url)) == 10


def test_fifo_groups_keep_their_order_through_random_failures(any_sqs: SqsServer, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = sorted(random.Random(seed).sample(range(20, 280), 3))
    url = any_sqs.create_queue(fifo=True, VisibilityTimeout="6")
    output = Output(tmp_path / "out.jsonl")
    for number in range(300):
        any_sqs.client.send_message(
            QueueUrl=url,
            MessageBody=json.dumps({"id": number, "group": number % 5}),
            MessageGroupId=str(number % 5),
            MessageDeduplicationId=str(number),
        )
    sink = {"connector": "testbed", "action": "flaky", "path": str(output.path), "fail_rate": 0.1}
    flow = RunningFlow(tmp_path, spec(any_sqs.account, url, output.path, sink=sink, trigger={"batch_size": 7}))
    for moment in moments:
        flow.start()
        wait_for_lines(output, moment)
        flow.kill()
    with flow.running():
        eventually(lambda: set(ids(output)) == set(range(300)), "all are delivered")
        eventually(lambda: any_sqs.depth(url) == (0, 0), "the queue is empty")

    first_seen = dict.fromkeys((line["group"], line["id"]) for line in output.lines())
    groups = defaultdict(list)
    for group, number in first_seen:
        groups[group].append(number)
    assert groups == {group: list(range(group, 300, 5)) for group in range(5)}


def test_garbage_is_a_dead_letter_and_the_flow_goes_on(any_sqs: SqsServer, tmp_path: Path) -> None:
    url = any_sqs.create_queue(VisibilityTimeout="600")
    output = Output(tmp_path / "out.jsonl")
    garbage = {
        "not JSON": "payload is not json",
        '{"id": 1, "total": "many"}': "cents: int(total * 100): invalid literal for int()",
        "[]": "the body is not an object but list []",
        '{"id": 2}': "missing field 'total'",
        "\\ud800" * 43_690: "payload is not json",
        '"' + "x" * 200_000 + '"': "the body is not an object but text",
        " ": "payload is not json",
        "null": "the body is not an object but null",
    }
    for number, body in enumerate([*garbage, '{"id": 3, "total": 4}']):
        any_sqs.client.send_message(QueueUrl=url, MessageBody=body)
        any_sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps({"id": 100 + number, "total": 1}))
    steps = [{"map": {"id": "id", "cents": "int(total * 100)"}}]
    flow = RunningFlow(tmp_path, spec(any_sqs.account, url, output.path, steps=steps))
    with flow.running():
        eventually(lambda: any_sqs.depth(url) == (0, 0), "the queue is empty")

    assert sorted(ids(output)) == [3, *range(100, 109)]
    letters = {letter["payload"]["text"]: letter for letter in flow.dead_letters()}
    assert len(flow.dead_letters()) == len(garbage), "each of them once"
    for body, cause in garbage.items():
        assert cause in letters[body]["error"]["message"]
        assert letters[body]["origin"]["message_id"]
        assert letters[body]["origin"]["receive_count"] == 1


def test_on_error_stop_ends_the_flow_and_keeps_the_message(sqs: SqsServer, tmp_path: Path) -> None:
    url = sqs.create_queue(VisibilityTimeout="600")
    output = Output(tmp_path / "out.jsonl")
    sqs.client.send_message(QueueUrl=url, MessageBody='{"id": 7}')
    steps = [{"map": {"cents": "total * 100"}, "id": "to-cents", "on_error": "stop"}]
    flow = RunningFlow(tmp_path, spec(sqs.account, url, output.path, steps=steps))
    flow.start()

    assert flow.wait() == 1
    log = flow.log.read_text()
    assert "to-cents: cents: missing field 'total'" in log
    assert '{"id": 7}' in log, "the record is shown"
    assert "Traceback" not in log
    assert "panicked" not in log
    assert sqs.depth(url) == (0, 1)
    assert output.lines() == []
