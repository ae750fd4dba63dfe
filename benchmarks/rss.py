"""Whether memory stays flat while a million records go through."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine import invoices, run
from benchmarks.measure import note, show
from benchmarks.work import orders
from flowspec.delivery.run import FlowRun

__all__ = ["main"]

_RECORDS = 1_000_000
_EVERY = 100_000


def _rss() -> float:
    """Resident memory of this process, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    msg = "/proc/self/status has no VmRSS: this benchmark needs Linux"
    raise RuntimeError(msg)


def _sample(flow_run: FlowRun, samples: dict[int, float], ended: threading.Event) -> None:
    while not ended.wait(0.01):
        if flow_run.tally.received >= len(samples) * _EVERY:
            samples[flow_run.tally.received] = _rss()


def main() -> None:
    """Measure, and print the table."""
    spec = invoices(orders(10_000), _RECORDS)
    samples: dict[int, float] = {}
    ended = threading.Event()
    with TemporaryDirectory() as directory:
        flow_run = FlowRun(spec.name, Path(directory))
        sampler = threading.Thread(target=_sample, args=(flow_run, samples, ended))
        sampler.start()
        try:
            run(spec, flow_run)
        finally:
            ended.set()
            sampler.join()
    samples[flow_run.tally.received] = _rss()
    show(
        "Memory",
        ["records", "RSS MiB"],
        ([f"{received:,}", f"{rss:.1f}"] for received, rss in samples.items()),
    )
    after_first, last = list(samples.values())[1], list(samples.values())[-1]
    note(f"From the second sample to the last: {last - after_first:+.1f} MiB.")
