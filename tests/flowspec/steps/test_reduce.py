from __future__ import annotations

import json
import threading
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowspec.loading import SpecError, loads
from flowspec.records import Record
from flowspec.steps.reduce import Reduce
from tests.flowspec.steps.remembering import Remembering, records_of

SECOND = 1_000_000


def reduce(**options: Any) -> Reduce:
    return Reduce.model_validate({"reduce": {"into": "total", **options}})


def reduced(step: Reduce, *bodies: Any) -> Remembering:
    driven = Remembering(step)
    for number, record in enumerate(records_of(*bodies)):
        driven.give(record)
        if number % 2:
            driven.restart()
    return driven


def totals(driven: Remembering) -> list[Any]:
    return [body["total"] for body in driven.bodies()]


def test_each_record_has_the_value_that_it_led_to() -> None:
    step = reduce(key="c", **{"with": "state + record.amount"})
    driven = reduced(step, {"c": "a", "amount": 2}, {"c": "b", "amount": 10}, {"c": "a", "amount": 5})
    assert driven.bodies() == [
        {"c": "a", "amount": 2, "total": 2},
        {"c": "b", "amount": 10, "total": 10},
        {"c": "a", "amount": 5, "total": 7},
    ]


@pytest.mark.parametrize(
    ("start", "expression", "values", "expected"),
    [
        (None, "record.v if state is None else min(state, record.v)", [3, 5, 1], [3, 3, 1]),
        ("", "state + record.v", ["a", "b"], ["a", "ab"]),
        ([], "state + [record.v]", [1, 2], [[1], [1, 2]]),
        ({"n": 0}, "{'n': state.n + 1, 'last': record.v}", [7, 8], [{"n": 1, "last": 7}, {"n": 2, "last": 8}]),
        (0, "external_id", [1, 2], [None, None]),
        (0, "meta.n", [1, 2], [0, 1]),
    ],
)
def test_a_value_may_be_anything(start: Any, expression: str, values: list[Any], expected: list[Any]) -> None:
    driven = reduced(reduce(start=start, **{"with": expression}), *({"v": value} for value in values))
    assert (totals(driven), driven.failed) == (expected, [])


def test_a_record_that_the_expression_fails_on_leaves_the_value_as_it_was() -> None:
    step = reduce(**{"with": "state + record.amount"})
    driven = reduced(step, {"amount": 1}, {}, {"amount": "x"}, {"amount": 2}, "text")
    assert totals(driven) == [1, 3]
    errors = [error for _, error in driven.failed]
    assert "missing field 'record.amount'" in errors[0]
    assert errors[1].startswith("state + record.amount: ")
    assert errors[2] == "field 'total' cannot be put into text 'text'"


def test_a_failure_of_the_first_record_leaves_nothing() -> None:
    driven = reduced(reduce(key="1", **{"with": "state + record.amount"}), {})
    assert len(driven.failed) == 1
    assert driven.states == {}


def test_a_value_must_not_grow_for_ever() -> None:
    driven = reduced(reduce(start="x", **{"with": "state + record.v"}), {"v": "y" * 900_000}, {"v": "y" * 200_000})
    assert [len(total) for total in totals(driven)] == [900_001]
    assert "the value would have 1,100," in driven.failed[0][1]
    driven.give(*records_of({"v": "z"}))
    assert len(totals(driven)[-1]) == 900_002


def test_a_value_that_cannot_be_stored_is_an_error_of_the_record() -> None:
    driven = Remembering(reduce(**{"with": "record.v"}))
    driven.give(*records_of({"v": threading.Lock()}, {"v": 1}))
    assert "there is something in it that cannot be stored" in driven.failed[0][1]
    assert totals(driven) == [1]


def test_large_numbers_are_kept_as_they_are() -> None:
    assert totals(reduced(reduce(start=1, **{"with": "state * 2**60"}), {}, {})) == [2**60, 2**120]


def test_a_record_that_was_here_has_the_value_of_now() -> None:
    driven = reduced(reduce(key="c", **{"with": "state + record.n"}), {"c": 1, "n": 2}, {"c": 1, "n": 3})
    assert driven.again("1", Record(b"", {"c": 1, "n": 2})).body["total"] == 5


def test_a_value_is_forgotten() -> None:
    driven = Remembering(reduce(start=5, forget="1m", **{"with": "state + 1"}))
    driven.give(*records_of({}, {}))
    driven.until(60 * SECOND)
    assert driven.states == {}
    driven.give(*records_of({}))
    assert totals(driven) == [6, 7, 6]


def test_it_is_written_as_it_was() -> None:
    written = {"key": "c", "start": [], "with": "state + [record.n]", "into": "all"}
    spec = {"name": "x", "trigger": {"connector": "schedule"}, "sink": {"connector": "stdout"}}
    flow = loads(json.dumps({**spec, "steps": [{"reduce": written}]}))
    assert flow.to_spec()["steps"] == [{"reduce": written}]
    step = flow.steps[0]
    assert isinstance(step, Reduce)
    assert step.basis() == {"key": "c", "start": [], "with": "state + [record.n]"}


def test_mistakes_are_named() -> None:
    with pytest.raises(ValidationError, match="with\n  Field required"):
        reduce()
    spec = {"name": "x", "trigger": {"connector": "schedule"}, "sink": {"connector": "stdout"}}
    with pytest.raises(SpecError, match=r"steps\[0\].reduce.with"):
        loads(json.dumps({**spec, "steps": [{"reduce": {"with": "state +", "into": "x"}}]}))


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers())), max_size=6)),
    st.sets(st.integers(0, 30)),
)
def test_values_are_those_of_a_plain_loop(batches: list[list[tuple[str, int | None]]], restarts: set[int]) -> None:
    driven = Remembering(reduce(key="c", start=100, **{"with": "state * 2 - record.v"}))
    expected: defaultdict[str, list[int]] = defaultdict(list)
    failures = 0
    for place, batch in enumerate(batches):
        driven.give(*(Record(b"", {"c": key, "v": value}) for key, value in batch))
        for key, value in batch:
            if value is None:
                failures += 1
            else:
                expected[key].append((expected[key] or [100])[-1] * 2 - value)
        if place in restarts:
            driven.restart()
    for key, values in expected.items():
        assert [body["total"] for body in driven.bodies() if body["c"] == key] == values
    assert len(driven.failed) == failures
