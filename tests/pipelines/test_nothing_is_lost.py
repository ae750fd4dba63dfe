"""kill -9 at random moments: every message is in the sink, and the queue is empty."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.sqs import SqsServer

MESSAGES = 20_000
KILLS = 5
BACKLOG = 1_000
"""The servers slow down with their backlog, so the queue is fed at the flow's pace."""


class Feeder(threading.Thread):
    """Puts numbered messages into a queue, never far ahead of what has come out."""

    def __init__(self, sqs: SqsServer, url: str, output: Output) -> None:
        super().__init__(name="feeder", daemon=True)
        self._sqs = sqs
        self._url = url
        self._output = output
        self.delivered = 0

    def run(self) -> None:
        for first in range(0, MESSAGES, 10):
            while first - self.delivered > BACKLOG:
                threading.Event().wait(0.01)
            answer = self._sqs.client.send_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(n), "MessageBody": json.dumps({"id": n})} for n in range(first, first + 10)],
            )
            assert not answer.get("Failed")


def spec(sqs: SqsServer, url: str, sink: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "numbers",
        "trigger": {
            "connector": "amazon-sqs",
            "account": sqs.account,
            "queue_url": url,
            "batch_size": 200,
            "wait_time": 1,
            "external_id": "id",
        },
        "steps": [{"filter": "id >= 0"}, {"map": {"id": "id", "double": "id * 2"}}],
        "sink": sink,
    }


FILE: dict[str, Any] = {"connector": "files", "action": "append"}
FLAKY: dict[str, Any] = {"connector": "testbed", "action": "flaky", "fail_rate": 0.02}


@pytest.mark.parametrize(
    ("options", "sink"),
    [((), FILE), (("--workers", "3"), FILE), ((), FLAKY)],
    ids=["one worker", "three workers", "sink that raises at random"],
)
def test_killed_five_times(any_sqs: SqsServer, tmp_path: Path, options: tuple[str, ...], sink: dict[str, Any]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = sorted(random.Random(seed).sample(range(MESSAGES // 20, MESSAGES - MESSAGES // 20), KILLS))
    url = any_sqs.create_queue(VisibilityTimeout="10")
    output = Output(tmp_path / "out.jsonl")
    flow = RunningFlow(tmp_path, spec(any_sqs, url, {**sink, "path": str(output.path)}), *options)
    feeder = Feeder(any_sqs, url, output)
    ids: Counter[int] = Counter()

    def delivered() -> int:
        lines = output.lines()
        ids.update(line["id"] for line in lines[ids.total() :])
        feeder.delivered = len(ids)
        return len(ids)

    def reach(count: int) -> None:
        eventually(lambda: delivered() >= count, f"{count} messages are delivered", progress=delivered)

    feeder.start()
    in_flight_at_kills = 0
    for moment in moments:
        flow.start()
        reach(moment)
        flow.kill()
        in_flight_at_kills += any_sqs.depth(url)[1]
    flow.start()
    reach(MESSAGES)
    eventually(lambda: any_sqs.depth(url) == (0, 0), "the queue is empty", progress=lambda: any_sqs.depth(url))
    assert flow.terminate() == 0, flow.log.read_text()
    feeder.join()

    delivered()
    duplicates = ids.total() - len(ids)
    print(f"{MESSAGES} messages, {KILLS} kills: {duplicates} duplicates, {in_flight_at_kills} in flight at the kills")
    assert set(ids) == set(range(MESSAGES))
    assert duplicates <= in_flight_at_kills


def test_a_killed_worker_ends_the_run(sqs: SqsServer, tmp_path: Path) -> None:
    url = sqs.create_queue()
    output = Output(tmp_path / "out.jsonl")
    flow = RunningFlow(tmp_path, spec(sqs, url, {**FILE, "path": str(output.path)}), "--workers", "3")
    flow.start()
    sqs.client.send_message(QueueUrl=url, MessageBody='{"id": 1}')
    eventually(lambda: len(output.lines()) == 1, "the flow runs")

    workers = flow.workers()
    os.kill(workers[1], signal.SIGKILL)

    assert flow.wait() == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert "worker 1" in flow.log.read_text()
