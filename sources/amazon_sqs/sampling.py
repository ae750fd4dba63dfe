"""Looking at the messages of a queue: they are received, and made visible again."""

from __future__ import annotations

import json
import logging
import math
import time
from contextlib import closing
from typing import TYPE_CHECKING

from flowspec.errors import FatalError
from sources.amazon_sqs.account import AwsAccount
from sources.amazon_sqs.checks import queue_attributes
from sources.amazon_sqs.keeper import make_visible
from sources.amazon_sqs.leases import Lease
from sources.amazon_sqs.messages import group_of, to_record
from sources.amazon_sqs.queue import TEN, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from flowspec.records import Record
    from sources.amazon_sqs.trigger import ListenQueue

__all__ = ["sample"]

_log = logging.getLogger(__name__)

_HELD = 60
"""Seconds that messages stay hidden when nobody is left to give them back."""
_LONGEST_POLL = 20
_NEXT_POLL = 1
"""Seconds for more messages, once there are some: a poll that does not wait asks a part of the servers only."""
_GIVING_BACK = 10.0


def sample(trigger: ListenQueue, most: int, wait: float) -> list[Record]:
    """The records of messages that are visible, which they are again on return.

    Raises:
        TransientError: the queue cannot be reached at present.
        FatalError: there is no such queue, or looking at a message would move it to another one.
    """
    account = AwsAccount.of(trigger.account)
    limit = _receive_limit(account, trigger.queue_url)
    if limit == 1:
        msg = (
            f"{trigger.queue_url}: its redrive policy moves a message to the dead-letter queue at its second receive, "
            "and a look is the first; raise maxReceiveCount, or look at the dead-letter queue"
        )
        raise FatalError(msg)
    with closing(account.client("sqs", url=trigger.queue_url, connections=1)) as client:
        queue = Queue(client, trigger.queue_url, trigger.wait_time, trigger.attributes)
        queue.use_visibility(_HELD)
        messages: dict[str, MessageTypeDef] = {}
        try:
            _receive(queue, messages, most, wait)
        finally:
            _give_back(queue, list(messages.values()))
    records = [to_record(message, trigger.queue_url) for message in messages.values()]
    if limit and (last := sum(record.meta["receive_count"] >= limit for record in records)):
        _log.warning(
            "%d messages were received %d times now: the next receive moves them to the dead-letter queue", last, limit
        )
    return records


def _receive(queue: Queue, messages: dict[str, MessageTypeDef], most: int, wait: float) -> None:
    until = time.monotonic() + wait
    while len(messages) < most:
        patience = _NEXT_POLL if messages else min(_LONGEST_POLL, max(0, math.ceil(until - time.monotonic())))
        received = queue.receive(min(TEN, most - len(messages)), patience)
        known = len(messages)
        # One that is hidden for too long comes again, and only its last receipt is good.
        messages.update((message["MessageId"], message) for message in received)
        if len(messages) == known and (messages or time.monotonic() >= until):
            return


def _give_back(queue: Queue, messages: list[MessageTypeDef]) -> None:
    now = time.monotonic()
    leases = [
        Lease(message["MessageId"], message["ReceiptHandle"], group_of(message), now, now + _HELD)
        for message in messages
    ]
    left = sum(make_visible(queue, leases[at : at + TEN], now + _GIVING_BACK) for at in range(0, len(leases), TEN))
    if left:
        _log.warning("%d messages could not be given back, they are visible again after %d s at most", left, _HELD)


def _receive_limit(account: AwsAccount, url: str) -> int | None:
    """How often a message is received at most, where the queue has a redrive policy that may be read."""
    policy = (queue_attributes(account, url) or {}).get("RedrivePolicy")
    return None if policy is None else int(json.loads(policy)["maxReceiveCount"])
