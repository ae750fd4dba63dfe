"""Cases of a sink when all goes well: each record is there, whole, as often as it was written."""
# ruff: noqa: S101, PLR2004 - tests are made of assertions and numbers

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flowspec.records import Record
from sinks.testing.harness import SinkHarness
from sources.testing.cases import Conformance, needs
from sources.testing.flows import eventually
from sources.testing.lab import Lab, numbered

__all__ = ["Sinks", "Writing"]

_WRITERS = 4
_BODIES: list[dict[str, Any]] = [
    {"id": 0},
    {"id": 1, "text": 'é 漢 😀 " \\ / tab \t line \n end'},
    {"id": 2, "empty": "", "null": None, "yes": True, "no": False},
    {"id": 3, "deep": {"list": [1, [2, [3, {"x": []}]]], "object": {}}},
    {"id": 4, "large": 2**53, "small": -1.5e-7, "long": "x" * 50_000},
]


class Sinks(Conformance):
    """What the cases of sinks share."""

    @pytest.fixture(autouse=True)
    def _the_lab_looks_at_the_system(self, lab: Lab, harness: SinkHarness) -> None:
        if harness.offers("received"):
            lab.read = lambda: [json.loads(received.payload) for received in harness.received()]


def records(bodies: Sequence[Any]) -> list[Record]:
    """A record for each body."""
    return [Record(json.dumps(body), body) for body in bodies]


class Writing(Sinks):
    """Cases 1 to 8, 10, 18 to 20."""

    def test_01_open_and_close(self, harness: SinkHarness, lab: Lab) -> None:
        """Open and close: start, one record through, both ends close in time."""
        lab.feed(numbered([1]))
        flow = lab.flow(lab.source(), sink=harness.action())
        with flow.running():
            eventually(lambda: lab.left() == 0, "the record is committed")
        assert flow.run.tally.delivered == 1
        if harness.offers("received"):
            lab.wait_for(1)
            lab.delivered_once([1])

    @needs("received", "headers_field")
    def test_03_metadata(self, harness: SinkHarness, lab: Lab) -> None:
        """Metadata that the sink is told to write arrives with the record."""
        lab.feed(numbered([1], source="shop é"))
        headers = {harness.headers_field: {"source": "{source}", "order": "Order {id}"}}
        with lab.flow(lab.source(), sink=harness.action(**headers)).running():
            lab.wait_for(1)
        (received,) = harness.received()
        assert {"source": "shop é", "order": "Order 1"}.items() <= received.headers.items()

    @needs("received")
    def test_05_a_batch(self, harness: SinkHarness, lab: Lab) -> None:
        """A batch of n: all n arrive."""
        lab.feed(numbered(range(500)))
        with lab.flow(lab.source(batch_size=500), sink=harness.action()).running():
            lab.wait_for(500)
            eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_once(range(500))

    @needs("received")
    def test_06_parallel_writers(self, harness: SinkHarness, lab: Lab) -> None:
        """Many batches by parallel workers: every write confirmed, all arrive."""

        def work(worker: int) -> int:
            failed = 0
            with lab.writer(harness.action()) as writer:
                for first in range(worker * 50, worker * 50 + 50, 10):
                    failed += len(writer.write(records([{"id": n} for n in range(first, first + 10)])))
            return failed

        with ThreadPoolExecutor(_WRITERS) as workers:
            assert sum(workers.map(work, range(_WRITERS))) == 0
        lab.wait_for(50 * _WRITERS)
        lab.delivered_once(range(50 * _WRITERS))

    @needs("received", "gathering")
    def test_07_gathering(self, harness: SinkHarness, lab: Lab) -> None:
        """A sink batching by count confirms nothing before the batch is full."""
        lab.feed(numbered(range(9)))
        with lab.flow(lab.source(), sink=harness.action(**harness.gathering)).running():
            assert lab.left() == 9
            lab.feed(numbered([9]))
            eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_once(range(10))

    @needs("received", "gathering")
    def test_08_gathering_after_the_write(self, harness: SinkHarness, lab: Lab) -> None:
        """A sink batching by count, all of it there before it starts."""
        lab.feed(numbered(range(10)))
        with lab.flow(lab.source(), sink=harness.action(**harness.gathering)).running():
            eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_once(range(10))

    @needs("received")
    def test_10_one_by_one(self, harness: SinkHarness, lab: Lab) -> None:
        """One by one: all n arrive."""
        with lab.flow(lab.source(batch_size=1), sink=harness.action()).running():
            for number in range(50):
                lab.feed(numbered([number]))
            lab.wait_for(50)
        lab.delivered_once(range(50))

    @needs("received")
    def test_18_read_back_one_by_one(self, harness: SinkHarness, lab: Lab) -> None:
        """Sink alone, one by one: each is read back equal."""
        with lab.writer(harness.action()) as writer:
            for record in records(_BODIES):
                assert list(writer.write([record])) == []
        lab.wait_for(len(_BODIES))
        assert sorted(lab.lines(), key=lambda body: body["id"]) == _BODIES

    @needs("received")
    def test_19_read_back_a_batch(self, harness: SinkHarness, lab: Lab) -> None:
        """Sink alone, one batch: each is read back equal."""
        with lab.writer(harness.action()) as writer:
            assert list(writer.write(records(_BODIES))) == []
        lab.wait_for(len(_BODIES))
        assert sorted(lab.lines(), key=lambda body: body["id"]) == _BODIES

    @needs("received", "upserting")
    def test_20_the_second_wins(self, harness: SinkHarness, lab: Lab) -> None:
        """Sink alone, same id twice: the second wins."""
        bodies = [{"id": 1, "version": 1}, {"id": 1, "version": 2}]
        with lab.writer(harness.action(**harness.upserting)) as writer:
            for record in records(bodies):
                assert list(writer.write([record])) == []
        assert lab.lines() == bodies[1:]
