from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowspec.loading import loads
from flowspec.records import Record
from flowspec.steps.count_by import CountBy
from tests.flowspec.steps.remembering import Remembering, records_of

SECOND = 1_000_000


def count_by(written: Any) -> CountBy:
    return CountBy.model_validate({"count_by": written})


def test_each_record_has_the_count_of_its_key() -> None:
    driven = Remembering(count_by("c"))
    bodies = [{"c": "a"}, {"c": "b"}, {"c": "a", "count": "old"}]
    records = records_of(*bodies)
    driven.give(*records)
    driven.restart()
    driven.give(*records_of({"c": "a"}))
    assert sorted((body["c"], body["count"]) for body in driven.bodies()) == [("a", 1), ("a", 2), ("a", 3), ("b", 1)]
    assert bodies[2] == {"c": "a", "count": "old"}


def test_the_count_is_put_where_it_is_said() -> None:
    driven = Remembering(count_by({"key": "c", "into": "seen.orders"}))
    driven.give(*records_of({"c": 1}, {"c": 1.0, "seen": {"x": 1}}))
    assert driven.bodies() == [{"c": 1, "seen": {"orders": 1}}, {"c": 1.0, "seen": {"x": 1, "orders": 2}}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("text", "field 'n' cannot be put into text 'text'"),
        ({"c": None, "n": {}}, "the key is null"),
        ({"c": 1, "n": 5}, "field 'x' cannot be put into number 5"),
        ({"n": {}}, "missing field 'c'"),
    ],
)
def test_a_record_that_cannot_be_counted_fails(body: Any, message: str) -> None:
    driven = Remembering(count_by({"key": "c", "into": "n.x"}))
    driven.give(*records_of({"c": 1}, body, {"c": 1}))
    assert driven.bodies() == [{"c": 1, "n": {"x": 1}}, {"c": 1, "n": {"x": 2}}]
    ((_, error),) = driven.failed
    assert message in error


def test_a_record_that_was_here_is_not_counted_again() -> None:
    driven = Remembering(count_by("c"))
    driven.give(*records_of({"c": "a"}, {"c": "a"}))
    assert driven.again("a", Record(b"", {"c": "a"})).body == {"c": "a", "count": 2}
    driven.give(*records_of({"c": "a"}))
    assert driven.bodies()[-1]["count"] == 3


def test_one_that_was_here_leaves_nothing_of_a_key_that_is_forgotten() -> None:
    driven = Remembering(count_by("c"))
    assert driven.again("a", Record(b"", {"c": "a"})).body == {"c": "a", "count": 0}
    assert driven.states == {}


def test_a_key_is_forgotten() -> None:
    driven = Remembering(count_by({"key": "c", "forget": "10s"}))
    driven.give(*records_of({"c": "a"}, {"c": "a"}))
    driven.until(9 * SECOND)
    driven.give(*records_of({"c": "a"}))
    driven.until(18 * SECOND)
    assert list(driven.states) == ["a"]
    driven.until(19 * SECOND)
    assert driven.states == {}
    driven.give(*records_of({"c": "a"}))
    assert [body["count"] for body in driven.bodies()] == [1, 2, 3, 1]


def test_without_that_it_never_is() -> None:
    driven = Remembering(count_by("c"))
    driven.give(*records_of({"c": "a"}))
    driven.until(10**15)
    assert len(driven.states["a"]) < 50


def test_it_is_written_as_it_was() -> None:
    steps = [{"count_by": "c"}, {"count_by": {"key": "c", "into": "n"}}, {"count_by": {"key": "a.b", "forget": 60.0}}]
    spec = {"name": "x", "trigger": {"connector": "schedule"}, "steps": steps, "sink": {"connector": "stdout"}}
    assert loads(json.dumps(spec)).to_spec()["steps"] == steps


def test_mistakes_are_named() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        count_by({"key": "c", "forget": 0})


@given(
    st.lists(st.tuples(st.integers(0, 5), st.lists(st.sampled_from("abc"), max_size=6))),
    st.one_of(st.none(), st.integers(1, 8)),
    st.sets(st.integers(0, 30)),
)
def test_counts_are_those_of_a_plain_loop(
    batches: list[tuple[int, list[str]]], forget: int | None, restarts: set[int]
) -> None:
    driven = Remembering(count_by({"key": "c", "forget": forget}))
    came: defaultdict[str, list[int]] = defaultdict(list)
    expected: defaultdict[str, list[int]] = defaultdict(list)
    now = 0
    for place, (wait, keys) in enumerate(batches):
        now += wait
        driven.until(now * SECOND)
        driven.give(*(Record(b"", {"c": key}) for key in keys))
        for key in keys:
            if forget is not None and came[key] and came[key][-1] + forget <= now:
                came[key] = []
            came[key].append(now)
            expected[key].append(len(came[key]))
        if place in restarts:
            driven.restart()
    for key, counts in expected.items():
        assert [body["count"] for body in driven.bodies() if body["c"] == key] == counts
