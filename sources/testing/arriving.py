"""Cases of a trigger when all goes well: what is sent arrives, whole, in batches as asked for, and nothing is left."""
# ruff: noqa: S101, PLR2004 - tests are made of assertions and numbers

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flowspec.records import Record
from sources.testing.cases import Conformance, needs
from sources.testing.flows import eventually, steadily
from sources.testing.harness import TriggerHarness
from sources.testing.lab import Lab, numbered

__all__ = ["Arriving"]

_MANY = 100
_SENDERS = 4


class Arriving(Conformance):
    """Cases 1 to 6, 9 to 11, 13, 21, 31."""

    def test_01_open_and_close(self, harness: TriggerHarness, lab: Lab) -> None:
        """Open and close: start, one record through, both ends close in time."""
        flow = lab.flow(harness.trigger())
        with flow.running():
            eventually(flow.is_up, "the trigger is up")
            harness.send(numbered([1]))
            lab.wait_for(1)
        assert harness.left() == 0
        lab.delivered_once([1])

    def test_02_open_and_close_after_the_write(self, harness: TriggerHarness, lab: Lab) -> None:
        """Open and close, the trigger created after the write."""
        harness.send(numbered([1]))
        with lab.flow(harness.trigger()).running():
            lab.wait_for(1)
        assert harness.left() == 0
        lab.delivered_once([1])

    def test_03_metadata_arrives(self, harness: TriggerHarness, lab: Lab) -> None:
        """Metadata that a client attached arrives with the record."""
        harness.send(numbered([1]), headers={"source": "shop", "trace-id": "00-é"})
        steps = [{"map": {"id": "id", "headers": "headers", "meta": "meta"}}]
        with lab.flow(harness.trigger(), steps).running():
            lab.wait_for(1)
        (line,) = lab.lines()
        assert {"source": "shop", "trace-id": "00-é"}.items() <= line["headers"].items()
        assert line["meta"], "the system has something to say about each record"

    def test_04_metadata_filter(self, harness: TriggerHarness, lab: Lab) -> None:
        """A metadata filter keeps out what it names and nothing else."""
        for number in range(20):
            harness.send(numbered([number]), headers={"kind": "odd" if number % 2 else "even"})
        with lab.flow(harness.trigger(), [{"filter": "headers.kind == 'even'"}]).running():
            eventually(lambda: harness.left() == 0, "all are committed, those that were kept out as well")
        lab.delivered_once(range(0, 20, 2))

    def test_05_a_batch(self, harness: TriggerHarness, lab: Lab) -> None:
        """A batch of n: all n arrive."""
        flow = lab.flow(harness.trigger())
        with flow.running():
            eventually(flow.is_up, "the trigger is up")
            harness.send(numbered(range(_MANY)))
            lab.wait_for(_MANY)
        lab.delivered_once(range(_MANY))

    def test_06_parallel_senders(self, harness: TriggerHarness, lab: Lab) -> None:
        """Many batches by parallel senders: every send confirmed, all arrive."""
        batches = [numbered(range(first, first + 10)) for first in range(0, 200, 10)]
        with lab.flow(harness.trigger()).running(), ThreadPoolExecutor(_SENDERS) as senders:
            list(senders.map(harness.send, batches))
            lab.wait_for(200)
        lab.delivered_once(range(200))

    def test_09_a_batch_by_count(self, harness: TriggerHarness, lab: Lab) -> None:
        """A trigger batching by count hands over exactly n first."""
        with lab.reader(harness.trigger(batch_size=25, batch_wait=60)) as reader:
            harness.send(numbered(range(24)))
            steadily(lambda: reader.read(25, 0.05) == [], "24 of 25 wait for company", seconds=2)
            harness.send(numbered(range(24, 30)))
            batches: list[list[Record]] = []

            def read() -> bool:
                batches.append(reader.read(25, 0.05))
                return bool(batches[-1])

            eventually(read, "the batch is handed over")
            assert len(batches[-1]) == 25

    def test_10_one_by_one(self, harness: TriggerHarness, lab: Lab) -> None:
        """One by one: all n arrive."""
        flow = lab.flow(harness.trigger())
        with flow.running():
            eventually(flow.is_up, "the trigger is up")
            for number in range(50):
                harness.send(numbered([number]))
            lab.wait_for(50)
        lab.delivered_once(range(50))

    def test_11_one_by_one_before(self, harness: TriggerHarness, lab: Lab) -> None:
        """One by one, the trigger created after: all n arrive."""
        for number in range(50):
            harness.send(numbered([number]))
        with lab.flow(harness.trigger()).running():
            lab.wait_for(50)
        lab.delivered_once(range(50))

    def test_13_parallel_sender_and_reader(self, harness: TriggerHarness, lab: Lab) -> None:
        """Parallel sender and reader, in batches far smaller than what is there: all n, each once."""
        with lab.flow(harness.trigger(batch_size=7)).running(), ThreadPoolExecutor(1) as sender:
            sent = sender.submit(lambda: [harness.send(numbered([number])) for number in range(200)])
            lab.wait_for(200)
            sent.result()
        lab.delivered_once(range(200))

    def test_21_exact_drain(self, harness: TriggerHarness, lab: Lab) -> None:
        """Exact drain: nothing is left at the system, and NOTHING more comes for some seconds."""
        harness.send(numbered(range(_MANY)))
        with lab.flow(harness.trigger()).running():
            lab.wait_for(_MANY)
            eventually(lambda: harness.left() == 0, "all are committed")
            steadily(lambda: len(lab.ids()) == _MANY, "nothing more comes", seconds=3)
        assert harness.left() == 0
        lab.delivered_once(range(_MANY))

    def test_31_a_batch_by_time(self, harness: TriggerHarness, lab: Lab) -> None:
        """A batch by time: one that is not full comes when its time is over, and at a stop it is not lost."""
        harness.send(numbered(range(3)))
        with lab.flow(harness.trigger(batch_size=100, batch_wait="500ms")).running():
            lab.wait_for(3)
            eventually(lambda: harness.left() == 0, "all are committed")

        waiting = lab.flow(harness.trigger(batch_size=100, batch_wait=60))
        with waiting.running():
            eventually(waiting.is_up, "the trigger is up")
            harness.send(numbered(range(3, 6)))
        with lab.flow(harness.trigger()).running():
            lab.wait_for(6)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(6))

    @needs("keys")
    def test_27_order(self, harness: TriggerHarness, lab: Lab) -> None:
        """Order per key, also after a failure: the sink is down, the flow is killed, records come again."""
        keys = harness.keys

        def send(numbers: range) -> None:
            for first in numbers[::10]:
                key = keys[first // 10 % len(keys)]
                harness.send(numbered(range(first, first + 10), key=key), key=key)

        send(range(100))
        flow = lab.command(harness.trigger(batch_size=7))
        flow.start()
        lab.wait_for(20)
        lab.sink_down()
        send(range(100, 200))
        eventually(lambda: "is down" in flow.log.read_text(), "the sink is tried")
        flow.kill()
        lab.sink_up()
        flow.start()
        lab.wait_for(120)
        flow.kill()
        with flow.running():
            lab.wait_for(200)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_at_least_once(range(200))
        for key in keys:
            first_seen = list(dict.fromkeys(line["id"] for line in lab.lines() if line["key"] == key))
            assert first_seen == sorted(first_seen)
