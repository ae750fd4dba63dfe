"""The Amazon SQS flow beside a bare boto3 loop with as many threads, on the same server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from pydantic import Field

from benchmarks.clock import Clock
from benchmarks.engine import run
from benchmarks.measure import Result, interleaved, note, show
from benchmarks.servers import BenchmarkServer
from benchmarks.work import orders
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.spec import FlowSpec
from sinks.drop import Drop
from sources.amazon_sqs import AwsAccount, ListenQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["MESSAGES", "filled", "main"]

MESSAGES = 4_000
_ROUNDS = 5
_THREADS = 4
_WAIT_TIME = 1


def _watched(client: SQSClient, clock: Clock) -> SQSClient:
    """Have the deletes of a client counted: a message is done when it is deleted."""
    client.meta.events.register(
        "after-call.sqs.DeleteMessageBatch", lambda parsed, **_: clock.count(len(parsed.get("Successful", [])))
    )
    return client


class _WatchedAccount(AwsAccount):
    """An account whose clients report their deletes."""

    watch: Any = Field(exclude=True, repr=False)

    def client(self, service: str, *, url: str = "", connections: int, **options: Any) -> Any:
        return self.watch(super().client(service, url=url, connections=connections, **options))


def filled(server: BenchmarkServer) -> str:
    """A queue with orders in it, each with a message attribute."""
    url = server.sqs.create_queue()
    attribute = {"source": {"DataType": "String", "StringValue": "shop"}}
    bodies = [order.decode() for order in orders(MESSAGES)]
    for first in range(0, MESSAGES, 10):
        server.sqs.client.send_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(index), "MessageBody": body, "MessageAttributes": attribute}  # type: ignore[typeddict-item]
                for index, body in enumerate(bodies[first : first + 10])
            ],
        )
    return url


def _receive_and_delete(client: SQSClient, url: str, finished: Callable[[], bool]) -> None:
    while not finished():
        messages = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=_WAIT_TIME,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages")
        if messages:
            client.delete_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(messages)
                ],
            )


def _bare(account: dict[str, Any], url: str) -> Result:
    client: SQSClient = boto3.client(
        "sqs",
        endpoint_url=account["endpoint_url"],
        region_name=account["region"],
        aws_access_key_id=account["access_key_id"],
        aws_secret_access_key=account["secret_access_key"],
    )
    clock = Clock(MESSAGES, MESSAGES)
    _watched(client, clock)
    threads = [
        threading.Thread(target=_receive_and_delete, args=(client, url, lambda: clock.finished))
        for _ in range(_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    return clock.result()


def _flow(account: dict[str, Any], url: str, state_dir: Path) -> Result:
    clock = Clock(MESSAGES, MESSAGES)
    spec = FlowSpec(
        name="orders",
        trigger=ListenQueue(
            queue_url=url,
            account=_WatchedAccount(**account, watch=partial(_watched, clock=clock)),
            receivers=_THREADS,
            wait_time=_WAIT_TIME,
            external_id=Expression("order_id"),
        ),
        sinks=[Drop(format="json")],
    )
    flow_run = FlowRun(spec.name, state_dir, limit=MESSAGES)
    run(spec, flow_run)
    return clock.result()


def _two_processes(server: BenchmarkServer) -> float:
    """The rate of two bare loops at the same time, each a process with its own queue."""
    urls = [filled(server), filled(server)]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        # Both have imported boto3 before either begins.
        list(pool.map(time.sleep, [0.5, 0.5]))
        results = pool.map(_bare, [server.sqs.account] * 2, urls, timeout=60)
        return sum(result.rate for result in results)


def main(server: BenchmarkServer) -> None:
    """Measure, and print the table."""
    with TemporaryDirectory() as directory:
        results = interleaved(
            {
                "bare boto3 loop": lambda: _bare(server.sqs.account, filled(server)),
                "flow": lambda: _flow(server.sqs.account, filled(server), Path(directory)),
            },
            _ROUNDS,
        )
    floor = results["bare boto3 loop"]
    show(
        "Amazon SQS",
        ["", "messages/s", "rate, ratio to bare", "CPU us/message", "CPU, % of one core"],
        (
            [
                name,
                f"{result.rate:,.0f}",
                f"{result.rate / floor.rate:.2f}",
                f"{result.cpu:.0f}",
                f"{result.rate * result.cpu / 1e4:.0f}",
            ]
            for name, result in results.items()
        ),
    )
    both = _two_processes(server)
    limit = (
        "the server is not the limit" if both > 1.2 * floor.rate else "THE SERVER IS THE LIMIT: the ratio means little"
    )
    note(
        f"{server.name}, {MESSAGES:,} messages with an attribute, {_THREADS} threads, medians of {_ROUNDS} "
        f"interleaved runs. Two bare loops in two processes receive {both:,.0f} messages/s together: {limit}."
    )
