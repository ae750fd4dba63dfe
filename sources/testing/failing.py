"""Cases of a trigger when records, steps and sinks fail: nothing is lost, and what fails for good is a dead letter."""
# ruff: noqa: S101, PLR2004 - tests are made of assertions and numbers

from __future__ import annotations

from typing import get_args

import pytest

from flowspec.policies import FinalPolicy
from sources.testing.cases import Conformance, needs
from sources.testing.flows import eventually, steadily
from sources.testing.harness import TriggerHarness
from sources.testing.lab import Lab, numbered

__all__ = ["Failing"]

_SINK = "testbed-flaky"
_GARBAGE = [b"not JSON", b"{", b" "]


class Failing(Conformance):
    """Cases 12, 14 to 17, 26, 28, 36."""

    def test_12_checkpoint(self, harness: TriggerHarness, lab: Lab) -> None:
        """Checkpoint: what was delivered before a failure never comes again; what failed, and all behind it, does."""
        for number in range(5):
            harness.send(numbered([number], **({"fail": "fatal"} if number == 2 else {})))
        flow = lab.flow(harness.trigger(batch_size=1))
        flow.start()
        assert "stopped by" in str(flow.wait())
        assert 2 not in lab.ids()

        with lab.flow(harness.trigger(batch_size=1), [{"drop": ["fail"]}]).running():
            lab.wait_for(5)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(5))

    def test_14_saturated(self, harness: TriggerHarness, lab: Lab) -> None:
        """Saturated: nothing is delivered or committed for 5 s, then all flows again, each once."""
        harness.send(numbered(range(200)))
        flow = lab.flow(harness.trigger(batch_size=10))
        lab.sink_down()
        with flow.running():
            eventually(lambda: flow.is_down(_SINK), "the sink is tried")
            steadily(lambda: harness.left() == 200, "nothing is committed", seconds=5)
            assert lab.ids() == []
            lab.sink_up()
            lab.wait_for(200)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(200))

    def test_15_at_least_once(self, harness: TriggerHarness, lab: Lab) -> None:
        """At least once: what could not be delivered before a stop comes again after a reopen."""
        harness.send(numbered(range(50)))
        flow = lab.flow(harness.trigger(), drain_timeout=0.5)
        lab.sink_down()
        flow.start()
        eventually(lambda: flow.is_down(_SINK), "the sink is tried")
        assert "will come again" in str(flow.stop())
        assert harness.left() == 50
        lab.sink_up()
        with lab.flow(harness.trigger()).running():
            lab.wait_for(50)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(50))

    def test_16_every_tenth_delivery_fails(self, harness: TriggerHarness, lab: Lab) -> None:
        """Every tenth delivery fails: all are delivered in the end."""
        harness.send(numbered(range(200)))
        with lab.flow(harness.trigger(batch_size=50), sink=lab.sink(refuse_every=10)).running():
            lab.wait_for(200)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(200))

    def test_17_every_tenth_delivery_fails_and_a_reopen(self, harness: TriggerHarness, lab: Lab) -> None:
        """As 16, with the trigger reopened in between."""
        harness.send(numbered(range(200)))
        flow = lab.flow(harness.trigger(batch_size=20), sink=lab.sink(refuse_every=10))
        with flow.running():
            lab.wait_for(60)
        with flow.running():
            lab.wait_for(200)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(200))

    def test_26_poison(self, harness: TriggerHarness, lab: Lab) -> None:
        """Poison: a dead letter after exactly one attempt, with cause and origin; its neighbours flow on."""
        for number, garbage in enumerate(_GARBAGE):
            harness.send([*numbered([number]), garbage])
        harness.send(numbered([3], fail="record"))
        flow = lab.flow(harness.trigger())
        with flow.running():
            lab.wait_for(3)
            eventually(lambda: harness.left() == 0, "all are committed, the dead letters as well")
            steadily(lambda: len(flow.dead_letters()) == 4, "each is a dead letter once", seconds=1)
        lab.delivered_once(range(3))
        letters = {letter["payload"]["text"].encode(): letter for letter in flow.dead_letters()}
        assert set(letters) == {*_GARBAGE, *numbered([3], fail="record")}
        for letter in letters.values():
            assert letter["attempts"] == 1
            assert letter["error"]["message"]
            assert letter["origin"], "where it came from"
        assert {letter["step"] for letter in letters.values()} == {"decode", _SINK}

    def test_28_bounded_memory(self, harness: TriggerHarness, lab: Lab) -> None:
        """A stalled sink: memory stays bounded, then the flow resumes."""
        count, size = harness.flood
        flow = lab.command(harness.trigger(batch_size=10))
        harness.send(numbered([0]))
        with flow.running():
            lab.wait_for(1)
            before = flow.memory()
            lab.sink_down()
            for first in range(1, count + 1, 10):
                harness.send(numbered(range(first, min(first + 10, count + 1)), pad="x" * size))
            eventually(lambda: "is down" in flow.log.read_text(), "the sink is tried")
            most = before + count * size // 2
            steadily(lambda: flow.memory() < most, "memory is bounded", seconds=3)
            lab.sink_up()
            lab.wait_for(count + 1)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once(range(count + 1))

    @pytest.mark.parametrize("policy", get_args(FinalPolicy))
    def test_36_step_error(self, harness: TriggerHarness, lab: Lab, policy: str) -> None:
        """Fault matrix: a step that fails on one record, by each policy."""
        harness.send(numbered(range(10)))
        flow = lab.flow(harness.trigger(), [{"map": {"id": "id", "share": "10 / id"}, "on_error": policy}])
        flow.start()
        if policy == "stop":
            assert "division by zero" in str(flow.wait())
            assert harness.left() > 0, "the record stays"
            assert 0 not in lab.ids()
            return
        lab.wait_for(9)
        eventually(lambda: harness.left() == 0, "all are committed")
        assert flow.stop() is None
        lab.delivered_once(range(1, 10))
        letters = [(letter["step"], letter["external_id"]) for letter in flow.dead_letters()]
        assert letters == ([("map-1", "0")] if policy == "dead_letter" else [])

    def test_36_sink_error(self, harness: TriggerHarness, lab: Lab) -> None:
        """Fault matrix: a sink that fails in a way that nobody knows; the record is a dead letter in the end."""
        harness.send([*numbered(range(5)), *numbered([5], fail="unexpected"), *numbered(range(6, 10))])
        flow = lab.flow(harness.trigger())
        with flow.running():
            lab.wait_for(9)
            eventually(lambda: harness.left() == 0, "all are committed")
        lab.delivered_once([0, 1, 2, 3, 4, 6, 7, 8, 9])
        (letter,) = flow.dead_letters()
        assert letter["attempts"] >= 3
        assert "confused by" in letter["error"]["message"]

    @needs("missing")
    def test_36_trigger_error(self, harness: TriggerHarness, lab: Lab) -> None:
        """Fault matrix: a place that does not exist stops the flow, and says so."""
        flow = lab.flow(harness.missing())
        flow.start()
        error = str(flow.wait())
        assert error.startswith("trigger: ")
        assert "missing" in error, "the place is named"

    @pytest.mark.parametrize("place", ["step", "sink"])
    def test_36_retry(self, harness: TriggerHarness, lab: Lab, place: str) -> None:
        """Fault matrix: tried as often as `retry` says, over a kill -9 as well; its neighbours do not wait for it."""
        policy = {"retry": {"attempts": 4, "backoff": "500ms", "max_backoff": "500ms"}}
        steps, sink = [], lab.sink()
        if place == "step":
            steps.append({"map": {"id": "id", "share": "10 / id"}, "on_error": policy})
            harness.send(numbered(range(10)))
        else:
            sink["on_error"] = policy
            harness.send([*numbered([0], fail="record"), *numbered(range(1, 10))])
        flow = lab.command(harness.trigger(), steps=steps, sink=sink)
        flow.start()
        lab.wait_for(9)
        eventually(lambda: harness.left() == 0, "nothing waits for the record that is tried again")
        flow.kill()
        with flow.running():
            eventually(lambda: bool(flow.dead_letters()), "it is given up")
        lab.delivered_once(range(1, 10))
        (letter,) = flow.dead_letters()
        assert letter["attempts"] == 4
        assert (letter["external_id"], letter["step"]) == ("0", "map-1" if place == "step" else _SINK)
        assert letter["error"]["message"]
        assert letter["origin"], "where it came from"
