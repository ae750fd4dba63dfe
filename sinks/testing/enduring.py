"""Cases of a sink when records, connections and processes fail: nothing is lost."""
# ruff: noqa: S101, PLR2004, T201 - tests are made of assertions and numbers, and say how they went

from __future__ import annotations

import random

from sinks.testing.harness import SinkHarness
from sinks.testing.writing import Sinks
from sources.testing.cases import needs
from sources.testing.feeder import Feeder
from sources.testing.flows import HostedFlow, eventually, steadily
from sources.testing.lab import Lab, numbered

__all__ = ["Enduring"]

_KILLS = 5
_BATCH = 50


class Enduring(Sinks):
    """Cases 22, 23, 26 to 29, 36."""

    @needs("received")
    def test_22_kill_9(self, harness: SinkHarness, lab: Lab) -> None:
        """Killed with -9 five times at random points: every record at least once, at most two batches again each."""
        total = harness.many
        seed = random.randrange(2**32)  # noqa: S311 - no secret
        print(f"seed {seed}")
        moments = sorted(random.Random(seed).sample(range(total // 20, total - total // 20), _KILLS))  # noqa: S311
        flow = lab.command(lab.source(batch_size=_BATCH), sink=harness.action())
        with Feeder(lab.feed, total, delivered=lab.distinct, batch=_BATCH, backlog=10 * _BATCH):
            for moment in moments:
                flow.start()
                lab.wait_for(moment)
                flow.kill()
            flow.start()
            lab.wait_for(total)
        # One that only the last run can have taken, so that it runs when it is stopped.
        lab.feed(numbered([total]))
        lab.wait_for(total + 1)
        eventually(lambda: lab.left() == 0, "all are committed")
        assert flow.terminate() == 0, flow.log.read_text()
        lab.delivered_at_least_once(range(total + 1))
        duplicates = lab.counts().total() - (total + 1)
        print(f"{total} records, {_KILLS} kills: {duplicates} duplicates")
        assert duplicates <= _KILLS * 2 * _BATCH
        assert flow.dead_letters() == []

    @needs("received", "proxied", "cut")
    def test_23_cut_during_write(self, harness: SinkHarness, lab: Lab) -> None:
        """Connections cut during writes: the flow goes on by itself, nothing lost."""
        total = 600
        flow = lab.flow(lab.source(batch_size=10), sink=harness.proxied())
        with flow.running(), Feeder(lab.feed, total, delivered=lab.distinct, batch=10, backlog=50):
            for count in range(100, total, 100):
                lab.wait_for(count)
                harness.cut()
            lab.wait_for(total)
            eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_at_least_once(range(total))
        assert flow.dead_letters() == []

    @needs("received", "proxied", "down", "up")
    def test_23_outage(self, harness: SinkHarness, lab: Lab) -> None:
        """The system goes away and comes back: the flow is held, each is one line of the log."""
        lab.feed(numbered([0]))
        flow = lab.command(lab.source(batch_size=10), sink={**harness.proxied(), "id": "there"})
        with flow.running():
            lab.wait_for(1)
            harness.down()
            lab.feed(numbered(range(1, 100)))
            eventually(lambda: "there is down" in flow.log.read_text(), "the sink is down")
            steadily(lambda: lab.left() == 99, "nothing is committed", seconds=1)
            harness.up()
            lab.wait_for(100)
            eventually(lambda: lab.left() == 0, "all are committed")
            lab.delivered_at_least_once(range(100))
            assert flow.log.read_text().count("there is down and is tried again") == 1
            assert flow.log.read_text().count("there is back after") == 1

    @needs("received")
    def test_26_poison(self, harness: SinkHarness, lab: Lab) -> None:
        """Poison that no format can write: a dead letter after one attempt, with cause and origin; others go on."""
        lab.feed(numbered(range(10)))
        poison = {"map": {"id": "id", "value": "10 ** 30 if id == 5 else 1"}}
        flow = lab.flow(lab.source(), [poison], sink={**harness.action(), "id": "there"})
        self._check_poison(flow, lab)

    @needs("received", "too_large")
    def test_26_too_large(self, harness: SinkHarness, lab: Lab) -> None:
        """Poison that the system does not take: a dead letter after one attempt, with its cause; others go on."""
        lab.feed([*numbered(range(5)), *numbered([5], pad="x" * harness.too_large), *numbered(range(6, 10))])
        flow = lab.flow(lab.source(), sink={**harness.action(), "id": "there"})
        self._check_poison(flow, lab)

    def _check_poison(self, flow: HostedFlow, lab: Lab) -> None:
        with flow.running():
            lab.wait_for(9)
            eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_once([0, 1, 2, 3, 4, 6, 7, 8, 9])
        (letter,) = flow.dead_letters()
        assert (letter["step"], letter["external_id"], letter["attempts"]) == ("there", "5", 1)
        assert letter["error"]["message"]
        assert letter["origin"]["path"]

    @needs("received", "ordered")
    def test_27_order(self, harness: SinkHarness, lab: Lab) -> None:
        """Order per key, also after a failure: the connection is lost, the flow is killed."""
        has_proxy = harness.offers("proxied")
        for number in range(200):
            lab.feed(numbered([number], group="abc"[number % 3]))
        sink = (harness.proxied if has_proxy else harness.action)(**harness.ordered)
        flow = lab.command(lab.source(batch_size=7), sink={**sink, "id": "there"})
        flow.start()
        lab.wait_for(30)
        if has_proxy:
            harness.cut()
            lab.wait_for(60)
        flow.kill()
        flow.start()
        lab.wait_for(120)
        flow.kill()
        with flow.running():
            lab.wait_for(200)
            eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_at_least_once(range(200))
        for group in "abc":
            first_seen = list(dict.fromkeys(line["id"] for line in lab.lines() if line["group"] == group))
            assert first_seen == sorted(first_seen)

    @needs("received", "proxied", "stall", "resume")
    def test_28_stalled(self, harness: SinkHarness, lab: Lab) -> None:
        """A system that takes the connection and nothing more: what is in flight stays bounded, then it resumes."""
        lab.feed(numbered([0]))
        flow = lab.flow(lab.source(batch_size=10), sink=harness.proxied())
        with flow.running():
            lab.wait_for(1)
            harness.stall()
            lab.feed(numbered(range(1, 200)))
            steadily(lambda: flow.run.tally.received <= 1 + 2 * 10, "what is in flight is bounded", seconds=3)
            assert lab.left() >= 199
            harness.resume()
            lab.wait_for(200)
            eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_once(range(200))

    @needs("received")
    def test_29_graceful_stop(self, harness: SinkHarness, lab: Lab) -> None:
        """SIGTERM: drained in time, no duplicate at a restart."""
        flow = lab.command(lab.source(batch_size=10), sink=harness.action())
        flow.start()
        with Feeder(lab.feed, 300, delivered=lab.distinct, batch=10, backlog=50):
            lab.wait_for(100)
            assert flow.terminate() == 0, flow.log.read_text()
            with flow.running():
                lab.wait_for(300)
                eventually(lambda: lab.left() == 0, "all are committed")
        lab.delivered_once(range(300))

    @needs("missing")
    def test_36_missing(self, harness: SinkHarness, lab: Lab) -> None:
        """Fault matrix: a place that does not exist stops the flow, or makes dead letters, and is named."""
        lab.feed(numbered([1]))
        flow = lab.flow(lab.source(), sink=harness.missing())
        flow.start()
        said = flow.wait_or(lambda: bool(flow.dead_letters()), "the record is a dead letter")
        assert "missing" in str(said or flow.dead_letters()[0]["error"]["message"])
