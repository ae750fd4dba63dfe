"""Steps that remember behind queues that hand over again: totals are exact, with any number of workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.rabbitmq import RabbitNode
from tests.servers.sqs import SqsServer

RECORDS = 400
HOUR = 3600


class Rabbit:
    """A queue of RabbitMQ."""

    def __init__(self, node: RabbitNode) -> None:
        self._node = node
        self._queue = node.create_queue()
        self.trigger = {"connector": "rabbitmq", "account": node.account, "queue": self._queue, "prefetch": 40}

    def send(self, *bodies: bytes) -> None:
        for body in bodies:
            self._node.publish(self._queue, body, message_id=str(json.loads(body)["id"]))

    def left(self) -> int:
        return sum(self._node.depth(self._queue))


class Sqs:
    """A queue of SQS."""

    def __init__(self, server: SqsServer) -> None:
        self._server = server
        self._url = server.create_queue(VisibilityTimeout="5")
        self.trigger = {
            "connector": "amazon-sqs",
            "account": server.account,
            "queue_url": self._url,
            "wait_time": 1,
            "prefetch": 40,
        }

    def send(self, *bodies: bytes) -> None:
        for first in range(0, len(bodies), 10):
            entries: Any = [
                {"Id": str(place), "MessageBody": body.decode()}
                for place, body in enumerate(bodies[first : first + 10])
            ]
            assert not self._server.client.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed")

    def left(self) -> int:
        return sum(self._server.depth(self._url))


@pytest.fixture
def rabbit(rabbitmq: RabbitNode) -> Rabbit:
    return Rabbit(rabbitmq)


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> Any:
    server = request.getfixturevalue(request.param)
    return Rabbit(server) if request.param == "rabbitmq" else Sqs(server)


def total_after(queue: Any, flow: RunningFlow, workers: int, end: Callable[[], object]) -> None:
    flow.start("--workers", str(workers))
    eventually(lambda: queue.left() == 0, "all are committed", queue.left)
    end()


@pytest.mark.parametrize("queue", ["rabbitmq", "sqs"], indirect=True)
def test_totals_are_exact_with_4_2_and_3_workers(queue: Any, tmp_path: Path) -> None:
    output = Output(tmp_path / "out.jsonl")
    spec = {
        "name": "orders",
        "trigger": {"batch_size": 10, **queue.trigger},
        "steps": [
            {"dedupe": "meta.message_id"},
            {
                "window": {
                    "key": "id % 10",
                    "tumbling": HOUR,
                    "time": "at",
                    "lateness": HOUR,
                    "values": {"count": "count", "sum": {"sum": "id"}},
                }
            },
        ],
        "sink": {"connector": "files", "action": "append", "path": str(output.path)},
    }
    flow = RunningFlow(tmp_path, spec)

    def bodies(first: int, until: int, at: int = 0) -> list[bytes]:
        return [json.dumps({"id": number, "at": at}).encode() for number in range(first, until)]

    queue.send(*bodies(0, RECORDS // 2))
    flow.start("--workers", "4")
    eventually(lambda: queue.left() < RECORDS // 2, "some are committed", queue.left)
    flow.kill()
    total_after(queue, flow, 2, flow.kill)
    queue.send(*bodies(RECORDS // 2, RECORDS))
    total_after(queue, flow, 3, flow.terminate)
    assert not output.lines(), "no window is over"

    queue.send(*bodies(RECORDS, RECORDS + 10, at=10 * HOUR))
    with flow.running("--workers", "3"):
        eventually(lambda: len(output.lines()) == 10, "all windows are closed", lambda: len(output.lines()))
    totals = {line["key"]: (line["count"], line["sum"]) for line in output.lines()}
    assert totals == {key: (RECORDS // 10, sum(range(key, RECORDS, 10))) for key in range(10)}
