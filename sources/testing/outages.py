"""Cases of a trigger whose system is slow, refuses, or goes away: the flow goes on by itself."""
# ruff: noqa: S101, PLR2004 - tests are made of assertions and numbers

from __future__ import annotations

from sources.testing.cases import Conformance, needs
from sources.testing.feeder import Feeder
from sources.testing.flows import eventually
from sources.testing.harness import TriggerHarness
from sources.testing.lab import Lab, numbered

__all__ = ["Outages"]

_SINK = "testbed-flaky"


class Outages(Conformance):
    """Cases 23 to 25."""

    @needs("proxied", "cut")
    def test_23_cut_during_read(self, harness: TriggerHarness, lab: Lab) -> None:
        """Connections cut during reads and commits: the flow goes on by itself, nothing lost."""
        total = 600
        flow = lab.flow(harness.proxied(batch_size=10))
        with flow.running(), Feeder(harness.send, total, delivered=lab.distinct, batch=10, backlog=50):
            for count in range(100, total, 100):
                lab.wait_for(count)
                harness.cut()
            lab.wait_for(total)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_at_least_once(range(total))

    @needs("proxied", "cut")
    def test_23_cut_before_the_commit(self, harness: TriggerHarness, lab: Lab) -> None:
        """Connections cut while records are in the flow: what their commit does not reach comes again, no more."""
        harness.send(numbered(range(50)))
        flow = lab.flow(harness.proxied())
        lab.sink_down()
        with flow.running():
            eventually(lambda: flow.is_down(_SINK), "records are in the flow")
            harness.cut()
            lab.sink_up()
            lab.wait_for(50)
            harness.send(numbered([50]))
            lab.wait_for(51)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_at_least_once(range(51))
        assert max(lab.counts().values()) <= 2

    @needs("proxied", "down", "up")
    def test_23_outage(self, harness: TriggerHarness, lab: Lab) -> None:
        """The system goes away and comes back: each is one line of the log, and nothing is lost."""
        harness.send(numbered([0]))
        flow = lab.command(harness.proxied())
        with flow.running():
            lab.wait_for(1)
            harness.down()
            eventually(lambda: "trigger is down" in flow.log.read_text(), "the trigger is down")
            harness.send(numbered(range(1, 20)))
            harness.up()
            lab.wait_for(20)
            eventually(lambda: "trigger is back" in flow.log.read_text(), "the trigger is up again")
            eventually(lambda: harness.left() == 0, "all are committed")
            lab.delivered_at_least_once(range(20))
            assert flow.log.read_text().count("trigger is down and is tried again") == 1
            assert flow.log.read_text().count("trigger is back after") == 1

    @needs("proxied", "down", "up")
    def test_23_not_there_at_the_start(self, harness: TriggerHarness, lab: Lab) -> None:
        """A system that is not there when the flow starts is waited for."""
        harness.send(numbered(range(5)))
        flow = lab.flow(harness.proxied())
        harness.down()
        with flow.running():
            eventually(flow.is_down, "the trigger is down")
            harness.up()
            lab.wait_for(5)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(5))

    @needs("ack_timeout")
    def test_24_slower_than_the_timeout(self, harness: TriggerHarness, lab: Lab) -> None:
        """A sink slower than the visibility, session or acknowledgement timeout: no duplicate."""
        harness.send(numbered(range(20)))
        with lab.flow(harness.trigger(batch_wait="1s"), sink=lab.sink(sleep=harness.ack_timeout * 1.5)).running():
            lab.wait_for(20)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(20))

    @needs("refusing_commits")
    def test_25_refused_commits(self, harness: TriggerHarness, lab: Lab) -> None:
        """A commit that failed is made again, and nothing comes twice."""
        harness.send(numbered(range(50)))
        flow = lab.flow(harness.proxied())
        lab.sink_down()
        with flow.running():
            eventually(lambda: flow.is_down(_SINK), "records are in the flow")
            with harness.refusing_commits():
                lab.sink_up()
                lab.wait_for(flow.run.tally.received)
                eventually(flow.is_down, "commits are tried")
                assert harness.left() == 50
            lab.wait_for(50)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(50))
