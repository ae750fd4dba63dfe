"""Flows made in Python: built step by step, looked at, run in the background, and saved as specs.

    from flowspec import Flow

    flow = (
        Flow("paid-orders")
        .trigger("files", "new-files", path="orders/*.jsonl")
        .filter("status == 'paid'")
        .map({"id": "order_id", "cents": "round(total * 100)"})
        .sink("files", "append", path="paid.jsonl")
    )
    flow.preview(20)

A notebook shows tables and pictures where a terminal shows text.
"""

from flowspec.flow.flow import Flow

__all__ = ["Flow"]
