"""What is said of an account, a queue and an exchange that could be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowspec.errors import FatalError
from sources.rabbitmq.account import RabbitAccount
from sources.rabbitmq.looking import looking
from sources.rabbitmq.session import MissingQueueError, with_advice

if TYPE_CHECKING:
    from sources.rabbitmq.looking import Look
    from sources.rabbitmq.trigger import ConsumeQueue

__all__ = ["check_account", "check_consume", "check_publish"]


def check_account(account: RabbitAccount) -> str:
    """The broker that answers.

    Raises:
        TransientError: none can be reached at present.
        FatalError: a broker refuses us, and will do so again.
    """
    with looking(account) as look:
        return look.broker


def check_consume(trigger: ConsumeQueue) -> str:
    """The queue of a trigger, which may be consumed.

    Raises:
        TransientError: no broker can be reached at present.
        FatalError: the queue or an exchange is missing or is not what the trigger says, or may not be used.
    """
    with looking(RabbitAccount.of(trigger.account)) as look:
        try:
            return f"{look.broker}; {_queue(trigger, look)}"
        except FatalError as error:
            advised = with_advice(error, error.__cause__ or error, trigger)
            if isinstance(advised, MissingQueueError) and trigger.declare is not None and "no queue" in str(error):
                return f"{look.broker}; the flow creates queue {trigger.queue!r}; not checked: whether it may"
            raise advised from error


def _queue(trigger: ConsumeQueue, look: Look) -> str:
    for binding in trigger.bindings:
        if binding.exchange_type is None:
            look.exchange(binding.exchange)
    waiting, consumers = look.queue(trigger.queue)
    if trigger.declare is not None:
        look.same(trigger.queue, trigger.declare)
    found = f"queue {trigger.queue!r}: {waiting} messages wait, {consumers} consumers"
    if not look.knows_rights:
        return f"{found}; not checked: permission to read"
    look.may_read(trigger.queue)
    return found


def check_publish(account: RabbitAccount, exchange: str | None, routing_key: str | None) -> str:
    """Where messages would go, which may be published there.

    Args:
        account: Who publishes.
        exchange: The exchange, empty for the default one; None where it differs by message.
        routing_key: The routing key; None where it differs by message.

    Raises:
        TransientError: no broker can be reached at present.
        FatalError: the exchange or queue is missing, or may not be used.
    """
    with looking(account) as look:
        broker = look.broker
        if exchange is None:
            return f"{broker}; not checked: the exchange, which differs by record"
        unknown = []
        if exchange:
            look.exchange(exchange)
            found = f"exchange {exchange!r}"
            unknown.append("that a queue is bound to it")
        elif routing_key is None:
            found = "the default exchange"
            unknown.append("the queue, which differs by record")
        else:
            waiting, consumers = look.queue(routing_key)
            found = f"queue {routing_key!r}: {waiting} messages wait, {consumers} consumers"
        if look.knows_rights:
            look.may_write(exchange, routing_key or "")
        else:
            unknown.append("permission to write")
        return "; ".join([broker, found, *([f"not checked: {', '.join(unknown)}"] if unknown else [])])
