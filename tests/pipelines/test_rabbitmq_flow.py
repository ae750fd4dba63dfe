"""A flow by the command line, in what is particular to RabbitMQ: other cases are in `tests/conformance`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.rabbitmq import RabbitNode


def spec(node: RabbitNode, queue: str, out: Path, **changes: Any) -> dict[str, Any]:
    trigger = {"connector": "rabbitmq", "account": node.account, "queue": queue, "external_id": "id"}
    return {
        "name": "orders",
        "trigger": {**trigger, **changes.pop("trigger", {})},
        "sink": {"connector": "files", "action": "append", "path": str(out)},
        **changes,
    }


def send(node: RabbitNode, queue: str, numbers: range) -> None:
    node.publish(queue, *(json.dumps({"id": number}).encode() for number in numbers))


def ids(output: Output) -> list[int]:
    return [line["id"] for line in output.lines()]


def wait_for_lines(output: Output, count: int) -> None:
    eventually(lambda: len(output.lines()) >= count, f"{count} records are delivered", lambda: len(output.lines()))


def wait_until_empty(node: RabbitNode, queue: str) -> None:
    eventually(lambda: node.depth(queue) == (0, 0), "the queue is empty", lambda: node.depth(queue))


def wait_until_all(output: Output, count: int) -> None:
    eventually(lambda: set(ids(output)) == set(range(count)), "all are delivered", lambda: len(output.lines()))


def slowly(directory: Path, seconds: float) -> list[dict[str, Any]]:
    """A step that takes its time for each record, so that a flow can be met in the middle."""
    (directory / "slow.py").write_text(f"import time\n\ndef step(body):\n    time.sleep({seconds})\n    return body\n")
    return [{"python": "slow:step"}]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broker_that_is_restarted_in_the_middle(own_rabbitmq: RabbitNode, tmp_path: Path, workers: int) -> None:
    queue = own_rabbitmq.create_queue()
    output = Output(tmp_path / "out.jsonl")
    send(own_rabbitmq, queue, range(1000))
    flow = RunningFlow(
        tmp_path,
        spec(
            *(own_rabbitmq, queue, output.path),
            trigger={"batch_size": 10, "prefetch": 50},
            steps=slowly(tmp_path, 0.005),
        ),
        *("--workers", str(workers)),
    )
    with flow.running():
        wait_for_lines(output, 100)
        own_rabbitmq.kill()
        eventually(lambda: flow.log.read_text().count("trigger is down") == workers, "the outage is logged")
        own_rabbitmq.start()
        wait_until_all(output, 1000)
        wait_until_empty(own_rabbitmq, queue)

    log = flow.log.read_text()
    assert log.count("trigger is down") == log.count("trigger is back") == workers, "each change is one line"
    # How many come twice depends on what the broker had on its disk.
    assert set(ids(output)) == set(range(1000))


def test_a_slow_step_keeps_the_connection(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    queue = rabbitmq.create_queue()
    output = Output(tmp_path / "out.jsonl")
    send(rabbitmq, queue, range(2))
    account = {**rabbitmq.account, "heartbeat": 1}
    flow = RunningFlow(
        tmp_path, spec(rabbitmq, queue, output.path, trigger={"account": account}, steps=slowly(tmp_path, 3))
    )
    with flow.running():
        wait_for_lines(output, 2)
        wait_until_empty(rabbitmq, queue)
    assert ids(output) == [0, 1]
    assert "trigger is down" not in flow.log.read_text()


def test_garbage_ends_in_the_dead_letter_store(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    queue = rabbitmq.create_queue()
    output = Output(tmp_path / "out.jsonl")
    garbage = [b"", b"{", b"\xff\xfe", b"[1, 2]", b'{"no": "id"}']
    for place, body in enumerate(garbage):
        rabbitmq.publish(queue, json.dumps({"id": place}).encode(), body)
    flow = RunningFlow(tmp_path, spec(rabbitmq, queue, output.path))
    with flow.running():
        wait_until_all(output, len(garbage))
        wait_until_empty(rabbitmq, queue)

    letters = flow.dead_letters()
    assert Counter(letter["step"] for letter in letters) == {"decode": 3, "external_id": 2}
    assert all(letter["origin"]["queue"] == queue for letter in letters)


def test_garbage_goes_to_the_dead_letter_exchange_of_the_queue(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    failed = rabbitmq.create_queue()
    output = Output(tmp_path / "out.jsonl")
    trigger = {
        "on_reject": "broker",
        "declare": {"type": "quorum", "dead_letter_exchange": "", "dead_letter_routing_key": failed},
    }
    queue = f"{failed}-source"
    flow = RunningFlow(tmp_path, spec(rabbitmq, queue, output.path, trigger=trigger))
    with flow.running():
        eventually(lambda: rabbitmq.evaluate(_exists(queue)) == "true", "the queue is declared")
        garbage = [b"{", b"\xff\xfe"]
        for place, body in enumerate(garbage):
            rabbitmq.publish(queue, json.dumps({"id": place}).encode(), body)
        wait_until_all(output, len(garbage))
        wait_until_empty(rabbitmq, queue)
        eventually(lambda: rabbitmq.depth(failed)[0] == len(garbage), "the broker has them")

    assert rabbitmq.drain(failed) == garbage
    assert flow.dead_letters() == []
    assert "decode: payload is not json" in flow.log.read_text(), "why is in the log"


def test_a_missing_queue_ends_the_flow_with_what_to_do(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    flow = RunningFlow(tmp_path, spec(rabbitmq, "orders-not", tmp_path / "out.jsonl"))
    flow.start()

    assert flow.wait() == 1
    log = flow.log.read_text()
    assert "no queue 'orders-not'" in log
    assert "with 'declare' the flow creates its queue" in log
    assert "Traceback" not in log


def _exists(queue: str) -> str:
    return f'rabbit_amqqueue:exists(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)).'
