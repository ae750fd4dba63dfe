"""Cases of a trigger whose flow is stopped, killed and joined by others, by the real command line: nothing is lost."""
# ruff: noqa: S101, T201 - tests are made of assertions, and say how they went

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest

from sources.testing.cases import Conformance, needs
from sources.testing.feeder import Feeder
from sources.testing.flows import eventually
from sources.testing.harness import TriggerHarness
from sources.testing.lab import Lab, numbered

__all__ = ["Killing"]

_KILLS = 5
_VISITS = {"stopped": 10, "killed": 3}
"""What a killed run had comes again only after a while, which ten times would take long."""
_RAISES = {"fail_rate": 0.02}


class Killing(Conformance):
    """Cases 22, 29 and 30."""

    @pytest.mark.parametrize(
        ("workers", "sink"), [(1, _RAISES), (3, {})], ids=["one worker, a sink that raises at random", "three workers"]
    )
    def test_22_kill_9(self, harness: TriggerHarness, lab: Lab, workers: int, sink: dict[str, Any]) -> None:
        """Killed with -9 five times at random points: every record at least once, and again only what was in flight."""
        total = harness.many
        seed = random.randrange(2**32)  # noqa: S311 - no secret
        print(f"seed {seed}")
        moments = sorted(random.Random(seed).sample(range(total // 20, total - total // 20), _KILLS))  # noqa: S311
        flow = lab.command(harness.trigger(batch_size=200), "--workers", str(workers), sink=lab.sink(**sink))
        in_flight = 0
        with Feeder(
            harness.send, total, delivered=lab.distinct, batch=harness.backlog // 10, backlog=harness.backlog
        ) as feeder:
            for moment in moments:
                flow.start()
                lab.wait_for(moment)
                flow.kill()
                with feeder.paused():
                    in_flight += harness.left() - (feeder.sent - lab.distinct())
            flow.start()
            lab.wait_for(total)
        # One that only the last run can have taken, so that it runs when it is stopped.
        harness.send(numbered([total]))
        lab.wait_for(total + 1)
        eventually(lambda: harness.left() == 0, "all are committed", progress=harness.left)
        assert flow.terminate() == 0, flow.log.read_text()

        lab.delivered_at_least_once(range(total + 1))
        duplicates = lab.counts().total() - (total + 1)
        print(f"{total} records, {_KILLS} kills, {workers} workers:")
        print(f"{duplicates} duplicates, {in_flight} delivered and not committed at the kills")
        # On a machine that is too busy to keep what it has, records come again without a kill.
        if harness.taken_back is None or harness.taken_back not in flow.log.read_text():
            assert duplicates <= in_flight
        assert flow.dead_letters() == []

    def test_29_graceful_stop(self, harness: TriggerHarness, lab: Lab) -> None:
        """SIGTERM: drained in time, what was not used is left to the system, no duplicate at a restart."""
        harness.send(numbered(range(300)))
        flow = lab.command(harness.trigger(batch_size=10))
        flow.start()
        lab.wait_for(50)
        assert flow.terminate() == 0, flow.log.read_text()
        assert harness.left() == 300 - lab.distinct()

        with flow.running():
            lab.wait_for(300)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(300))

    @needs("shared")
    @pytest.mark.parametrize("leaving", _VISITS)
    def test_30_joining_and_leaving(self, harness: TriggerHarness, lab: Lab, leaving: str) -> None:
        """A second, independent run joins and leaves, again and again: nothing lost, no commit after a revoke."""
        trigger, sink = harness.trigger(batch_size=20), lab.sink(sleep="20ms")
        steady = lab.command(trigger, sink=sink, directory=lab.directory / "steady")
        visitor = lab.command(
            trigger, steps=[{"set": {"by": "'visitor'"}}], sink=sink, directory=lab.directory / "visitor"
        )
        with steady.running():
            with Feeder(harness.send, delivered=lab.distinct, batch=10, backlog=200) as feeder:
                for _ in range(_VISITS[leaving]):
                    enough = _by_visitor(lab) + 20
                    visitor.start()
                    eventually(partial(_has_worked, lab, enough), "the visitor works", progress=lab.distinct)
                    if leaving == "killed":
                        visitor.kill()
                    else:
                        assert visitor.terminate() == 0, visitor.log.read_text()
            lab.wait_for(feeder.sent)
            eventually(lambda: harness.left() == 0, "all are committed", progress=harness.left)
        lab.delivered_at_least_once(range(feeder.sent))
        print(f"{feeder.sent} records, {lab.counts().total() - feeder.sent} duplicates")
        if harness.offers("check_commits"):
            harness.check_commits()


def _by_visitor(lab: Lab) -> int:
    return sum("by" in line for line in lab.lines())


def _has_worked(lab: Lab, enough: int) -> bool:
    return _by_visitor(lab) >= enough
