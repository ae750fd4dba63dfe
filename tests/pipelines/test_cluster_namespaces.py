"""Three workers on three machines of a network, with addresses of their own, against one broker."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.pipelines.namespaces import Machine, forwarding, network
from tests.servers.kafka import KafkaBroker
from tests.servers.rabbitmq import RabbitNode

WORKERS = 3
PORT = 2101
KEYS = 30
"""Each is counted on the worker that has it."""
STEPS: list[dict[str, Any]] = [
    {"dedupe": "id"},
    {"set": {"key": f"id % {KEYS}"}},
    {"count_by": {"key": "body.key", "into": "count"}},
]

Send: TypeAlias = Callable[[range], None]


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    with network(WORKERS) as machines:
        yield machines


@pytest.fixture(params=["kafka", "rabbitmq"])
def broker(
    request: pytest.FixtureRequest, machines: list[Machine]
) -> Iterator[tuple[dict[str, Any], Send, Callable[[], bool]]]:
    """A trigger, what sends records to it, and what says whether all are acknowledged."""
    *workers, hub = machines
    with ExitStack() as stack:
        if request.param == "kafka":
            kafka: KafkaBroker = request.getfixturevalue("kafka")
            # A broker says itself where it is, so it has to be there on each machine.
            for machine in workers:
                stack.enter_context(forwarding(machine, "127.0.0.1", int(kafka.bootstrap_servers.rpartition(":")[2])))
            topic = kafka.create_topic(6)
            # Whoever is killed keeps its partitions until then.
            account = {**kafka.account, "properties": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}}
            trigger: dict[str, Any] = {"connector": "kafka", "account": account, "topics": [topic], "group": topic}

            def produce(numbers: range) -> None:
                for partition in range(6):
                    bodies = (b'{"id": %d}' % number for number in numbers if number % 6 == partition)
                    kafka.produce(topic, *bodies, partition=partition)

            yield trigger, produce, lambda: kafka.lag(topic, topic) == 0
        else:
            node: RabbitNode = request.getfixturevalue("rabbitmq")
            stack.enter_context(forwarding(hub, hub.address, node.port))
            queue = node.create_queue()
            account = {"url": node.url.replace("127.0.0.1", hub.address)}
            trigger = {"connector": "rabbitmq", "account": account, "queue": queue, "prefetch": 20, "batch_size": 10}
            yield (
                trigger,
                lambda numbers: node.publish(queue, *(b'{"id": %d}' % number for number in numbers)),
                lambda: node.depth(queue) == (0, 0),
            )


def test_a_worker_is_killed_and_totals_are_exact(
    broker: tuple[dict[str, Any], Send, Callable[[], bool]], machines: list[Machine], tmp_path: Path
) -> None:
    trigger, send, is_empty = broker
    spec = {
        "name": "orders",
        "trigger": {**trigger, "external_id": "id"},
        "steps": STEPS,
        "sink": {"connector": "files", "path": "out.jsonl"},
    }
    addresses = ";".join(f"{machine.address}:{PORT}" for machine in machines[:WORKERS])
    outputs, members = [], []
    for worker in range(WORKERS):
        directory = tmp_path / f"worker-{worker}"
        directory.mkdir()
        outputs.append(Output(directory / "out.jsonl"))
        options = ("--process-id", str(worker), "--addresses", addresses, "--restart", "on-failure")
        member = RunningFlow(directory, spec, *options)
        # The workers of a flow that remembers share its state.
        member.state_dir = tmp_path / "state"
        members.append(member)

    def start(worker: int) -> None:
        machines[worker].do(members[worker].start)

    def delivered() -> Counter[int]:
        return Counter(line["id"] for output in outputs for line in output.lines())

    for worker in range(WORKERS):
        start(worker)
    send(range(600))
    eventually(lambda: set(delivered()) == set(range(600)), "the first are delivered", lambda: delivered().total())

    killed = members[1]
    send(range(600, 1200))
    for pid in (killed.process.pid, *killed.workers()):
        os.kill(pid, signal.SIGKILL)
    killed.wait()
    send(range(1200, 1800))
    lost = f"worker 1 at {machines[1].address}:{PORT} is lost"
    for member in (members[0], members[2]):
        eventually(lambda: lost in member.log.read_text(), "it is said who is lost")  # noqa: B023
    start(1)
    eventually(lambda: set(delivered()) == set(range(1800)), "all are delivered", lambda: delivered().total())
    eventually(is_empty, "the broker knows that", lambda: None)

    for member in members:
        member.process.send_signal(signal.SIGTERM)
    assert [member.wait() for member in members] == [0] * WORKERS
    totals = delivered()
    assert set(totals) == set(range(1800)), "nothing is lost"
    assert all(output.lines() for output in outputs), "work is spread"
    counts: Counter[int] = Counter()
    for output in outputs:
        for line in output.lines():
            counts[line["key"]] = max(counts[line["key"]], line["count"])
    assert counts == dict.fromkeys(range(KEYS), 1800 // KEYS), "each record is counted once"
    print(json.dumps({"records": 1800, "twice": totals.total() - 1800, "by worker": [len(o.lines()) for o in outputs]}))
