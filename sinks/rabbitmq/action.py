"""rabbitmq / publish: records as messages of an exchange or a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from flowspec.connectors import Action, WorkerContext
from flowspec.errors import MissingDependencyError
from flowspec.expressions import Template
from flowspec.fields import Duration
from flowspec.formats import Format
from sources.rabbitmq.account import RabbitAccount, RabbitAccountField, need_pika

if TYPE_CHECKING:
    from sinks.rabbitmq.publisher import Publisher

__all__ = ["Publish"]

_MOST_BYTES = 255
"""Of a name and of most properties, as UTF-8. Source: "shortstr" in the AMQP 0-9-1 specification."""
_HIGHEST_PRIORITY = 255
_HeaderValue: TypeAlias = Template | StrictBool | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]


class Publish(Action):
    """Publish: each record becomes a message of a RabbitMQ exchange, or goes straight to a queue.

    At-least-once: a record is delivered when the broker has confirmed its message, which for a durable queue means
    that it is on disk. A batch is published as a whole, in order, and then all its confirms are awaited. A message that
    the broker rejects for now (a full queue with `reject-publish`) is published again, and then comes after its
    neighbours.
    """

    connector: Annotated[Literal["rabbitmq"], Field(description="RabbitMQ.", examples=["rabbitmq"])] = "rabbitmq"
    action: Annotated[Literal["publish"], Field(description="Publish to an exchange.", examples=["publish"])] = (
        "publish"
    )
    account: RabbitAccountField = None
    exchange: Annotated[
        Template,
        Field(
            description="Exchange; without one it is the default exchange, and the routing key is the name of a queue.",
            examples=["orders"],
        ),
    ] = Template("")
    routing_key: Annotated[
        Template,
        Field(
            description="Routing key, up to 255 bytes; without an exchange the name of the queue.",
            examples=["order.{status}"],
        ),
    ] = Template("")
    format: Annotated[
        Format, Field(description="How a record becomes the payload of a message.", examples=["json"])
    ] = "json"
    headers: Annotated[
        dict[str, _HeaderValue],
        Field(
            description="Headers: texts, which are templates, whole numbers, true or false.",
            examples=[{"source": "shop", "customer": "{customer.id}", "version": 2}],
        ),
    ] = Field(default_factory=dict)
    message_id: Annotated[
        Template | None,
        Field(
            description="Property message-id; by default the record's External ID where that has at most 255 bytes. "
            "Like each of these properties, it is left out where its text is empty.",
            examples=["{order_id}"],
        ),
    ] = None
    correlation_id: Annotated[
        Template | None, Field(description="Property correlation-id.", examples=["{meta['correlation_id']}"])
    ] = None
    type: Annotated[Template | None, Field(description="Property type.", examples=["order.{status}"])] = None
    app_id: Annotated[Template | None, Field(description="Property app-id.", examples=["shop"])] = None
    reply_to: Annotated[
        Template | None, Field(description="Property reply-to: the queue for answers.", examples=["answers"])
    ] = None
    content_type: Annotated[
        Template | None,
        Field(
            description="Property content-type; by default that of the format, like application/json.",
            examples=["application/vnd.shop.order+json"],
        ),
    ] = None
    priority: Annotated[
        Template | Annotated[StrictInt, Field(ge=0, le=_HIGHEST_PRIORITY)] | None,
        Field(
            description="Priority from 0 to 255, for queues with x-max-priority; or a template for it.", examples=[5]
        ),
    ] = None
    expiration: Annotated[
        Duration | None,
        Field(
            ge=0,
            lt=2**32 / 1000,
            description="How long a message stays in a queue at most; at 0 it is dropped, or dead-lettered, unless a "
            "consumer gets it at once.",
            examples=["1h"],
        ),
    ] = None
    persistent: Annotated[
        bool,
        Field(description="Whether a message outlives a restart of the broker, in a durable queue.", examples=[True]),
    ] = True
    mandatory: Annotated[
        bool,
        Field(
            description="Whether a message that no queue takes is a failure; otherwise the broker drops it.",
            examples=[False],
        ),
    ] = True

    @field_validator("headers")
    @classmethod
    def _names_of_headers(cls, headers: dict[str, Any]) -> dict[str, Any]:
        for name in headers:
            if not name or len(name.encode()) > _MOST_BYTES:
                msg = f"{name[:40]!r} is no name of a header: it has 1 to {_MOST_BYTES} bytes"
                raise ValueError(msg)
            if name in ("CC", "BCC"):
                msg = f"header {name!r} would be a list of routing keys; bind the queues to one exchange instead"
                raise ValueError(msg)
        return headers

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Publish:
        if not self.exchange.source and not self.routing_key.source:
            msg = "give 'routing_key', the name of a queue, or 'exchange', or both"
            raise ValueError(msg)
        return self

    def check(self) -> str:
        """See that there is what messages would go to, and that they may.

        Raises:
            TransientError: no broker can be reached at present.
            FatalError: the exchange or queue is missing, or may not be used.
        """
        need_pika()
        from sinks.rabbitmq.messages import is_constant
        from sources.rabbitmq.checks import check_publish

        exchange, routing_key = (
            template.source if is_constant(template) else None for template in (self.exchange, self.routing_key)
        )
        return check_publish(RabbitAccount.of(self.account), exchange, routing_key)

    def open(self, context: WorkerContext) -> Publisher:
        """A publisher that connects with the first batch."""
        try:
            from sinks.rabbitmq.publisher import Publisher
        except ImportError:
            raise MissingDependencyError(connector="rabbitmq", extra="rabbitmq") from None
        return Publisher(self, f"{context.flow}: publish, worker {context.worker}")
