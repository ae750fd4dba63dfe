"""The engine's work as stock Bytewax would do it: one operator for each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

__all__ = ["stock_flow"]


class _Partition(StatefulSourcePartition[bytes, int]):
    def __init__(self, payloads: Sequence[bytes], count: int, batch_size: int) -> None:
        self._payloads = payloads
        self._count = count
        self._batch_size = batch_size
        self._position = 0

    def next_batch(self) -> Sequence[bytes]:
        if self._position == self._count:
            raise StopIteration
        start = self._position % len(self._payloads)
        batch = self._payloads[start : start + min(self._batch_size, self._count - self._position)]
        self._position += len(batch)
        return batch

    def snapshot(self) -> int:
        return self._position


class _Source(FixedPartitionedSource[bytes, int]):
    def __init__(self, payloads: Sequence[bytes], count: int, batch_size: int) -> None:
        self._arguments = payloads, count, batch_size

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        return _Partition(*self._arguments)


class _Drop(StatelessSinkPartition[bytes]):
    def write_batch(self, items: list[bytes]) -> None:
        pass


class _Sink(DynamicSink[bytes]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Drop:
        return _Drop()


def _keep(order: Any) -> bool:
    return bool(order["status"] == "paid" and order["total"] > 100)


def _invoice(order: Any) -> dict[str, Any]:
    return {
        "id": order["order_id"],
        "cents": int(order["total"] * 100),
        "customer": order["customer"]["email"].lower(),
    }


def stock_flow(payloads: Sequence[bytes], count: int, batch_size: int) -> Dataflow:
    """Decode, filter, map, encode and drop `count` records."""
    flow = Dataflow("stock")
    payload = op.input("trigger", flow, _Source(payloads, count, batch_size))
    order = op.map("decode", payload, orjson.loads)
    paid = op.filter("filter", order, _keep)
    invoice = op.map("map", paid, _invoice)
    encoded = op.map("encode", invoice, orjson.dumps)
    op.output("drop", encoded, _Sink())
    return flow
