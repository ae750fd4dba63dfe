"""Looking at the messages of a queue: they are gotten, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowspec.errors import FatalError, FlowError
from sources.rabbitmq.account import RabbitAccount
from sources.rabbitmq.looking import looking
from sources.rabbitmq.messages import to_record
from sources.rabbitmq.session import with_advice

if TYPE_CHECKING:
    from flowspec.records import Record
    from sources.rabbitmq.trigger import ConsumeQueue

__all__ = ["sample"]

_ANSWER_WITHIN = 10.0
_NOT_GOTTEN = "basic.get"
"""What is not supported, says the broker, of streams and of quorum queues with a single active consumer."""


def sample(trigger: ConsumeQueue, most: int, wait: float) -> list[Record]:
    """The records of messages that wait in the queue, as they do again on return.

    Raises:
        TransientError: no broker can be reached at present.
        FatalError: there is no such queue, or none whose messages can be gotten.
    """
    with looking(RabbitAccount.of(trigger.account), wait + _ANSWER_WITHIN) as look:
        try:
            deliveries = look.get(trigger.queue, most, wait)
        except FlowError as error:
            if _NOT_GOTTEN in str(error):
                msg = f"{error}; to look at such messages, bind a classic queue to the same exchange and look at that"
                raise FatalError(msg) from error
            raise with_advice(error, error.__cause__ or error, trigger) from error
        look.give_back(trigger.queue)
        return [to_record(delivery, trigger.queue) for delivery in deliveries]
