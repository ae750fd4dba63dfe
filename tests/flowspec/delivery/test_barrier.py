"""The proof that the delivery barrier is needed, and that it works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main

from flowspec.delivery.sink import SinkWriter
from flowspec.delivery.source import TriggerSource
from flowspec.errors import FatalError
from tests.flowspec.delivery.memory import Journal, MemoryAction, MemoryTrigger, assemble, numbered, run_of

HOPS = 20
COUNT = 100
BAD = 50

# With a recovery store Bytewax begins an epoch when the snapshots of the one before are stored. At an interval of 0
# every record is an epoch of its own, and the source is always ahead of a sink behind so many operators.
EPOCH = timedelta(0)


class _ListPartition(StatelessSinkPartition[int]):
    def __init__(self, written: list[int], *, broken: bool) -> None:
        self._written = written
        self._broken = broken

    def write_batch(self, items: list[int]) -> None:
        if self._broken and BAD in items:
            msg = "disk full"
            raise OSError(msg)
        self._written += items


class _ListSink(DynamicSink[int]):
    def __init__(self, written: list[int], *, broken: bool) -> None:
        self._written = written
        self._broken = broken

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _ListPartition:
        return _ListPartition(self._written, broken=self._broken)


def stock(written: list[int], state: Path, *, broken: bool) -> Dataflow:
    """Bytewax as its documentation has it."""
    flow = Dataflow("stock")
    stream: Any = op.input("trigger", flow, TestingSource(range(COUNT)))
    for number in range(HOPS):
        stream = op.map(f"hop-{number}", stream, lambda item: item)
    op.output("sink", stream, _ListSink(written, broken=broken))
    return flow


def _connectors(written: list[int], *, broken: bool) -> tuple[MemoryTrigger, MemoryAction]:
    journal = Journal(watch=lambda event: written.extend(event.detail) if event.what == "write" else None)
    poison = {BAD: FatalError("disk full")} if broken else {}
    return (
        MemoryTrigger(journal=journal, records=numbered(COUNT), batch_size=1),
        MemoryAction(journal=journal, poison=poison),
    )


def without_barrier(written: list[int], state: Path, *, broken: bool) -> Dataflow:
    """Our source and our writer, but the end of the flow is an output without state."""
    trigger, action = _connectors(written, broken=broken)
    run = run_of(state)
    flow = Dataflow("open")
    stream: Any = op.input("trigger", flow, TriggerSource(trigger, run, ["memory-note"]))
    for number in range(HOPS):
        stream = op.map(f"hop-{number}", stream, lambda record: record)
    op.output("end", op.flat_map_batch("write", stream, SinkWriter("sink", action, run)), _ListSink([], broken=False))
    return flow


def ours(written: list[int], state: Path, *, broken: bool) -> Dataflow:
    """Our source, writer and barrier, with as many operators between them."""
    trigger, action = _connectors(written, broken=broken)
    return assemble(run_of(state), trigger, {"sink": action}, HOPS)


def lost_by(build: Callable[..., Dataflow], tmp_path: Path) -> set[int]:
    """Run a flow into its broken sink, and again from the same store when the sink is whole: what is missing?"""
    store = tmp_path / "recovery"
    store.mkdir()
    init_db_dir(store, 1)
    written: list[int] = []
    with pytest.raises(BytewaxRuntimeError):
        run_main(
            build(written, tmp_path, broken=True), epoch_interval=EPOCH, recovery_config=RecoveryConfig(str(store))
        )
    assert written == list(range(BAD)), "the sink fails where it should"
    run_main(build(written, tmp_path, broken=False), epoch_interval=EPOCH, recovery_config=RecoveryConfig(str(store)))
    return set(range(COUNT)) - set(written)


def test_stock_bytewax_loses_the_record(tmp_path: Path) -> None:
    assert BAD in lost_by(stock, tmp_path)


def test_a_sink_without_the_barrier_loses_the_record(tmp_path: Path) -> None:
    assert BAD in lost_by(without_barrier, tmp_path)


def test_the_barrier_loses_nothing(tmp_path: Path) -> None:
    assert lost_by(ours, tmp_path) == set()
