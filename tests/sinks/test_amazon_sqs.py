"""The sink by itself, against real SQS-compatible servers."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.connectors import Writer
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.expressions import Template
from sinks.amazon_sqs import SendMessage
from sources.amazon_sqs import AwsAccount
from tests.servers.proxy import FaultyProxy
from tests.servers.sqs import SqsServer
from tests.sinks.ends import open_writer, records

PLAIN = "http://127.0.0.1:1/1/orders"
FIFO = PLAIN + ".fifo"


def sender(account: dict[str, Any], url: str, **fields: Any) -> Writer:
    return open_writer(SendMessage(account=AwsAccount(**account), queue_url=url, **fields))


def receive(sqs: SqsServer, url: str, count: int) -> list[Any]:
    """Receive and delete `count` messages, and see that there are no more."""
    messages: list[Any] = []
    while some := sqs.client.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=1,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    ).get("Messages"):
        messages += some
        for message in some:
            sqs.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert len(messages) == count
    return messages


def test_every_record_is_a_message(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue()
    writer = sender(any_sqs.account, url, attributes={"kind": Template("order {id}"), "none": Template("")})

    assert list(writer.write(records(*({"id": number} for number in range(37))))) == []
    writer.close()

    messages = receive(any_sqs, url, 37)
    assert sorted(json.loads(message["Body"])["id"] for message in messages) == list(range(37))
    for message in messages:
        assert message["MessageAttributes"] == {
            "kind": {"StringValue": f"order {json.loads(message['Body'])['id']}", "DataType": "String"}
        }


def test_large_messages_share_no_call(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue()
    bodies = [str(number) * 100_000 for number in range(6)]
    writer = sender(any_sqs.account, url, format="text")

    assert list(writer.write(records(*bodies))) == []
    writer.close()

    received = sorted(message["Body"] for message in receive(any_sqs, url, 6))
    assert received == bodies


def test_what_no_message_can_be_is_named_and_its_neighbours_are_sent(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue()
    batch = records("good", "", "bell \x07", 5, b"\xff", "x" * 2_000_000, "good too")
    writer = sender(any_sqs.account, url, format="bytes")

    failures = writer.write(batch)
    writer.close()

    assert {id(failure.record) for failure in failures} == {id(record) for record in batch[1:6]}
    assert all(isinstance(failure.error, RecordError) for failure in failures)
    assert sorted(message["Body"] for message in receive(any_sqs, url, 2)) == ["good", "good too"]


def test_a_template_that_fails_is_a_failure_of_that_record(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue()
    batch = records({"id": 1}, {"other": 2})
    writer = sender(any_sqs.account, url, attributes={"kind": Template("order {id}")})

    (failure,) = writer.write(batch)
    writer.close()

    assert failure.record is batch[1]
    assert "missing field 'id'" in str(failure.error)
    receive(any_sqs, url, 1)


def test_what_an_attribute_cannot_have_is_a_failure_of_that_record(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue()
    batch = records({"id": "bell \x07"}, {"id": "good"})
    writer = sender(any_sqs.account, url, attributes={"order": Template("{id}")})

    (failure,) = writer.write(batch)
    writer.close()

    assert failure.record is batch[0]
    assert str(failure.error) == "attribute 'order' cannot have the character '\\x07' (at 5)"
    receive(any_sqs, url, 1)


@pytest.mark.parametrize("wrong", ["", "two words", "é", "x" * 129], ids=["empty", "space", "accent", "long"])
@pytest.mark.parametrize("field", ["group_id", "deduplication_id"])
def test_an_id_that_no_queue_takes_is_a_failure_of_that_record(sqs: SqsServer, field: str, wrong: str) -> None:
    url = sqs.create_queue(fifo=True)
    batch = records(
        {"group_id": "g", "deduplication_id": "1", field: wrong}, {"group_id": "g", "deduplication_id": "2"}
    )
    fields = {"group_id": Template("{group_id}"), "deduplication_id": Template("{deduplication_id}")}
    writer = sender(sqs.account, url, **fields)

    (failure,) = writer.write(batch)
    writer.close()

    assert failure.record is batch[0]
    assert str(failure.error).startswith(f"{field} must be 1 to 128 letters")
    receive(sqs, url, 1)


def test_only_the_messages_of_a_call_that_failed_are_tried_again(sqs: SqsServer) -> None:
    url = sqs.create_queue()
    batch = records(*range(10))
    with FaultyProxy(sqs.endpoint) as proxy:
        writer = sender({**sqs.account, "endpoint_url": proxy.endpoint}, url)
        proxy.refuse("SendMessageBatch", "every second entry")
        failures = writer.write(batch)
        assert [failure.record for failure in failures] == batch[::2]
        assert all(isinstance(failure.error, TransientError) for failure in failures)

        proxy.allow("SendMessageBatch")
        assert list(writer.write([failure.record for failure in failures])) == []
        writer.close()

    assert sorted(int(message["Body"]) for message in receive(sqs, url, 10)) == list(range(10))


def test_a_group_waits_when_one_message_of_a_call_fails_and_others_go_on(sqs: SqsServer) -> None:
    url = sqs.create_queue(fifo=True)
    batch = records(*({"group": f"g{number % 2}", "number": number} for number in range(6)))
    fields = {"group_id": Template("{group}"), "deduplication_id": Template("{number}")}
    with FaultyProxy(sqs.endpoint) as proxy:
        writer = sender({**sqs.account, "endpoint_url": proxy.endpoint}, url, **fields)
        proxy.refuse("SendMessageBatch", "every second entry")
        failures = [failure.record for failure in writer.write(batch)]
        assert batch[0] in failures, "the first entry of the first call is refused"
        assert batch[1] not in failures, "the second entry of the first call is taken"
        proxy.allow("SendMessageBatch")
        assert list(writer.write(failures)) == []
        writer.close()

    numbers = [json.loads(message["Body"])["number"] for message in receive(sqs, url, 6)]
    for group in range(2):
        assert [number for number in numbers if number % 2 == group] == list(range(group, 6, 2))


def test_a_server_that_is_down_fails_all_of_them_for_now(sqs: SqsServer) -> None:
    url = sqs.create_queue()
    batch = records(*range(25))
    with FaultyProxy(sqs.endpoint) as proxy:
        writer = sender({**sqs.account, "endpoint_url": proxy.endpoint}, url)
        proxy.refuse("SendMessageBatch")
        failures = writer.write(batch)
        assert [failure.record for failure in failures] == batch
        assert all(isinstance(failure.error, TransientError) for failure in failures)

        proxy.allow("SendMessageBatch")
        assert list(writer.write(batch)) == []
        writer.close()

    receive(sqs, url, 25)


def test_a_queue_that_does_not_exist_is_fatal(any_sqs: SqsServer) -> None:
    writer = sender(any_sqs.account, any_sqs.create_queue() + "-not")

    with pytest.raises(FatalError, match="does not exist"):
        writer.write(records(1))
    writer.close()


def test_groups_of_a_fifo_queue_keep_their_order(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue(fifo=True)
    bodies = [{"group": f"g{number % 3}", "number": number} for number in range(30)]
    writer = sender(any_sqs.account, url, group_id=Template("{group}"), deduplication_id=Template("{number}-{group}"))
    assert list(writer.write(records(*bodies))) == []
    writer.close()

    by_group = defaultdict(list)
    for message in receive(any_sqs, url, 30):
        body = json.loads(message["Body"])
        assert message["Attributes"]["MessageGroupId"] == body["group"]
        by_group[body["group"]].append(body["number"])
    assert by_group == {f"g{group}": list(range(group, 30, 3)) for group in range(3)}


def test_behind_a_failed_message_its_group_waits(sqs: SqsServer) -> None:
    url = sqs.create_queue(fifo=True)
    batch = records(*({"group": f"g{number % 2}", "number": number} for number in range(6)))
    fields = {"group_id": Template("{group}"), "deduplication_id": Template("{number}")}
    with FaultyProxy(sqs.endpoint) as proxy:
        writer = sender({**sqs.account, "endpoint_url": proxy.endpoint}, url, **fields)
        proxy.refuse("SendMessageBatch")
        failures = writer.write(batch)
        assert proxy.calls("SendMessageBatch") <= 2, "the first of each group, and perhaps once again"
        proxy.allow("SendMessageBatch")
        assert [failure.record for failure in failures] == batch, "in order, for the next try"
        assert list(writer.write([failure.record for failure in failures])) == []
        writer.close()

    numbers = [json.loads(message["Body"])["number"] for message in receive(sqs, url, 6)]
    for group in range(2):
        assert [number for number in numbers if number % 2 == group] == list(range(group, 6, 2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"queue_url": FIFO}, "a FIFO queue needs group_id"),
        ({"queue_url": PLAIN, "group_id": "a"}, "are for FIFO queues"),
        ({"queue_url": PLAIN, "deduplication_id": "a"}, "are for FIFO queues"),
        ({"queue_url": FIFO, "group_id": "a", "delay": 5}, "no delay for a single message"),
        ({"queue_url": PLAIN, "delay": 901}, "less than or equal to 900"),
        ({"queue_url": "orders"}, "pattern"),
        ({"queue_url": PLAIN, "attributes": {"two words": "a"}}, "'two words' is no name of an attribute"),
        ({"queue_url": PLAIN, "attributes": {"a..b": "a"}}, "'a..b' is no name of an attribute"),
        ({"queue_url": PLAIN, "attributes": {"AWS.a": "a"}}, "'AWS.a' is no name of an attribute"),
        ({"queue_url": PLAIN, "attributes": {f"a{number}": "a" for number in range(11)}}, "at most 10"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SendMessage(**fields)
