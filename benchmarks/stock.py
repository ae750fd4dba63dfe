"""The engine's work as stock Bytewax would do it: one operator for each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import bytewax.operators as op
import orjson
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from benchmarks.work import invoice, is_wanted

__all__ = ["same_work_flow", "stock_flow"]


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


class _MessagePartition(_Partition):
    def next_batch(self) -> Sequence[Any]:
        first = self._position
        return [
            _Message(payload, None, {"message_id": number, "receive_count": 1}, None)
            for number, payload in enumerate(super().next_batch(), first)
        ]


class _Source(FixedPartitionedSource[Any, int]):
    def __init__(self, partition: type[_Partition], payloads: Sequence[bytes], count: int, batch_size: int) -> None:
        self._partition = partition
        self._arguments = payloads, count, batch_size

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Partition:
        return self._partition(*self._arguments)


class _Drop(StatelessSinkPartition[bytes]):
    def write_batch(self, items: list[bytes]) -> None:
        pass


class _Sink(DynamicSink[bytes]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Drop:
        return _Drop()


class _Message(NamedTuple):
    raw: bytes
    body: Any
    meta: dict[str, Any]
    external_id: str | None


def _decode(message: _Message) -> list[_Message]:
    try:
        body = orjson.loads(message.raw)
        return [_Message(message.raw, body, message.meta, body["order_id"])]
    except (ValueError, LookupError):
        return []


def _keep_message(message: _Message) -> list[_Message]:
    try:
        return [message] if is_wanted(message.body) else []
    except (LookupError, TypeError):
        return []


def _invoice_of(message: _Message) -> list[_Message]:
    try:
        return [_Message(message.raw, invoice(message.body), message.meta, message.external_id)]
    except (LookupError, TypeError):
        return []


def same_work_flow(payloads: Sequence[bytes], count: int, batch_size: int) -> Dataflow:
    """The same with what a flow of ours has: metadata, the business key, and bad records that stop nothing."""
    flow = Dataflow("same-work")
    message = op.input("trigger", flow, _Source(_MessagePartition, payloads, count, batch_size))
    order = op.flat_map("decode", message, _decode)
    paid = op.flat_map("filter", order, _keep_message)
    invoices = op.flat_map("map", paid, _invoice_of)
    encoded = op.map("encode", invoices, lambda message: orjson.dumps(message.body))
    op.output("drop", encoded, _Sink())
    return flow


def stock_flow(payloads: Sequence[bytes], count: int, batch_size: int) -> Dataflow:
    """Decode, filter, map, encode and drop `count` records."""
    flow = Dataflow("stock")
    payload = op.input("trigger", flow, _Source(_Partition, payloads, count, batch_size))
    order = op.map("decode", payload, orjson.loads)
    paid = op.filter("filter", order, is_wanted)
    invoices = op.map("map", paid, invoice)
    encoded = op.map("encode", invoices, orjson.dumps)
    op.output("drop", encoded, _Sink())
    return flow
