"""Cases of a trigger whose flow remembers: windows and duplicates, across kill -9, stops and sinks that fail."""
# ruff: noqa: S101, T201 - tests are made of assertions, and say how they went

from __future__ import annotations

import random
from typing import Any

import pytest

from sources.testing.cases import Conformance
from sources.testing.feeder import Feeder
from sources.testing.flows import eventually
from sources.testing.harness import TriggerHarness
from sources.testing.lab import Lab, numbered
from sources.testing.windows import VALUES, Sighting, golden

__all__ = ["Remembering"]

_RECORDS = 600
_KEYS = 5
_CLOSERS = range(_RECORDS, _RECORDS + _KEYS)
"""The records whose time is so much later that they close all windows before them, one of each key."""
_LATE = range(_CLOSERS.stop, _CLOSERS.stop + 10)
_MINUTE = 60
_DAY = 1_440 * _MINUTE
_START = 1_700_006_400
_SHAPE = {"sliding": {"size": 60 * _MINUTE, "every": 20 * _MINUTE}}
_LATENESS = _DAY
"""Whatever the order in which the records come, none is late before the closers."""
_SINK = "testbed-flaky"


def _sighting(number: int) -> Sighting:
    at = _START + number * 7_919 % 600 * _MINUTE + (30 * _DAY if number in _CLOSERS else 0)
    return Sighting(number, f"customer-{number % _KEYS}", at, number * 37 % 101)


_STEPS: list[dict[str, Any]] = [
    {"dedupe": "id"},
    {
        # The same as above: what is sent is the number alone.
        "map": {
            "id": "id",
            "customer": f"'customer-' + str(id % {_KEYS})",
            "at": f"{_START} + id * 7919 % 600 * {_MINUTE} + "
            f"({30 * _DAY} if {_CLOSERS.start} <= id < {_CLOSERS.stop} else 0)",
            "amount": "id * 37 % 101",
        }
    },
    {"window": {"key": "customer", "time": "at", **_SHAPE, "lateness": _LATENESS, "values": VALUES}},
]


class Remembering(Conformance):
    """Cases 32 and 33."""

    def test_32_windows(self, harness: TriggerHarness, lab: Lab) -> None:
        """Windows: late, out of order, twice, killed with -9 in the middle: equal to one golden answer."""
        seed = random.randrange(2**32)  # noqa: S311 - no secret
        print(f"seed {seed}")
        chance = random.Random(seed)  # noqa: S311
        answer = golden(map(_sighting, range(_RECORDS)), _SHAPE, _LATENESS).by_start()
        flow = lab.command(harness.trigger(batch_size=20), steps=_STEPS)

        flow.start()
        enough = chance.randrange(_RECORDS // 10, _RECORDS * 9 // 10)
        feeder = Feeder(harness.send, _RECORDS, delivered=lambda: feeder.sent - harness.left(), batch=10, backlog=50)
        with feeder:
            eventually(lambda: feeder.sent - harness.left() >= enough, f"{enough} are committed", harness.left)
            flow.kill()
            flow.start()
            eventually(lambda: feeder.sent == _RECORDS, "all are sent", lambda: feeder.sent)
        harness.send(numbered(chance.sample(range(_RECORDS), _RECORDS // 10)))
        eventually(lambda: harness.left() == 0, "all are committed", harness.left)
        assert lab.lines() == [], "no window is over"

        harness.send(numbered(_CLOSERS))
        eventually(lambda: bool(lab.lines()), "windows are closed")
        flow.kill()
        with flow.running():
            eventually(lambda: len(_windows(lab)) >= len(answer), "all windows are closed", lambda: len(_windows(lab)))
            eventually(lambda: harness.left() == 0, "all are committed", harness.left)
            harness.send(numbered(_LATE))
            eventually(lambda: len(flow.dead_letters()) >= len(_LATE), "those that are late are dead letters")

        windows = _windows(lab)
        assert windows.keys() == answer.keys()
        for place, right in answer.items():
            assert windows[place] == {**right, "p90": pytest.approx(right["p90"])}
        letters = flow.dead_letters()
        assert {letter["external_id"] for letter in letters} == set(map(str, _LATE))
        assert all(letter["error"]["message"].startswith("late: ") for letter in letters)
        print(f"{len(windows)} windows, {len(lab.lines()) - len(windows)} of them again")

    def test_33_dedupe(self, harness: TriggerHarness, lab: Lab) -> None:
        """Dedupe across a restart and across a failed sink: no loss, and no duplicate."""
        steps = [{"dedupe": {"key": "id", "within": "1h"}}]
        flow = lab.flow(harness.trigger(), steps, drain_timeout=0.5)
        harness.send(numbered(range(50)))
        lab.sink_down()
        flow.start()
        eventually(lambda: flow.is_down(_SINK), "the sink is tried")
        assert "will come again" in str(flow.stop())
        lab.sink_up()
        harness.send(numbered(range(60)))
        flow = lab.flow(harness.trigger(), steps)
        for first in (60, 70):
            with flow.running():
                lab.wait_for(first)
                harness.send(numbered(range(first + 10)))
                lab.wait_for(first + 10)
                eventually(lambda: harness.left() == 0, "all are committed, those that came again as well")
        lab.delivered_once(range(80))


def _windows(lab: Lab) -> dict[tuple[str, str], dict[str, Any]]:
    """What was delivered, by key and start; what came again after a kill was the same."""
    windows: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lab.lines():
        assert windows.setdefault((line["key"], line["start"]), line) == line
    return windows
