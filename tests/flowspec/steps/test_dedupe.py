from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from flowspec.expressions.clock import fixed_clock
from flowspec.steps.dedupe import Dedupe
from sources.testing.flows import Flow, eventually
from sources.testing.lab import Lab, numbered
from tests.flowspec.stateful.inputs import Bench

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def dedupe(options: Any) -> Dedupe:
    return TypeAdapter(Dedupe).validate_python({"dedupe": options})


def at(seconds: float) -> Any:
    return fixed_clock(NOW + timedelta(seconds=seconds))


def kept(options: Any, *batches: tuple[float, list[Any]]) -> list[Any]:
    """What goes on of bodies that come at some seconds; the memory is lost and taken up again in between."""
    bench = Bench(dedupe(options))
    for seconds, bodies in batches:
        with at(seconds):
            bench.restore(bench.snapshot())
            bench.wake()
            bench.take(bodies)
    outcome = bench.outcome
    assert not outcome.failed
    assert not outcome.absorbed
    assert len(outcome.made) + len(outcome.dropped) == sum(len(bodies) for _, bodies in batches)
    return [record.body for record in outcome.made]


def test_each_key_goes_on_once() -> None:
    assert kept("n", (0, [{"n": 1}, {"n": 2}, {"n": 1}]), (1, [{"n": 2}, {"n": 3}])) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_the_first_of_a_batch_goes_on() -> None:
    assert kept("n", (0, [{"n": 1, "place": 0}, {"n": 1, "place": 1}])) == [{"n": 1, "place": 0}]


def test_values_that_are_equal_are_the_same() -> None:
    assert kept("n", (0, [{"n": 7}, {"n": 7.0}, {"n": [1, 2]}, {"n": [1, 2]}])) == [{"n": 7}, {"n": [1, 2]}]


def test_a_key_is_forgotten_after_a_time_from_its_first_record_on() -> None:
    options = {"key": "n", "within": "10s"}
    assert kept(options, (0, [{"n": 1}]), (9.9, [{"n": 1}]), (10, [{"n": 1}]), (19.9, [{"n": 1}])) == [{"n": 1}] * 2


def test_another_time_holds_for_keys_that_come_later() -> None:
    bench = Bench(dedupe({"key": "n", "within": "10s"}))
    with at(0):
        bench.take([{"n": 1}])
    longer = Bench(dedupe({"key": "n", "within": "1h"}))
    longer.restore(bench.snapshot())
    for seconds in (5, 11, 3610):
        with at(seconds):
            longer.wake()
            longer.take([{"n": 1}])
    assert len(longer.outcome.made) == 1


def test_nothing_is_left_of_a_key_that_is_forgotten() -> None:
    bench = Bench(dedupe({"key": "n", "within": "10s"}))
    with at(0):
        bench.take([{"n": number} for number in range(5)])
    assert len(bench.memories) == 5
    assert {memory.due() for memory in bench.memories.values()} == {(NOW + timedelta(seconds=10)).timestamp()}
    with at(10):
        bench.wake()
    assert bench.memories == {}
    assert len(bench.outcome.made) == 5, "waking makes nothing"


@pytest.mark.parametrize("seed", range(5))
def test_against_a_dictionary(seed: int) -> None:
    chance = random.Random(seed)
    seconds = 0.0
    batches = []
    for _ in range(50):
        seconds += chance.random() * 5
        batches.append((seconds, [{"n": chance.randrange(8)} for _ in range(chance.randrange(6))]))
    until: dict[int, float] = {}
    wanted = []
    for moment, bodies in batches:
        # A memory has its records of a batch at once.
        for body in bodies:
            if moment >= until.get(body["n"], 0.0):
                until[body["n"]] = moment + 10
                wanted.append(body)
    assert sorted(body["n"] for body in kept({"key": "n", "within": "10s"}, *batches)) == sorted(
        body["n"] for body in wanted
    )


@pytest.mark.parametrize("within", [0, "0s", "-1s"])
def test_a_time_is_needed(within: Any) -> None:
    with pytest.raises(ValidationError, match="within"):
        dedupe({"key": "n", "within": within})


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


def test_a_record_without_a_key_is_a_dead_letter_and_its_neighbours_go_on(lab: Lab) -> None:
    lab.feed([*numbered([1]), b'{"id": null}', b'{"no": "id"}', b'{"id": 2}'])
    flow = lab.flow(lab.source(external_id=None), [{"dedupe": "id"}])
    with flow.running():
        lab.wait_for(2)
        eventually(lambda: lab.left() == 0, "all are committed")
    assert sorted(lab.ids()) == [1, 2]
    assert [letter["step"] for letter in flow.dead_letters()] == ["dedupe-1", "dedupe-1"]
    assert "the key is null" in flow.dead_letters()[0]["error"]["message"]


def test_a_record_that_is_tried_again_is_no_duplicate_of_itself(lab: Lab) -> None:
    lab.feed([*numbered([1], fail="record"), *numbered([2])])
    retry = {"retry": {"attempts": 3, "backoff": "50ms", "max_backoff": "50ms"}}
    flow = lab.flow(lab.source(), [{"dedupe": "id"}], lab.sink(on_error=retry))
    with flow.running():
        lab.wait_for(1)
        eventually(lambda: bool(flow.dead_letters()), "it is given up")
        lab.feed(numbered([1]))
        eventually(lambda: lab.left() == 0, "all are committed")
    assert lab.ids() == [2]
    assert [letter["attempts"] for letter in flow.dead_letters()] == [3], "each try reached the sink"


def test_kill_9_delivers_again_only_what_was_in_flight(lab: Lab) -> None:
    lab.feed(numbered(range(2_000)))
    flow = lab.command(lab.source(batch_size=20), steps=[{"dedupe": "id"}], sink=lab.sink(sleep="5ms"))
    in_flight = 0
    for count in (200, 900):
        flow.start()
        lab.wait_for(count)
        flow.kill()
        in_flight += lab.left() - (2_000 - lab.distinct())
    with flow.running():
        lab.wait_for(2_000)
        lab.feed(numbered(range(500)))
        eventually(lambda: lab.left() == 0, "all are committed, and none of them goes on")
    lab.delivered_at_least_once(range(2_000))
    again = lab.counts().total() - 2_000
    print(f"{again} again, {in_flight} were delivered and not committed at the kills")
    assert again <= in_flight
