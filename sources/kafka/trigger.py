"""kafka / consume-topics: the spec model of the trigger."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator
from typing_extensions import Self

from flowspec.connectors import StreamTrigger
from flowspec.errors import MissingDependencyError
from sources.kafka.account import KafkaAccountField, need_kafka
from sources.kafka.formats import ReadFormat, decoder

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.formats import Decoder
    from flowspec.records import Position, Record
    from sources.kafka.reader import TopicsReader

__all__ = ["ConsumeTopics"]

_FOREIGN = re.compile(r"\\[A-Za-z0-9]|\(\?|[*+?}]\?|\[\[:")
"""What Python's regular expressions have and POSIX's do not, or the other way round."""


class ConsumeTopics(StreamTrigger):
    """Consume Topics: starts the flow for each message of one or several Kafka topics.

    At-least-once. The offset of a message is committed when every sink has the message, and never after its partition
    went to another member of the group; a message comes again only when a process dies or holds on to it for too long
    while the group moves its partition. The order of each partition is kept. While the flow takes nothing, its
    partitions are paused and it stays in the group. Where retention has deleted what was not read yet, the flow goes on
    with the oldest message that is left.

    In steps, `meta` has `topic`, `partition`, `offset`, `timestamp`, `tombstone` (whether the message has no value; its
    body is then null) and `assignment`, which counts how often this worker was given a partition. `key` and the
    values of `headers` are texts where they are UTF-8, bytes otherwise; a header that comes several times is a list.
    """

    resumes = True
    identified_by = ("topic", "partition", "offset")

    connector: Annotated[Literal["kafka"], Field(description="Apache Kafka.", examples=["kafka"])] = "kafka"
    event: Annotated[
        Literal["consume-topics"], Field(description="Each message of topics.", examples=["consume-topics"])
    ] = "consume-topics"
    account: KafkaAccountField
    topics: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]],
        Field(description="Topics to read.", examples=[["orders"]]),
    ] = Field(default_factory=list)
    topic_pattern: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Regular expression (POSIX extended) for the topics to read, instead of `topics`, matched from "
            "the beginning of a name. A topic that is made later is found within ten seconds.",
            examples=["orders[.].+"],
        ),
    ] = None
    group: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Consumer group; its members share the partitions, and Kafka keeps its offsets. By default the "
            "name of the flow.",
            examples=["billing"],
        ),
    ] = None
    start: Annotated[
        Literal["earliest", "latest"] | AwareDatetime,
        Field(
            description="Where to begin partitions that the group has no offset of: with the oldest message, with the "
            "next one that comes, or with the first one of a time (ISO 8601 with its offset from UTC).",
            examples=["latest", "2024-05-01T00:00:00Z"],
        ),
    ] = "earliest"
    isolation: Annotated[
        Literal["read_committed", "read_uncommitted"],
        Field(
            description="Whether messages of transactions are read when these are committed, or at once and also when "
            "they are aborted later.",
            examples=["read_committed"],
        ),
    ] = "read_committed"
    instance_id: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Makes the flow a static member of the group: it keeps its partitions through a restart within "
            "the session timeout. Unique for each process; with several workers their numbers are appended.",
            examples=["billing-1"],
        ),
    ] = None
    assignment: Annotated[
        Literal["group", "pinned"] | None,
        Field(
            description="`group` lets the members of the group share the partitions, and move them. `pinned` spreads "
            "them over the workers at the start: a flow whose steps remember something does so by default, since it "
            "resumes at the offsets in its recovery store. Partitions that are made later are then read after a "
            "restart. Offsets are committed to the group in either case.",
            examples=["group"],
        ),
    ] = None

    # More formats than other triggers have.
    format: Annotated[
        ReadFormat,
        Field(
            description="How the payload of a message is decoded: a name, or an object with one key, the name, that "
            "holds options. `avro` and `json-schema` need the `schema_registry` of the account.",
            examples=["json", {"avro": {"subject": "orders-value"}}],
        ),
    ] = "json"  # type: ignore[assignment]

    @field_validator("topic_pattern")
    @classmethod
    def _pattern_is_one(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            msg = f"{pattern!r} is no regular expression: {error}"
            raise ValueError(msg) from error
        if pattern is not None and (foreign := _FOREIGN.search(pattern)) is not None:
            msg = f"{foreign[0]!r} is not known to Kafka's client, whose regular expressions are POSIX's; for a digit "
            msg += "write [0-9], and [.] for a dot"
            raise ValueError(msg)
        return pattern

    @model_validator(mode="after")
    def _topics_or_pattern(self) -> ConsumeTopics:
        if bool(self.topics) == (self.topic_pattern is not None):
            msg = "give either topics or topic_pattern"
            raise ValueError(msg)
        if self.assignment == "pinned" and self.instance_id is not None:
            msg = "instance_id is for members of the group; a pinned flow is none"
            raise ValueError(msg)
        return self

    @property
    def since(self) -> datetime | None:
        """The time to begin at, where `start` is one."""
        return self.start if isinstance(self.start, datetime) else None

    @property
    def subscription(self) -> list[str]:
        """The topics, or the pattern as librdkafka knows it by its first character."""
        return self.topics if self.topic_pattern is None else ["^" + self.topic_pattern.removeprefix("^")]

    def decoder(self) -> Decoder:
        """The function that makes a body of a payload; a message without one has none either."""
        from sources.kafka.messages import TOMBSTONE

        decode = decoder(self.format, self.account)
        return lambda raw: None if raw is TOMBSTONE else decode(raw)

    def partitions(self, workers: int) -> list[str]:
        """One for each worker, whose partitions of topics the group decides; pinned, all partitions of the topics."""
        if self.assignment != "pinned":
            return super().partitions(workers)
        try:
            from sources.kafka.pinned import list_partitions
        except ImportError:
            raise MissingDependencyError(connector="kafka", extra="kafka") from None
        return list_partitions(self)

    def for_state(self) -> Self:
        """With pinned partitions, where the spec says nothing else."""
        if self.assignment is not None or self.instance_id is not None:
            return self
        return self.model_copy(update={"assignment": "pinned"})

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> TopicsReader:
        """Begin to consume; a group remembers what was delivered, so only a pinned partition resumes."""
        try:
            from sources.kafka.group import GroupReader
            from sources.kafka.pinned import PinnedReader
        except ImportError:
            raise MissingDependencyError(connector="kafka", extra="kafka") from None
        if self.assignment != "pinned":
            return GroupReader(self, context)
        return PinnedReader(self, partition, resume, context)

    def check(self) -> str:
        """See that the topics and the group can be read, and say what they have.

        Raises:
            TransientError: the cluster cannot be reached at present.
            FatalError: a topic does not exist, or it or the group may not be used.
        """
        need_kafka()
        from sources.kafka.checks import check_consume

        return check_consume(self)

    def sample(self, most: int, wait: float, context: WorkerContext) -> list[Record]:
        """Read what the flow would read next; the group and its offsets stay as they are.

        Raises:
            TransientError: the cluster cannot be reached at present.
            FatalError: a topic does not exist, or it or the group may not be used.
        """
        need_kafka()
        from sources.kafka.sampling import sample

        return sample(self, context.flow, most, wait)
