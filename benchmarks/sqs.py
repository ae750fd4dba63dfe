"""The Amazon SQS flow beside a bare boto3 loop with as many threads, on the same server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchmarks.engine import run
from benchmarks.measure import Result, interleaved, note, show
from benchmarks.memory import orders
from flowspec.compiler import compile_flow
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.spec import FlowSpec
from sinks.drop import Drop
from sources.amazon_sqs import AwsAccount, ListenQueue
from tests.servers.sqs import SqsServer

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["fill", "main"]

_MESSAGES = 4_000
_ROUNDS = 5
_THREADS = 4
_WAIT_TIME = 1


@dataclass
class _Finish:
    """When nine of ten messages were deleted: the tail, where threads run dry, is nobody's speed."""

    messages: int
    deleted: int = 0
    started: float = field(default_factory=time.perf_counter)
    started_cpu: float = field(default_factory=time.process_time)
    result: Result | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, client: SQSClient) -> SQSClient:
        """Count the deletes of a client."""
        client.meta.events.register("after-call.sqs.DeleteMessageBatch", self._count)
        return client

    def _count(self, parsed: dict[str, Any], **_: Any) -> None:
        with self._lock:
            self.deleted += len(parsed.get("Successful", []))
            if self.result is None and self.deleted >= self.messages * 0.9:
                seconds = time.perf_counter() - self.started
                cpu = time.process_time() - self.started_cpu
                self.result = Result(self.deleted / seconds, cpu / self.deleted * 1e6)

    def taken(self) -> Result:
        """The result.

        Raises:
            RuntimeError: messages are missing.
        """
        if self.result is None:
            msg = f"only {self.deleted} of {self.messages} messages were deleted"
            raise RuntimeError(msg)
        return self.result


class _WatchedAccount(AwsAccount):
    """An account whose clients report their deletes."""

    watch: Any = Field(exclude=True, repr=False)

    def client(self, *arguments: Any, **options: Any) -> Any:
        return self.watch(super().client(*arguments, **options))


def fill(server: SqsServer, url: str, messages: int) -> None:
    """Put orders into a queue, each with a message attribute."""
    attribute = {"source": {"DataType": "String", "StringValue": "shop"}}
    bodies = [order.decode() for order in orders(messages)]
    for first in range(0, messages, 10):
        server.client.send_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(index), "MessageBody": body, "MessageAttributes": attribute}  # type: ignore[typeddict-item]
                for index, body in enumerate(bodies[first : first + 10])
            ],
        )


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


def _bare(account: dict[str, Any], url: str, messages: int) -> Result:
    client: SQSClient = AwsAccount(**account).client("sqs", connections=_THREADS, url=url)
    finish = _Finish(messages)
    finish.watch(client)
    threads = [
        threading.Thread(target=_receive_and_delete, args=(client, url, lambda: finish.deleted >= messages))
        for _ in range(_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    return finish.taken()


def _flow(account: dict[str, Any], url: str, messages: int, state_dir: Path) -> Result:
    finish = _Finish(messages)
    spec = FlowSpec(
        name="orders",
        trigger=ListenQueue(
            queue_url=url,
            account=_WatchedAccount(**account, watch=finish.watch),
            receivers=_THREADS,
            wait_time=_WAIT_TIME,
            external_id=Expression("order_id"),
        ),
        sinks=[Drop(format="json")],
    )
    flow_run = FlowRun(spec.name, state_dir, limit=messages)
    run(compile_flow(spec, flow_run))
    flow_run.close()
    return finish.taken()


def _two_processes(server: SqsServer) -> float:
    """The rate of two bare loops at the same time, each a process with its own queue."""
    urls = [server.create_queue(), server.create_queue()]
    for url in urls:
        fill(server, url, _MESSAGES)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        # Both have imported boto3 before either begins.
        list(pool.map(time.sleep, [0.5, 0.5]))
        results = pool.map(_bare, [server.account] * 2, urls, [_MESSAGES] * 2, timeout=60)
        return sum(result.rate for result in results)


def main(server: SqsServer) -> None:
    """Measure, and print the table."""

    def filled() -> str:
        url = server.create_queue()
        fill(server, url, _MESSAGES)
        return url

    with TemporaryDirectory() as directory:
        results = interleaved(
            {
                "bare boto3 loop": lambda: _bare(server.account, filled(), _MESSAGES),
                "flow": lambda: _flow(server.account, filled(), _MESSAGES, Path(directory)),
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
    both = median(_two_processes(server) for _ in range(3))
    limit = "the client is the limit" if both > 1.2 * floor.rate else "THE SERVER IS THE LIMIT, so the ratio means little"
    note(
        f"{server.name}, {_MESSAGES:,} messages with an attribute, {_THREADS} threads, medians of {_ROUNDS} interleaved "
        f"runs. Two bare loops in two processes receive {both:,.0f} messages/s together: {limit}."
    )
