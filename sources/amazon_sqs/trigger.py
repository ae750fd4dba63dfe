"""amazon-sqs / listen-queue: the spec model of the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from flowspec.connectors import StreamTrigger
from flowspec.fields import WholeSeconds
from sources.amazon_sqs.account import AwsAccount, AwsAccountField, QueueUrl

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record
    from sources.amazon_sqs.reader import QueueReader

__all__ = ["ListenQueue"]


class ListenQueue(StreamTrigger):
    """Listen Queue: starts the flow for each message of an Amazon SQS queue.

    At-least-once. A message is deleted when every sink has it; until then its visibility timeout is extended, so that
    it comes again only when the process dies. A FIFO queue keeps the order of each message group, also after a
    failure. Messages that were received and not used are given back at a stop.

    In steps, `meta` has `message_id`, `receive_count`, `sent_at`, `queue_url`, the other system `attributes`, and the
    typed `message_attributes`, which are `headers` too; `key` is the message group of a FIFO queue.
    """

    identified_by = ("message_id",)
    sample_cost = (
        "The receive count of each message rises by one, and with a redrive policy a message goes to the dead-letter "
        "queue after too many receives. For the moment of the look the messages, and in a FIFO queue all of their "
        "groups, are hidden from others; so of one group no more is seen than one receive brings."
    )

    connector: Annotated[Literal["amazon-sqs"], Field(description="Amazon SQS.", examples=["amazon-sqs"])] = (
        "amazon-sqs"
    )
    event: Annotated[
        Literal["listen-queue"],
        Field(description="Each message of a queue.", examples=["listen-queue"]),
    ] = "listen-queue"
    account: AwsAccountField = None
    queue_url: QueueUrl
    receivers: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Threads that receive at the same time. More of them hide network latency; for more CPU "
            "run more workers.",
            examples=[4],
        ),
    ] = 4
    wait_time: Annotated[
        WholeSeconds,
        Field(
            ge=0,
            le=20,
            description="How long a receive waits for messages at the server (long polling).",
            examples=["20s"],
        ),
    ] = 20
    visibility_timeout: Annotated[
        WholeSeconds | None,
        Field(
            ge=2,
            le=43_200,
            description="How long a received message stays invisible to others unless it is extended; by default "
            "the queue's own. It is extended at half time for as long as the message is in the flow, up to the "
            "twelve hours that SQS allows.",
            examples=["30s"],
        ),
    ] = None
    prefetch: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="The most messages held ready for the next batch, at most 64 MiB of them; by default the "
            "batch size, and at least ten for each receiver.",
            examples=[1000],
        ),
    ] = None
    attributes: Annotated[
        list[str],
        Field(
            description="Message attributes to receive: names, prefixes like `trace.*`, or `All`.",
            examples=[["All"]],
        ),
    ] = Field(default_factory=lambda: ["All"])

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order of each message group."""
        return self.queue_url.endswith(".fifo")

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> QueueReader:
        """Begin to receive; the queue remembers what was delivered, so there is nothing to resume."""
        from sources.amazon_sqs.reader import QueueReader

        return QueueReader(self, context)

    def check(self) -> str:
        """See that the queue is there, and say what it has.

        Raises:
            TransientError: the server cannot be reached at present.
            FatalError: there is no such queue, or the credentials are refused.
        """
        from sources.amazon_sqs.checks import check_queue

        unknown = "the rights to receive, to delete, and to change the visibility of messages"
        return check_queue(AwsAccount.of(self.account), self.queue_url, unknown=unknown)

    def sample(self, most: int, wait: float, context: WorkerContext) -> list[Record]:
        """Receive messages and make them visible again; those that others have in flight are not seen.

        Raises:
            TransientError: the queue cannot be reached at present.
            FatalError: there is no such queue, or looking at a message would move it to another one.
        """
        from sources.amazon_sqs.sampling import sample

        return sample(self, most, wait)
