"""What a flow may declare before it consumes: its queue, and how messages come into it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flowspec.connectors import SpecModel
from flowspec.fields import ByteSize, Duration

__all__ = ["Arguments", "Binding", "Declaration", "Name", "argument_field"]

_MOST_BYTES = 255
"""Of a name or key. Source: "shortstr" in the AMQP 0-9-1 specification."""

Name = Annotated[str, Field(max_length=_MOST_BYTES)]
"""Name of a queue or exchange, or a routing key."""
Arguments = dict[Name, bool | int | str]
"""What the broker knows and the spec has no field for."""

_ARGUMENTS = {
    "type": "x-queue-type",
    "dead_letter_exchange": "x-dead-letter-exchange",
    "dead_letter_routing_key": "x-dead-letter-routing-key",
    "message_ttl": "x-message-ttl",
    "expires": "x-expires",
    "max_length": "x-max-length",
    "max_length_bytes": "x-max-length-bytes",
    "overflow": "x-overflow",
    "delivery_limit": "x-delivery-limit",
    "max_priority": "x-max-priority",
    "single_active_consumer": "x-single-active-consumer",
}
"""Source: "Optional Arguments" in RabbitMQ's guide to queues."""


class Declaration(SpecModel):
    """A queue that is created where it does not exist.

    One that exists must have been declared the same.
    """

    type: Annotated[
        Literal["classic", "quorum"],
        Field(description="Kind of the queue; a quorum queue is replicated in a cluster.", examples=["quorum"]),
    ] = "classic"
    durable: Annotated[
        bool, Field(description="Whether the queue outlives a restart of the broker.", examples=[True])
    ] = True
    auto_delete: Annotated[
        bool,
        Field(description="Whether the queue goes, with all it has, when its last consumer does.", examples=[False]),
    ] = False
    dead_letter_exchange: Annotated[
        Name | None,
        Field(
            description="Exchange that gets what is rejected, expired or too much; an empty text is the default "
            "exchange.",
            examples=["orders-failed"],
        ),
    ] = None
    dead_letter_routing_key: Annotated[
        Name | None,
        Field(description="Routing key of dead letters; by default that of the message.", examples=["orders"]),
    ] = None
    message_ttl: Annotated[
        Duration | None, Field(ge=0, description="How long a message waits before it expires.", examples=["1h"])
    ] = None
    expires: Annotated[
        Duration | None, Field(gt=0, description="How long the queue stays when nobody uses it.", examples=["7d"])
    ] = None
    max_length: Annotated[int | None, Field(ge=0, description="The most messages that wait.", examples=[100_000])] = (
        None
    )
    max_length_bytes: Annotated[
        ByteSize | None, Field(ge=0, description="The most bytes that wait.", examples=["100MB"])
    ] = None
    overflow: Annotated[
        Literal["drop-head", "reject-publish", "reject-publish-dlx"] | None,
        Field(description="What happens to messages beyond the most.", examples=["reject-publish"]),
    ] = None
    delivery_limit: Annotated[
        int | None,
        Field(ge=0, description="How often a quorum queue hands a message out again.", examples=[5]),
    ] = None
    max_priority: Annotated[
        int | None, Field(ge=1, le=255, description="The highest priority of a classic queue.", examples=[10])
    ] = None
    single_active_consumer: Annotated[
        bool | None,
        Field(
            description="Whether only one consumer at a time gets messages, so that they keep their order.",
            examples=[True],
        ),
    ] = None
    arguments: Annotated[
        Arguments,
        Field(description="Other arguments of the queue.", examples=[{"x-queue-mode": "lazy"}]),
    ] = Field(default_factory=dict)

    @field_validator("arguments")
    @classmethod
    def _not_twice(cls, arguments: Arguments) -> Arguments:
        for field, argument in _ARGUMENTS.items():
            if argument in arguments:
                msg = f"{argument!r} is given as {field!r}"
                raise ValueError(msg)
        return arguments

    @model_validator(mode="after")
    def _fits_the_type(self) -> Declaration:
        if self.type == "quorum" and (self.auto_delete or not self.durable):
            msg = "a quorum queue is always durable, and has no auto_delete"
            raise ValueError(msg)
        if self.type == "quorum" and self.max_priority is not None:
            msg = "a quorum queue has no max_priority"
            raise ValueError(msg)
        if self.type == "classic" and self.delivery_limit is not None:
            msg = "delivery_limit is for quorum queues"
            raise ValueError(msg)
        return self

    def all_arguments(self) -> Arguments:
        """The arguments as the broker knows them; times in milliseconds."""
        found = self.arguments.copy()
        for field, argument in _ARGUMENTS.items():
            value = getattr(self, field)
            if field in ("message_ttl", "expires") and value is not None:
                value = round(value * 1000)
            if value is not None:
                found[argument] = value
        if self.type == "classic":
            # What a broker makes of a queue without a type; older declarations have none.
            del found["x-queue-type"]
        return found


class Binding(SpecModel):
    """What an exchange routes into the queue."""

    exchange: Annotated[Name, Field(min_length=1, description="Name of the exchange.", examples=["shop"])]
    routing_key: Annotated[
        Name, Field(description="Routing key, or a pattern of a topic exchange.", examples=["orders.*.paid"])
    ] = ""
    arguments: Annotated[
        Arguments,
        Field(
            description="Arguments of the binding: what a headers exchange compares.",
            examples=[{"x-match": "all", "country": "de"}],
        ),
    ] = Field(default_factory=dict)
    exchange_type: Annotated[
        Literal["direct", "topic", "fanout", "headers"] | None,
        Field(
            description="Declare the exchange, durable and of this type; by default it must exist.",
            examples=["topic"],
        ),
    ] = None


def argument_field(argument: str) -> str:
    """The field of a `Declaration` that gives an argument of the broker's."""
    return next((field for field, known in _ARGUMENTS.items() if known == argument), argument)
