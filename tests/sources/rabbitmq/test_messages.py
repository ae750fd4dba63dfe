"""What a record has of its delivery."""

from __future__ import annotations

import orjson
from pika.spec import BasicProperties

from sources.rabbitmq.deliveries import Delivery
from sources.rabbitmq.messages import to_record
from sources.rabbitmq.properties import NO_PROPERTIES

PLAIN = {
    "queue": "orders",
    "exchange": "shop",
    "routing_key": "paid",
    "redelivered": False,
    "delivery_count": 0,
}


def delivery(properties: bytes, body: bytes = b"{}") -> Delivery:
    return Delivery(5, 9, False, "shop", "paid", properties, body)


def test_a_message_without_properties() -> None:
    record = to_record(delivery(NO_PROPERTIES), "orders")

    assert (record.raw, record.key, record.meta, record.headers) == (b"{}", "paid", PLAIN, {})


def test_what_is_present_is_in_meta_and_nothing_else() -> None:
    properties = BasicProperties(message_id="m1", priority=0, headers={"x-delivery-count": 2, "source": "shop"})

    record = to_record(delivery(b"".join(properties.encode())), "orders")

    assert record.meta == {**PLAIN, "message_id": "m1", "priority": 0, "delivery_count": 2}
    assert record.headers == {"x-delivery-count": 2, "source": "shop"}
    assert orjson.dumps(record.meta)


def test_properties_that_cannot_be_read_do_not_stop_the_flow() -> None:
    record = to_record(delivery(b"\xf0\x00", b"hello"), "orders")

    assert record.raw == b"hello"
    assert record.headers == {}
    assert record.meta == {**PLAIN, "properties": b"\xf0\x00"}
