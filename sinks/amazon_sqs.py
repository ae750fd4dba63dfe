"""amazon-sqs / send-message: records as messages of a queue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flowspec.connectors import Action, WorkerContext
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.expressions import Template
from flowspec.fields import WholeSeconds
from flowspec.formats import Format, encode_all, encoder
from flowspec.records import Failure, Record
from sources.amazon_sqs.account import AwsAccount, AwsAccountField, QueueUrl

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

__all__ = ["SendMessage"]

_MOST_MESSAGES = 10
"""Of one call. Source: "Amazon SQS message quotas" in the developer guide."""
_MOST_BYTES = 262_144
"""Of one call with several messages, which every server takes. Whether a single message is too large, the server
says."""
_UNSENDABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that a message cannot have. Source: "SendMessage" in the Amazon SQS API reference."""
_ID = re.compile("[!-~]{1,128}")
_ATTRIBUTE = re.compile(r"(?!(?:aws|amazon)\.)[\w-]+(?:\.[\w-]+)*", re.ASCII | re.IGNORECASE)
"""A group, a deduplication id and the name of an attribute. Source: "Amazon SQS message quotas" and "Amazon SQS message
metadata" in the developer guide."""
_CONTENT_CODES = ("BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue", "MessageTooLong")


class SendMessage(Action):
    """Send Message: each record becomes a message of an Amazon SQS queue.

    At-least-once. In a FIFO queue the order of each message group is kept, also when a call fails: a call has one
    message of a group at most, so many groups are faster than few.
    """

    connector: Annotated[Literal["amazon-sqs"], Field(description="Amazon SQS.", examples=["amazon-sqs"])] = (
        "amazon-sqs"
    )
    action: Annotated[Literal["send-message"], Field(description="Send to a queue.", examples=["send-message"])] = (
        "send-message"
    )
    account: AwsAccountField = None
    queue_url: QueueUrl
    format: Annotated[
        Format,
        Field(
            description="How a record becomes the text of a message, which must be UTF-8: a name, or an object with "
            "one key, the name, that holds options.",
            examples=["json", {"csv": {"columns": ["id", "name"]}}],
        ),
    ] = "json"
    group_id: Annotated[
        Template | None,
        Field(description="Message group, in a FIFO queue; its messages keep their order.", examples=["{customer.id}"]),
    ] = None
    deduplication_id: Annotated[
        Template | None,
        Field(
            description="What makes two messages of a FIFO queue the same for five minutes; by default their content, "
            "where the queue is set so.",
            examples=["{order_id}"],
        ),
    ] = None
    attributes: Annotated[
        dict[str, Template],
        Field(
            max_length=10,
            description="Message attributes, as texts.",
            examples=[{"source": "shop", "order": "{order_id}"}],
        ),
    ] = Field(default_factory=dict)
    delay: Annotated[
        WholeSeconds,
        Field(ge=0, le=900, description="How long a message stays hidden after it is sent.", examples=["10s"]),
    ] = 0
    senders: Annotated[
        int,
        Field(ge=1, le=64, description="Calls that are made at the same time, to hide network latency.", examples=[4]),
    ] = 4

    @field_validator("attributes")
    @classmethod
    def _names_of_attributes(cls, attributes: dict[str, Template]) -> dict[str, Template]:
        for name in attributes:
            if not _ATTRIBUTE.fullmatch(name):
                msg = (
                    f"{name!r} is no name of an attribute: it has letters, digits, '_', '-' and single dots, "
                    "and does not begin with 'AWS.' or 'Amazon.'"
                )
                raise ValueError(msg)
        return attributes

    @model_validator(mode="after")
    def _groups_go_with_fifo(self) -> SendMessage:
        if self.fifo and self.group_id is None:
            msg = "a FIFO queue needs group_id"
            raise ValueError(msg)
        if not self.fifo and (self.group_id is not None or self.deduplication_id is not None):
            msg = "group_id and deduplication_id are for FIFO queues, whose URL ends with .fifo"
            raise ValueError(msg)
        if self.fifo and self.delay:
            msg = "a FIFO queue has no delay for a single message; set it on the queue"
            raise ValueError(msg)
        return self

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order of each message group."""
        return self.queue_url.endswith(".fifo")

    def check(self) -> str:
        """See that the queue is there, and say what it has.

        Raises:
            TransientError: the server cannot be reached at present.
            FatalError: there is no such queue, it needs what the sink does not give, or the credentials are refused.
        """
        from sources.amazon_sqs.checks import check_queue, queue_attributes

        account = AwsAccount.of(self.account)
        if self.fifo and self.deduplication_id is None:
            attributes = queue_attributes(account, self.queue_url)
            if attributes is not None and attributes.get("ContentBasedDeduplication", "false") != "true":
                msg = f"{self.queue_url}: the queue tells no duplicates by their content; give deduplication_id"
                raise FatalError(msg)
        return check_queue(account, self.queue_url, unknown="the right to send messages")

    def open(self, context: WorkerContext) -> _Sender:
        """A client that connects with the first batch."""
        return _Sender(self)


@dataclass(slots=True)
class _Message:
    place: int
    """In the batch, so that what failed is tried again in order."""
    record: Record
    entry: SendMessageBatchRequestEntryTypeDef
    size: int
    group: str | None
    error: Exception | None = None


class _Sender:
    def __init__(self, action: SendMessage) -> None:
        from sources.amazon_sqs.errors import classify, is_passing

        self._client = AwsAccount.of(action.account).client("sqs", url=action.queue_url, connections=action.senders)
        self._classify = classify
        self._is_passing = is_passing
        self._action = action
        self._encode = encoder(action.format)
        self._pool = ThreadPoolExecutor(action.senders, "sqs-sender")

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        good, payloads, failures = encode_all(records, self._encode)
        messages: list[_Message] = []
        for place, (record, payload) in enumerate(zip(good, payloads, strict=True)):
            try:
                messages.append(self._message(place, record, payload))
            except RecordError as error:
                failures.append(Failure(record, error))
        if self._action.fifo:
            self._send_groups(messages)
        else:
            self._send(messages)
        return failures + [Failure(each.record, each.error) for each in messages if each.error is not None]

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()

    def _message(self, place: int, record: Record, payload: bytes) -> _Message:
        entry: SendMessageBatchRequestEntryTypeDef = {"Id": str(place), "MessageBody": _body(payload)}
        size = len(payload)
        if self._action.delay:
            entry["DelaySeconds"] = self._action.delay
        if self._action.attributes:
            texts = {
                name: _sendable(template.value(record), f"attribute {name!r}")
                for name, template in self._action.attributes.items()
            }
            # SQS takes no empty attribute.
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": text} for name, text in texts.items() if text
            }
            size += sum(len(name) + len(text.encode()) + len("String") for name, text in texts.items())
        group = None
        if self._action.group_id is not None:
            group = entry["MessageGroupId"] = _id(self._action.group_id.value(record), "group_id")
        if self._action.deduplication_id is not None:
            entry["MessageDeduplicationId"] = _id(self._action.deduplication_id.value(record), "deduplication_id")
        return _Message(place, record, entry, size, group)

    def _send_groups(self, messages: Sequence[_Message]) -> None:
        """Send in rounds of one message for each group; a group that failed waits for the next write."""
        waiting: dict[str | None, list[_Message]] = {}
        for message in reversed(messages):
            waiting.setdefault(message.group, []).append(message)
        while waiting:
            heads = {group: behind.pop() for group, behind in waiting.items()}
            self._send(sorted(heads.values(), key=lambda message: message.place))
            for group, head in heads.items():
                if isinstance(head.error, TransientError):
                    for message in waiting[group]:
                        message.error = head.error
                    waiting[group].clear()
            waiting = {group: behind for group, behind in waiting.items() if behind}

    def _send(self, messages: Sequence[_Message]) -> None:
        list(self._pool.map(self._call, _calls(messages)))

    def _call(self, messages: Sequence[_Message]) -> None:
        """One call; each message that was not taken gets its error."""
        try:
            answer = self._client.send_message_batch(
                QueueUrl=self._action.queue_url, Entries=[message.entry for message in messages]
            )
        except Exception as error:  # noqa: BLE001 - sorted by the classification
            self._call_failed(messages, error)
            return
        by_id = {message.entry["Id"]: message for message in messages}
        for failed in answer.get("Failed", ()):
            text = f"{failed['Code']}: {failed.get('Message', 'no message')}"
            for_good = failed["SenderFault"] and not self._is_passing(failed["Code"])
            by_id[failed["Id"]].error = RecordError(text) if for_good else TransientError(text)

    def _call_failed(self, messages: Sequence[_Message], error: Exception) -> None:
        meaning = self._classify(error, self._action.queue_url)
        if isinstance(meaning, TransientError):
            for message in messages:
                message.error = meaning
        elif not any(code in str(error) for code in _CONTENT_CODES):
            raise meaning from error
        elif len(messages) == 1:
            messages[0].error = RecordError(str(meaning))
        else:
            for message in messages:
                self._call([message])


def _body(payload: bytes) -> str:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"a message must be UTF-8: {error}"
        raise RecordError(msg) from error
    if not text:
        msg = "a message cannot be empty"
        raise RecordError(msg)
    return _sendable(text, "a message")


def _sendable(text: str, what: str) -> str:
    if (found := _UNSENDABLE.search(text)) is not None:
        msg = f"{what} cannot have the character {found[0]!r} (at {found.start()})"
        raise RecordError(msg)
    return text


def _id(text: str, field: str) -> str:
    """What the server would refuse the whole call for."""
    if not _ID.fullmatch(text):
        msg = f"{field} must be 1 to 128 letters, digits and punctuation marks of ASCII, not {text[:200]!r}"
        raise RecordError(msg)
    return text


def _calls(messages: Iterable[_Message]) -> Iterator[list[_Message]]:
    """Messages in order, by what one call takes."""
    call: list[_Message] = []
    size = 0
    for message in messages:
        if call and (len(call) == _MOST_MESSAGES or size + message.size > _MOST_BYTES):
            yield call
            call, size = [], 0
        call.append(message)
        size += message.size
    if call:
        yield call
