"""rabbitmq / consume-queue: the spec model of the trigger."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from flowspec.connectors import StreamTrigger
from sources.rabbitmq.account import RabbitAccountField, need_pika
from sources.rabbitmq.topology import Arguments, Binding, Declaration, Name

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record
    from sources.rabbitmq.reader import QueueReader

__all__ = ["ConsumeQueue"]

_MOST_PREFETCH = 65_535
"""Source: "basic.qos" in the AMQP 0-9-1 specification."""
_BATCHES_AHEAD = 4
"""One is in the flow, one awaits its commit, one waits for the flow and one is on its way."""


class ConsumeQueue(StreamTrigger):
    """Consume Queue: starts the flow for each message of a RabbitMQ queue.

    At-least-once. A message is acknowledged when every sink has it. When the connection is lost, or the process dies,
    the broker hands out again what was not acknowledged. Messages that were received and not used are given back at a
    stop. Several workers share a queue; one alone keeps its order.

    The broker sends no more than `prefetch` messages ahead, whatever their size: they, and those in the flow, are held
    in memory.

    In steps, `meta` has `queue`, `exchange`, `routing_key`, `redelivered`, `delivery_count` (of a quorum queue, else
    0), and those of the message's properties that are present: `content_type`, `content_encoding`, `delivery_mode`,
    `priority`, `correlation_id`, `reply_to`, `expiration`, `message_id`, `timestamp`, `type`, `user_id`, `app_id`,
    `cluster_id`. `headers` are typed, and `key` is the routing key.
    """

    identified_by = ("message_id",)
    sample_cost = (
        "The messages are marked as redelivered, and of a quorum queue their delivery count rises, which its delivery "
        "limit bounds. They are out of the queue for the moment of the look: a consumer that takes others meanwhile "
        "gets them after those."
    )

    connector: Annotated[Literal["rabbitmq"], Field(description="RabbitMQ.", examples=["rabbitmq"])] = "rabbitmq"
    event: Annotated[
        Literal["consume-queue"], Field(description="Each message of a queue.", examples=["consume-queue"])
    ] = "consume-queue"
    account: RabbitAccountField = None
    queue: Annotated[Name, Field(min_length=1, description="Name of the queue.", examples=["orders"])]
    prefetch: Annotated[
        int | None,
        Field(
            ge=1,
            le=_MOST_PREFETCH,
            description="The most messages that the broker sends ahead of their acknowledgement; by default four times "
            "the batch size.",
            examples=[1000],
        ),
    ] = None
    declare: Annotated[
        Declaration | None,
        Field(
            description="Create the queue where it does not exist; by default it must exist.",
            examples=[{"type": "quorum", "dead_letter_exchange": "orders-failed"}],
        ),
    ] = None
    bindings: Annotated[
        list[Binding],
        Field(
            description="What exchanges route into the queue; nothing is ever unbound.",
            examples=[[{"exchange": "shop", "routing_key": "orders.#"}]],
        ),
    ] = Field(default_factory=list)
    consumer_arguments: Annotated[
        Arguments,
        Field(description="Arguments of the consumer, like its priority.", examples=[{"x-priority": 10}]),
    ] = Field(default_factory=dict)
    on_reject: Annotated[
        Literal["dead_letter_store", "broker"],
        Field(
            description="Where a record goes that fails: to the flow's dead-letter store, or back to the broker, for "
            "the dead-letter exchange of the queue. A queue without such an exchange loses what is given back.",
            examples=["broker"],
        ),
    ] = "dead_letter_store"

    @model_validator(mode="after")
    def _rejected_are_kept(self) -> ConsumeQueue:
        declared = self.declare
        if self.on_reject == "broker" and declared is not None and declared.dead_letter_exchange is None:
            msg = "on_reject 'broker' needs declare.dead_letter_exchange: the broker would throw away what failed"
            raise ValueError(msg)
        return self

    @property
    def messages_ahead(self) -> int:
        """The most messages that the broker sends before one is acknowledged."""
        return self.prefetch or min(_BATCHES_AHEAD * self.batch_size, _MOST_PREFETCH)

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> QueueReader:
        """Begin to consume; the queue remembers what was delivered, so there is nothing to resume."""
        need_pika()
        from sources.rabbitmq.reader import QueueReader, RejectingReader

        reader = RejectingReader if self.on_reject == "broker" else QueueReader
        return reader(self, context)

    def identity(self, record: Record) -> str | None:
        """The message id that the publisher gave, and a hash of the payload: publishers may use an id again."""
        given = super().identity(record)
        if not given:
            return None
        raw = record.raw.encode("utf-8", "surrogatepass") if isinstance(record.raw, str) else record.raw
        return f"{given}/{blake2b(raw, digest_size=8).hexdigest()}"

    def check(self) -> str:
        """See that the queue is there and may be consumed, and say what it has.

        Raises:
            TransientError: no broker can be reached at present.
            FatalError: the queue or an exchange is missing or is not what the trigger says, or may not be used.
        """
        need_pika()
        from sources.rabbitmq.checks import check_consume

        return check_consume(self)

    def sample(self, most: int, wait: float, context: WorkerContext) -> list[Record]:
        """Get messages and have them requeued; those that consumers hold are not seen.

        Raises:
            TransientError: no broker can be reached at present.
            FatalError: there is no such queue, or none whose messages can be gotten.
        """
        need_pika()
        from sources.rabbitmq.sampling import sample

        return sample(self, most, wait)
