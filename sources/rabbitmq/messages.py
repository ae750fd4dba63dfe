"""Deliveries as records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowspec.records import Record
from sources.rabbitmq.properties import NO_PROPERTIES, decode_properties

if TYPE_CHECKING:
    from sources.rabbitmq.deliveries import Delivery

__all__ = ["to_record"]

_DELIVERY_COUNT = "x-delivery-count"


def to_record(delivery: Delivery, queue: str) -> Record:
    """The record of a delivery; its payload is not decoded yet."""
    meta: dict[str, Any] = {
        "queue": queue,
        "exchange": delivery.exchange,
        "routing_key": delivery.routing_key,
        "redelivered": delivery.redelivered,
        "delivery_count": 0,
    }
    headers: dict[str, Any] = {}
    if delivery.properties != NO_PROPERTIES:
        try:
            meta.update(decode_properties(delivery.properties))
        except ValueError:
            # The broker hands it out again and again, so it must go on; what could not be read is kept.
            meta["properties"] = delivery.properties
        headers = meta.pop("headers", headers)
        meta["delivery_count"] = headers.get(_DELIVERY_COUNT, 0)
    return Record(delivery.body, None, meta, delivery.routing_key, headers)
