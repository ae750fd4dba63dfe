from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sources.amazon_sqs.messages import group_of, size_of, to_record

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

URL = "http://127.0.0.1:1/1/orders"


def test_everything_the_queue_says_is_in_the_record() -> None:
    message: MessageTypeDef = {
        "MessageId": "id-1",
        "ReceiptHandle": "secret",
        "Body": '{"a": 1}',
        "Attributes": {
            "ApproximateReceiveCount": "3",
            "SentTimestamp": "1700000000123",
            "MessageGroupId": "g",
            "SequenceNumber": "17",
        },
        "MessageAttributes": {
            "text": {"DataType": "String", "StringValue": "é"},
            "whole": {"DataType": "Number.int", "StringValue": "7"},
            "part": {"DataType": "Number", "StringValue": "7.5"},
            "raw": {"DataType": "Binary.gif", "BinaryValue": b"\x00\xff"},
        },
    }

    record = to_record(message, URL)

    assert record.raw == '{"a": 1}'
    assert record.key == "g"
    assert record.headers == {"text": "é", "whole": 7, "part": 7.5, "raw": b"\x00\xff"}
    assert record.meta == {
        "queue_url": URL,
        "message_id": "id-1",
        "receive_count": 3,
        "sent_at": datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=timezone.utc),
        "attributes": {"MessageGroupId": "g", "SequenceNumber": "17"},
        "message_attributes": record.headers,
    }


def test_a_server_may_leave_out_what_it_does_not_know() -> None:
    message: MessageTypeDef = {"MessageId": "id-1", "ReceiptHandle": "r"}

    record = to_record(message, URL)

    assert (record.raw, record.key, record.headers) == ("", None, {})
    assert record.meta["sent_at"] is None
    assert group_of(message) is None


def test_size_counts_the_body() -> None:
    small: MessageTypeDef = {"MessageId": "1", "Body": "x"}
    large: MessageTypeDef = {"MessageId": "2", "Body": "x" * 100_000}

    assert size_of(large) - size_of(small) == 99_999
