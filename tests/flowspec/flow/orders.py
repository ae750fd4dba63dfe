"""Orders in a file, and a flow that is started by them."""

from __future__ import annotations

import json
from pathlib import Path

from flowspec import Flow

__all__ = ["flow_of", "shout", "write_one_more", "write_orders"]

ORDERS = [
    {"id": 1, "status": "paid", "total": 2.5},
    {"id": 2, "status": "open", "total": 1},
    {"id": 3, "total": 3},
    {"id": 4, "status": "paid", "total": "<b>$x$</b>"},
]


def write_orders(directory: Path) -> None:
    """Four orders: one is good, one is dropped, two fail, each at another step."""
    lines = [json.dumps(order) for order in ORDERS]
    (directory / "orders.jsonl").write_text("".join(f"{line}\n" for line in lines))


def write_one_more(directory: Path) -> None:
    """A fifth order, which is good."""
    (directory / "orders-2.jsonl").write_text('{"id": 5, "status": "paid", "total": 5}\n')


def flow_of(directory: Path, name: str = "orders") -> Flow:
    """Cents of paid orders, into a file."""
    return (
        Flow(name)
        .trigger("files", path=str(directory / "orders*.jsonl"), settle_time=0, interval=0.05, external_id="id")
        .filter("status == 'paid'", id="paid")
        .map({"id": "id", "cents": "round(float(total) * 100)"}, id="cents")
        .sink("files", "append", path=str(directory / "paid.jsonl"))
    )


def shout(body: dict[str, object]) -> dict[str, object]:
    """A function that can be imported."""
    return {**body, "loud": True}
