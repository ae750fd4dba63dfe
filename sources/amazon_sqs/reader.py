"""amazon-sqs / listen-queue on one worker: receives, hands over, has deleted what was delivered."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from flowspec.delivery.background import Background
from flowspec.delivery.buffer import Buffer
from sources.amazon_sqs.account import AwsAccount
from sources.amazon_sqs.keeper import EXTRA_CONNECTIONS, Keeper
from sources.amazon_sqs.leases import Lease
from sources.amazon_sqs.messages import group_of, size_of, to_record
from sources.amazon_sqs.queue import TEN, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from flowspec.connectors import WorkerContext
    from flowspec.records import Record
    from sources.amazon_sqs.trigger import ListenQueue

__all__ = ["QueueReader"]

_PREFETCH_BYTES = 64 * 1024 * 1024
_POLL_GRACE = 0.5
"""Seconds that a stop waits for long polls. What a poll brings later is visible again after its timeout."""


class QueueReader:
    """Reads one queue with several receivers, each on a thread of its own.

    The receivers also delete what was delivered, so that a busy queue is served by as many threads as were asked
    for.
    """

    def __init__(self, trigger: ListenQueue, context: WorkerContext) -> None:
        self._trigger = trigger
        self._health = context.health
        client = AwsAccount.of(trigger.account).client(
            "sqs", url=trigger.queue_url, connections=trigger.receivers + EXTRA_CONNECTIONS
        )
        self._queue = Queue(client, trigger.queue_url, trigger.wait_time, trigger.attributes)
        prefetch = trigger.prefetch or max(trigger.batch_size, TEN * trigger.receivers)
        self._ask = min(TEN, prefetch)
        self._unread: Buffer[tuple[MessageTypeDef, Lease]] = Buffer(prefetch, _PREFETCH_BYTES)
        self._handed: deque[Lease] = deque()
        """Handed to the flow and not committed, oldest first."""
        self._position = 0
        self._committed = 0
        self._lost_groups: dict[str, float] = {}
        """When a message of a FIFO queue was lost before it was handed over, by message group."""
        self._visibility = 0
        self._connecting = threading.Lock()
        self._stopping = threading.Event()
        self._closed = False
        self._keeper = Keeper(self._queue, context.health, self._unread.fail, fifo=trigger.fifo)
        self._receivers = Background("sqs", context.health, self._unread.fail)
        for number in range(trigger.receivers):
            self._receivers.start(self._receive, self._stopping, f"receiver-{number}")

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over messages that are still ours."""
        taken = self._unread.take(most, wait, self._trigger.batch_wait)
        if not taken:
            self._lost_groups.clear()
            return []
        ours = [(message, lease) for message, lease in taken if self._is_ours(lease)]
        self._handed.extend(lease for _, lease in ours)
        self._position += len(ours)
        return [to_record(message, self._trigger.queue_url) for message, _ in ours]

    def position(self) -> int:
        """How many messages were handed over."""
        return self._position

    def commit(self, position: int) -> None:
        """Have the messages up to `position` deleted."""
        self._keeper.delete([self._handed.popleft() for _ in range(position - self._committed)])
        self._committed = position

    def stop(self) -> None:
        """Receive no more; `close` gives back what was not handed over."""
        self._stopping.set()

    def close(self, timeout: float) -> None:
        """Delete what is committed and give back what was not handed over, in `timeout` seconds at most."""
        if self._closed:
            return
        self._closed = True
        self._stopping.set()
        until = time.monotonic() + timeout
        # What is given back may go to a long poll of our own that is still open, and is then given back again.
        while not self._receivers.join(min(timeout, _POLL_GRACE)) and len(self._unread):
            self._give_back_unread(until)
        self._give_back_unread(until)
        self._keeper.close(until)
        self._queue.close()

    def _give_back_unread(self, until: float) -> None:
        self._keeper.give_back([lease for _, lease in self._unread.clear()], until)

    def _is_ours(self, lease: Lease) -> bool:
        """Whether a message may be handed over; one that may not comes again by itself.

        When a FIFO queue hands out a lost message again, those behind it in its group must not have passed it.
        """
        if lease.lost:
            if lease.group is not None:
                self._lost_groups[lease.group] = time.monotonic()
        elif lease.group is None or lease.received_at > self._lost_groups.get(lease.group, 0.0):
            return True
        self._keeper.let_go([lease])
        return False

    def _receive(self) -> None:
        if not self._visibility:
            self._connect()
        self._keeper.delete_some()
        if self._keeper.overdue or not self._unread.reserve(self._ask, timeout=0.1):
            self._stopping.wait(0.01)
            return
        try:
            messages = self._queue.receive(self._ask)
            self._unread.put(
                [
                    ((message, lease), size_of(message))
                    for message in messages
                    if self._keeper.hold(lease := self._lease(message), self._visibility)
                ]
            )
        finally:
            self._unread.release(self._ask)
        if not self._keeper.deletes_fail:
            self._health.up()

    def _lease(self, message: MessageTypeDef) -> Lease:
        now = time.monotonic()
        return Lease(message["MessageId"], message["ReceiptHandle"], group_of(message), now, now + self._visibility)

    def _connect(self) -> None:
        with self._connecting:
            if not self._visibility:
                self._visibility = self._queue.use_visibility(self._trigger.visibility_timeout)
                # The queue answered; the first long poll may take its time.
                self._health.up()
