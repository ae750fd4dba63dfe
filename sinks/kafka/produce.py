"""kafka / produce: records as messages of topics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flowspec.connectors import Action, Trigger, WorkerContext, Writer
from flowspec.errors import MissingDependencyError
from flowspec.expressions import Expression, Template
from flowspec.fields import Duration
from flowspec.formats import Encoder
from sinks.kafka.messages import is_topic
from sources.kafka.account import KafkaAccount, KafkaAccountField, need_kafka
from sources.kafka.formats import WriteFormat, encoder, needs_topic
from sources.kafka.trigger import ConsumeTopics

__all__ = ["Produce"]


class Produce(Action):
    """Produce: each record becomes a message of a Kafka topic.

    At-least-once. A record is delivered when all in-sync replicas of its partition have it. The producer is idempotent:
    the order of a partition is kept, and a broker that is away for a while costs no duplicate; they come from a
    crash of the flow, which has its last records produced again.

    With `exactly_once` there are none for those who read the topic with `read_committed`. What a crash left open is
    ended when the flow starts again. A record that is given up may then be in the dead-letter store twice.
    """

    connector: Annotated[Literal["kafka"], Field(description="Apache Kafka.", examples=["kafka"])] = "kafka"
    action: Annotated[Literal["produce"], Field(description="Produce to a topic.", examples=["produce"])] = "produce"
    account: KafkaAccountField
    topic: Annotated[
        Template,
        Field(
            description="Topic. One without expressions must exist, or the flow stops; otherwise a record whose topic "
            "does not exist is a dead letter.",
            examples=["billing", "orders-{country}"],
        ),
    ]
    key: Annotated[
        Expression | None,
        Field(
            description="Expression for the key, which decides on the partition: a text, a number, or bytes. By "
            "default, and where it is null, a message has no key, also where the record came with one; `key` keeps it.",
            examples=["customer.id", "key"],
        ),
    ] = None
    partition: Annotated[
        Expression | None,
        Field(
            description="Expression for the number of the partition; by default, and where it is null, the key decides "
            "as it does for other clients of librdkafka, and a message without a key goes to any.",
            examples=["meta['partition']", 0],
        ),
    ] = None
    headers: Annotated[
        dict[Annotated[str, Field(pattern=r"^[^\x00]+$")], Template],
        Field(description="Headers, as texts.", examples=[{"source": "shop", "order": "{order_id}"}]),
    ] = Field(default_factory=dict)
    format: Annotated[
        WriteFormat,
        Field(
            description="How a record becomes the value of a message: a name, or an object with one key, the name, "
            "that holds options. `avro` and `json-schema` need the `schema_registry` of the account. A record whose "
            "body is null is a tombstone, a message without a value, in any format.",
            examples=["json", {"avro": {"subject": "orders-value"}}],
        ),
    ] = "json"
    compression: Annotated[
        Literal["none", "gzip", "snappy", "lz4", "zstd"],
        Field(description="How messages are compressed on their way and in the topic.", examples=["zstd"]),
    ] = "none"
    exactly_once: Annotated[
        bool,
        Field(
            description="Whether each record of a Kafka trigger becomes a message exactly once for those who read the "
            "topic with `read_committed`: messages and the offsets of the group are committed together, in "
            "transactions. For a flow whose trigger is `kafka` / `consume-topics` on the same cluster, and with no "
            "other sink.",
            examples=[True],
        ),
    ] = False
    transactional_id: Annotated[
        str | None,
        Field(
            min_length=1,
            description="With `exactly_once`, what the brokers know the flow by, to end what a crash of it left open; "
            "the number of the worker is appended. Each replica of the flow needs its own; by default it is the name "
            "of the flow.",
            examples=["orders-to-billing-${HOSTNAME}"],
        ),
    ] = None
    transaction_timeout: Annotated[
        Duration,
        Field(
            ge=1,
            le=900,
            description="With `exactly_once`, how long a crash that is not followed by a restart holds up those who "
            "read the topic with `read_committed`, at most. A transaction that takes longer is done once more.",
            examples=["10s"],
        ),
    ] = 30.0

    @field_validator("topic")
    @classmethod
    def _topic_is_one(cls, topic: Template) -> Template:
        if "{" not in topic.source and not is_topic(topic.source):
            msg = f"{topic.source[:300]!r} is no name of a topic: it has 1 to 249 letters, digits, '.', '_' and '-'"
            raise ValueError(msg)
        return topic

    @field_validator("key")
    @classmethod
    def _key_is_no_template(cls, key: Expression | None) -> Expression | None:
        if key is not None and key.source.lstrip().startswith("{"):
            msg = f"key is an expression, not a template: write {key.source.strip().strip('{}')!r}"
            raise ValueError(msg)
        return key

    @model_validator(mode="after")
    def _schema_has_a_subject(self) -> Produce:
        if needs_topic(self.format) and not self.has_one_topic:
            msg = "the topic differs by record, so the format needs the option 'subject'"
            raise ValueError(msg)
        return self

    @property
    def has_one_topic(self) -> bool:
        """Whether all records go to the same topic."""
        return "{" not in self.topic.source

    def encoder(self) -> Encoder:
        """The function that makes the value of a message of a body.

        Raises:
            FatalError: the format needs a schema registry, and the account has none.
        """
        return encoder(self.format, self.account, self.topic.source)

    def check(self) -> str:
        """See that the topic is there and may be written to.

        Raises:
            TransientError: the cluster cannot be reached at present.
            FatalError: the topic does not exist, or may not be written to.
        """
        need_kafka()
        from sources.kafka.checks import check_produce

        topic = self.topic.source if self.has_one_topic else None
        return check_produce(KafkaAccount.of(self.account), topic, transactional=self.exactly_once)

    def open(self, context: WorkerContext) -> Writer:
        """A producer, which connects in the background."""
        try:
            import confluent_kafka  # noqa: F401
        except ImportError:
            raise MissingDependencyError(connector="kafka", extra="kafka") from None
        from sinks.kafka.exactly_once import ExactlyOnceProducer
        from sinks.kafka.producer import PlainProducer

        return ExactlyOnceProducer(self, context) if self.exactly_once else PlainProducer(self, context)

    @property
    def commits_with_trigger(self) -> bool:
        """Whether messages and consumed offsets are committed together."""
        return self.exactly_once

    def alone(self) -> Produce:
        """An idempotent producer without transactions."""
        return self.model_copy(update={"exactly_once": False})

    def misfit(self, trigger: Trigger, sinks: int) -> tuple[str, str] | None:
        """`exactly_once`, where the trigger's offsets cannot be committed together with the messages."""
        problem = self._not_exactly_once(trigger, sinks) if self.exactly_once else None
        return None if problem is None else ("exactly_once", problem)

    def _not_exactly_once(self, trigger: Trigger, sinks: int) -> str | None:
        if not isinstance(trigger, ConsumeTopics):
            return "it needs a trigger whose offsets can be committed in a transaction: kafka / consume-topics"
        if sinks > 1:
            return "another sink cannot be part of the transaction; make a flow of its own for each sink"
        if trigger.assignment == "pinned":
            return "it needs the trigger to be a member of its group; set its assignment to 'group'"
        if trigger.isolation != "read_committed":
            return "it needs a trigger that reads what is committed; set its isolation to 'read_committed'"
        ours, theirs = self.account, trigger.account
        if isinstance(ours, KafkaAccount) and isinstance(theirs, KafkaAccount):
            elsewhere = not set(ours.servers) & set(theirs.servers)
            return "a transaction is of one cluster; give trigger and sink the same account" if elsewhere else None
        return None
