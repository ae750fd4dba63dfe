"""The work that every contestant does: paid orders above 100 become invoices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowspec.expressions import Expression
from flowspec.steps.filter import Filter
from flowspec.steps.map import Map

if TYPE_CHECKING:
    from flowspec.steps.base import Step

__all__ = ["invoice", "is_wanted", "orders", "steps"]


def orders(count: int) -> list[bytes]:
    """Orders of about 190 bytes; three of four are paid and above 100."""
    return [
        b'{"order_id":"order-%07d","status":"%s","total":%d.25,"currency":"EUR","placed_at":"2025-03-01T09:30:00Z",'
        b'"customer":{"id":%d,"email":"Customer.%d@Example.com"},"items":[{"sku":"A-17","quantity":2}]}'
        % (number, b"paid" if number % 4 else b"open", 101 + number % 900, number % 5000, number % 5000)
        for number in range(count)
    ]


def is_wanted(order: Any) -> bool:
    """The filter, in Python."""
    return bool(order["status"] == "paid" and order["total"] > 100)


def invoice(order: Any) -> dict[str, Any]:
    """The map, in Python."""
    return {
        "id": order["order_id"],
        "cents": int(order["total"] * 100),
        "customer": order["customer"]["email"].lower(),
    }


def steps() -> list[Step]:
    """Both, as the steps of a flow."""
    return [
        Filter(filter=Expression("status == 'paid' and total > 100")),
        Map(
            map={
                "id": Expression("order_id"),
                "cents": Expression("int(total * 100)"),
                "customer": Expression("customer.email.lower()"),
            }
        ),
    ]
