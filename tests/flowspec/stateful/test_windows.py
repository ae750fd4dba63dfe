"""Windows against the slow, obvious answer, whatever happens to the memory meanwhile."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowspec.expressions.clock import fixed_clock
from sources.testing.windows import Sighting, golden
from tests.flowspec.stateful.inputs import MINUTE, START, Bench, shuffled, window_step

SHAPES: dict[str, dict[str, Any]] = {
    "tumbling": {"tumbling": 15 * MINUTE},
    "sliding": {"sliding": {"size": 60 * MINUTE, "every": 10 * MINUTE}},
    "sliding that does not divide": {"sliding": {"size": 25 * MINUTE, "every": 10 * MINUTE}},
    "session": {"session": 10 * MINUTE},
}
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)

sightings = st.lists(
    st.builds(
        Sighting,
        st.integers(0, 30),
        st.sampled_from("ab"),
        st.integers(-40, 120).map(lambda minutes: START + minutes * MINUTE),
        st.none() | st.integers(0, 100),
    ),
    max_size=40,
)


def ordered(windows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(windows, key=lambda window: (window["key"], window["start"], window["end"], window["ids"]))


def same(bench: Bench, records: list[Sighting], shape: dict[str, Any], lateness: int) -> None:
    """See that a bench made exactly what is right."""
    answer = golden(records, shape, lateness)
    made = [record.body for record in bench.outcome.made]
    rounded = [{**body, "p90": body["p90"] if body["p90"] is None else pytest.approx(body["p90"])} for body in made]
    assert ordered(rounded) == ordered(answer.windows)
    assert sorted(record.body["id"] for record, _ in bench.outcome.failed) == sorted(answer.late)
    assert len(bench.outcome.absorbed) == len(records) - len(answer.late)
    assert bench.outcome.dropped == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@given(records=sightings, lateness=st.sampled_from([0, 5 * MINUTE, 30 * MINUTE]), data=st.data())
@settings(max_examples=150)
def test_any_input(shape: dict[str, Any], records: list[Sighting], lateness: int, data: st.DataObject) -> None:
    with fixed_clock(NOW):
        bench = Bench(window_step(shape, lateness))
        rest = records
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            bench.take(record.body() for record in rest[:size])
            rest = rest[size:]
            if data.draw(st.booleans()):
                bench.restore(bench.snapshot())
        bench.end()

    same(bench, records, shape, lateness)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_long_input_with_crashes(shape: dict[str, Any], seed: int) -> None:
    chance = random.Random(seed)
    records = shuffled(chance, 600, ["a", "b", "c"])
    lateness = 20 * MINUTE
    bench = Bench(window_step(shape, lateness))
    with fixed_clock(NOW):
        place, saved = 0, (0, bench.snapshot(), 0, 0, 0)
        while place < len(records):
            until = place + chance.randrange(1, 20)
            bench.take(record.body() for record in records[place:until])
            place = min(until, len(records))
            outcome = bench.outcome
            if chance.random() < 0.2:
                saved = place, bench.snapshot(), len(outcome.made), len(outcome.absorbed), len(outcome.failed)
            elif chance.random() < 0.1:
                # What was made since the snapshot is made again, in the same way.
                place, state, made, absorbed, failed = saved
                del outcome.made[made:], outcome.absorbed[absorbed:], outcome.failed[failed:]
                bench.restore(state)
        bench.end()

    same(bench, records, shape, lateness)
    assert bench.outcome.failed, "some were late"


def test_a_late_record_says_why() -> None:
    bench = Bench(window_step({"tumbling": MINUTE}, 10 * MINUTE))
    bench.take([Sighting(1, "a", START + 30 * MINUTE, 1).body(), Sighting(2, "a", START, 1).body()])

    ((record, error),) = bench.outcome.failed
    assert record.body["id"] == 2
    assert str(error) == (
        "late: its time is 2023-11-14T00:00:00Z, and its windows were closed when it was 2023-11-14T00:20:00Z"
    )


def test_what_a_window_is_known_by() -> None:
    bench = Bench(window_step({"tumbling": MINUTE}, 0))
    bench.take([Sighting(1, "a", START, 7).body(), Sighting(2, "a", START + MINUTE, 1).body()])

    (record,) = bench.outcome.made
    assert (record.external_id, record.key) == ("a/2023-11-14T00:00:00Z", "a")
    assert record.meta == {"step": "test", "start": "2023-11-14T00:00:00Z", "end": "2023-11-14T00:01:00Z"}


def at(minutes: float) -> Any:
    """The clock of this machine, some minutes later."""
    return fixed_clock(NOW + timedelta(minutes=minutes))


def test_time_that_goes_by_closes_windows() -> None:
    bench = Bench(window_step({"tumbling": 10 * MINUTE}, 0))
    with at(0):
        bench.take([Sighting(1, "a", START + 4 * MINUTE, 1).body()])
        assert bench.memories["a"].due() == (NOW + timedelta(minutes=6)).timestamp()
    with at(5.9):
        bench.wake()
        assert bench.outcome.made == []
    with at(6):
        bench.wake()
    assert [record.body["ids"] for record in bench.outcome.made] == [[1]]
    with at(7):
        bench.take([Sighting(2, "a", START + 5 * MINUTE, 1).body()])
    assert [record.body["id"] for record, _ in bench.outcome.failed] == [2], "closed is closed"


def test_a_flow_that_was_held_up_takes_what_was_held_up_first() -> None:
    bench = Bench(window_step({"tumbling": 10 * MINUTE}, 0))
    with at(0):
        bench.take([Sighting(1, "a", START + 4 * MINUTE, 1).body()])
    with at(60):
        bench.wake()
        assert bench.outcome.made == [], "a sink was down for an hour"
        bench.take([Sighting(2, "a", START + 5 * MINUTE, 1).body()])
        bench.wake()
        assert bench.outcome.made == []
    with at(65):
        bench.wake()
    assert [record.body["ids"] for record in bench.outcome.made] == [[1, 2]]


def test_time_does_not_go_by_while_the_flow_is_stopped() -> None:
    bench = Bench(window_step({"tumbling": 10 * MINUTE}, 0))
    with at(0):
        bench.take([Sighting(1, "a", START + 4 * MINUTE, 1).body()])
    with at(60):
        bench.restore(bench.snapshot())
        bench.wake()
        assert bench.outcome.made == []
    with at(66):
        bench.wake()
    assert [record.body["ids"] for record in bench.outcome.made] == [[1]]


def test_without_a_time_it_is_when_a_record_comes() -> None:
    step = window_step({"tumbling": 10 * MINUTE}, 0, time=None)
    bench = Bench(step)
    for minutes, number in ((1, 1), (9, 2), (11, 3)):
        with at(minutes):
            bench.take([Sighting(number, "a", START, 1).body()])
    with at(20):
        bench.wake()

    assert [(record.body["start"], record.body["ids"]) for record in bench.outcome.made] == [
        ("2030-01-01T00:00:00Z", [1, 2]),
        ("2030-01-01T00:10:00Z", [3]),
    ]


def test_the_time_of_a_key_is_forgotten_in_the_end() -> None:
    bench = Bench(window_step({"tumbling": 10 * MINUTE}, 0))
    with at(0):
        bench.take([Sighting(1, "a", START, 1).body()])
    with at(10):
        bench.wake()
        assert len(bench.outcome.made) == 1
    with at(69):
        bench.wake()
        assert "a" in bench.memories
    with at(70):
        bench.wake()
    assert bench.memories == {}


def test_without_a_key_all_are_together() -> None:
    bench = Bench(window_step({"tumbling": MINUTE}, 0, key=None))
    bench.take(Sighting(number, "ab"[number], START, 1).body() for number in range(2))
    bench.end()

    (record,) = bench.outcome.made
    assert record.external_id == "2023-11-14T00:00:00Z"
    assert record.body["ids"] == [0, 1]
    assert "key" not in record.body
