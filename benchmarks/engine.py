"""What the engine costs: records in memory through decode, filter, map of three fields, encode, drop."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from bytewax._bytewax import cli_main

from benchmarks.measure import interleaved, note, show, timed
from benchmarks.memory import MemoryTrigger
from benchmarks.stock import same_work_flow, stock_flow
from benchmarks.work import orders, steps
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.spec import FlowSpec
from pipelines.running import run_worker
from sinks.drop import Drop

__all__ = ["invoices", "main", "run"]

_RECORDS = 200_000
_ROUNDS = 5
_BATCH = 500


def invoices(payloads: Sequence[bytes], count: int) -> FlowSpec:
    """The flow that is measured: paid orders above 100 become invoices."""
    return FlowSpec(
        name="invoices",
        trigger=MemoryTrigger(
            payloads=tuple(payloads), count=count, batch_size=_BATCH, external_id=Expression("order_id")
        ),
        steps=steps(),
        sinks=[Drop(format="json")],
    )


def run(spec: FlowSpec, flow_run: FlowRun) -> None:
    """Run a flow as the command line does, to its end."""
    run_worker(spec, flow_run, give_up=sys.exit)


def _bare(payloads: Sequence[bytes], count: int) -> None:
    position = 0
    while position < count:
        start = position % len(payloads)
        batch = payloads[start : start + min(_BATCH, count - position)]
        position += len(batch)
        for payload in batch:
            order = orjson.loads(payload)
            if order["status"] == "paid" and order["total"] > 100:
                orjson.dumps(
                    {
                        "id": order["order_id"],
                        "cents": int(order["total"] * 100),
                        "customer": order["customer"]["email"].lower(),
                    }
                )


def main() -> None:
    """Measure, and print the table."""
    payloads = orders(10_000)
    spec = invoices(payloads, _RECORDS)
    with TemporaryDirectory() as directory:
        results = interleaved(
            {
                "bare Python loop": lambda: timed(lambda: _bare(payloads, _RECORDS), _RECORDS),
                "flow": lambda: timed(lambda: run(spec, FlowRun(spec.name, Path(directory))), _RECORDS),
                "stock Bytewax, bodies only": lambda: timed(
                    lambda: cli_main(stock_flow(payloads, _RECORDS, _BATCH), epoch_interval=timedelta(0)), _RECORDS
                ),
                "stock Bytewax, the same work": lambda: timed(
                    lambda: cli_main(same_work_flow(payloads, _RECORDS, _BATCH), epoch_interval=timedelta(0)), _RECORDS
                ),
            },
            _ROUNDS,
        )
    floor = results["bare Python loop"]
    show(
        "Engine",
        ["", "records/s", "CPU us/record", "CPU, ratio to bare"],
        (
            [name, f"{result.rate:,.0f}", f"{result.cpu:.2f}", f"{result.cpu / floor.cpu:.2f}"]
            for name, result in results.items()
        ),
    )
    note(
        f"{_RECORDS:,} orders of {len(payloads[0])} bytes in batches of {_BATCH}, three of four pass the filter; "
        f"medians of {_ROUNDS} interleaved runs. The flow has metadata, External ID and error handling on; "
        "the last one has them too, the others have none."
    )
