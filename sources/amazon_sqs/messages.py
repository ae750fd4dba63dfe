"""What SQS answers, as records."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from flowspec.records import Record

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageAttributeValueOutputTypeDef, MessageTypeDef

__all__ = ["group_of", "size_of", "to_record"]


def to_record(message: MessageTypeDef, queue_url: str) -> Record:
    """The record of a message; its payload is not decoded yet."""
    attributes = cast("dict[str, Any]", message.get("Attributes", {})).copy()
    headers = {name: _typed(value) for name, value in message.get("MessageAttributes", {}).items()}
    meta = {
        "queue_url": queue_url,
        "message_id": message["MessageId"],
        "receive_count": int(attributes.pop("ApproximateReceiveCount", 1)),
        "sent_at": _time(attributes.pop("SentTimestamp", None)),
        "attributes": attributes,
        "message_attributes": headers,
    }
    # An empty body is left out of the answer.
    return Record(message.get("Body", ""), None, meta, attributes.get("MessageGroupId"), headers)


def group_of(message: MessageTypeDef) -> str | None:
    """The message group, of a FIFO queue's message."""
    return message.get("Attributes", {}).get("MessageGroupId")


def size_of(message: MessageTypeDef) -> int:
    """About how many bytes of memory the message takes, for the prefetch bound."""
    return len(message.get("Body", "")) + 1024


def _time(milliseconds: str | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(int(milliseconds) / 1000, tz=timezone.utc)


def _typed(attribute: MessageAttributeValueOutputTypeDef) -> Any:
    """The Python value of a message attribute, by its data type (`Number.int`: the part after the dot is a label)."""
    kind = attribute["DataType"].partition(".")[0]
    if kind == "Binary":
        return attribute.get("BinaryValue", b"")
    text = attribute.get("StringValue", "")
    if kind == "Number":
        try:
            return int(text)
        except ValueError:
            return float(text)
    return text
