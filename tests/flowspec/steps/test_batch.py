from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowspec.deadletters.letter import Letter
from flowspec.records import Record, Trace
from flowspec.steps.batch import Batch
from tests.flowspec.steps.remembering import Remembering, records_of

SECOND = 1_000_000


def batch(**options: Any) -> Batch:
    return Batch.model_validate({"batch": options})


def gathered(step: Batch, *bodies: Any) -> Remembering:
    driven = Remembering(step)
    driven.give(*records_of(*bodies))
    return driven


def test_a_list_is_one_record() -> None:
    driven = Remembering(batch(key="c", count=2))
    driven.give(*records_of({"c": "a", "n": 1}, {"c": "b", "n": 2}))
    driven.until(5 * SECOND)
    driven.give(*records_of({"c": "a", "n": 3}))

    ((_, record),) = driven.left
    assert record.body == [{"c": "a", "n": 1}, {"c": "a", "n": 3}]
    assert orjson.loads(record.raw) == record.body
    assert record.meta == {
        "step": "step-1",
        "count": 2,
        "first": "2024-05-01T00:00:00Z",
        "last": "2024-05-01T00:00:05Z",
    }
    assert (record.key, record.external_id) == ("a", None)
    assert record.trace is not None
    assert record.trace.after == "step-1"
    assert [each.body["n"] for each in driven.absorbed] == [1, 2, 3]
    assert list(driven.states) == ["b"]


@pytest.mark.parametrize(("ids", "expected"), [(["x", "x"], "x"), (["x", "y"], None), ([None, None], None)])
def test_a_list_has_the_external_id_that_all_have(ids: list[str | None], expected: str | None) -> None:
    driven = Remembering(batch(count=2))
    driven.give(*(Record(b"", number, external_id=each) for number, each in enumerate(ids)))
    assert [record.external_id for _, record in driven.left] == [expected]


def test_records_go_on_as_they_are() -> None:
    driven = Remembering(batch(count=3, gives="records"))
    records = [
        Record(b"raw", {"n": 1}, {"id": 7}, "k", {"h": "x"}, "order-1", Trace({"made": 1}, (2,), received_at=5.0)),
        Record("text", 2),
    ]
    driven.give(*records)
    driven.restart()
    assert driven.left == []
    assert driven.absorbed == []
    last = Record("last", 3)
    assert driven.give(last) == [*records, last]
    assert driven.states == {}


def test_a_letter_that_waits_is_none_any_more() -> None:
    record = Record(b"", 1)
    letter = Letter(1, record, "map-1", "", {}, 2, 0.0, 0.0, None, (1,))
    record.trace = Trace("body", (1,), letter=letter, batch=3)
    driven = Remembering(batch(count=2, gives="records"))
    driven.give(record)
    assert record.trace.letter is letter
    passing = Record(b"", 2, trace=Trace(letter=letter))
    waited, passed = driven.give(passing)
    # One that goes on at once is still what the store waits for; the store has forgotten the other.
    assert waited.trace == Trace("body", (1,), batch=3)
    assert passed.trace is not None
    assert passed.trace.letter is letter


def test_a_batch_has_at_most_so_many_bytes() -> None:
    step = batch(bytes=20)
    driven = gathered(step, "aaaa", "bbbb", "cccc", "d" * 30, "e", "f" * 12, "g")
    assert driven.bodies() == [["aaaa", "bbbb"], ["cccc"], ["d" * 30], ["e", "f" * 12]]
    assert [len(record.raw) for _, record in driven.left] == [15, 8, 34, 20]
    driven.end()
    assert driven.bodies()[-1] == ["g"]


def test_a_batch_is_over_when_its_first_record_has_waited() -> None:
    driven = Remembering(batch(time="5s"))
    driven.give(*records_of(1))
    driven.until(4 * SECOND)
    driven.give(*records_of(2))
    driven.restart()
    driven.until(20 * SECOND)
    assert [(at, record.body) for at, record in driven.left] == [(5 * SECOND, [1, 2])]
    assert driven.states == {}


def test_without_a_time_records_wait_until_the_end() -> None:
    driven = gathered(batch(count=3, gives="records"), 1, 2)
    driven.until(10**15)
    assert driven.left == []
    driven.end()
    assert driven.bodies() == [1, 2]


def test_a_batch_that_was_begun_goes_on_by_the_bounds_of_now() -> None:
    driven = gathered(batch(count=10), 1, 2, 3)
    driven.restart(batch(count=2))
    driven.give(*records_of(4, 5))
    assert driven.bodies() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("gives", ["list", "records"])
def test_what_cannot_be_stored_fails_and_the_rest_goes_on(gives: str) -> None:
    driven = Remembering(batch(count=3, gives=gives, bytes="1MB"))
    bad = Record(b"", {"lock": threading.Lock()})
    driven.give(Record(b"", 1), bad, Record(b"", 2))
    # It went on before anything had to be stored.
    assert len(driven.left) == (1 if gives == "list" else 3)
    driven.give(Record(b"", 3), bad)
    driven.give(Record(b"", 4), Record(b"", 5))
    assert [record for record, _ in driven.failed] == [bad]
    assert "there is something in it that cannot be stored" in driven.failed[0][1]
    assert driven.bodies()[-1] == ([3, 4, 5] if gives == "list" else 5)
    assert len(driven.absorbed) == (6 if gives == "list" else 0)


def test_what_json_does_not_have_is_no_part_of_a_list() -> None:
    driven = gathered(batch(count=2), 2**70, 1, "\ud800", 2)
    assert len(driven.failed) == 2
    assert all("the body cannot be a part of a list as JSON" in error for _, error in driven.failed)
    assert driven.bodies() == [[1, 2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say until when records are gathered"),
        ({"count": 0}, "greater than or equal to 1"),
        ({"count": 2, "gives": "lists"}, "'list' or 'records'"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        batch(**options)


def slow(count: int | None, size: int | None, time: int | None, events: list[tuple[int, list[int]]]) -> list[list[int]]:
    """Batches of numbers: all that goes on of one key, told in the plainest way."""
    batches: list[list[int]] = []
    open_: list[int] = []
    first = 0

    def close() -> None:
        nonlocal open_
        batches.append(open_)
        open_ = []

    for now, numbers in events:
        if open_ and time is not None and first + time <= now:
            close()
        for number in numbers:
            if open_ and size is not None and len(orjson.dumps([*open_, number])) > size:
                close()
            first = now if not open_ else first
            open_.append(number)
            full = count is not None and len(open_) >= count
            if full or (size is not None and len(orjson.dumps(open_)) >= size):
                close()
    if open_:
        close()
    return batches


@given(
    st.tuples(st.one_of(st.none(), st.integers(1, 6)), st.one_of(st.none(), st.integers(1, 40)), st.integers(1, 10)),
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ab"), st.lists(st.integers(0, 10**6), max_size=8))),
    st.sets(st.integers(0, 30)),
    st.sampled_from(["list", "records"]),
)
def test_batches_are_those_of_a_plain_loop(
    bounds: tuple[int | None, int | None, int],
    events: list[tuple[int, str, list[int]]],
    restarts: set[int],
    gives: str,
) -> None:
    count, size, time = bounds
    driven = Remembering(batch(key="key", gives=gives, count=count, bytes=size, time=time))
    given_: dict[str, list[tuple[int, list[int]]]] = {"a": [], "b": []}
    now = 0
    for place, (wait, key, numbers) in enumerate(events):
        now += wait * SECOND
        driven.until(now)
        driven.give(*(Record(b"", number, key=key) for number in numbers))
        given_[key].append((now, numbers))
        if place in restarts:
            driven.restart()
    driven.end()

    for key, each in given_.items():
        expected = slow(count, size, time * SECOND, each)
        went = [record.body for _, record in driven.left if record.key == key]
        assert went == (expected if gives == "list" else [number for numbers in expected for number in numbers])
    assert driven.failed == []
    assert driven.states == {}
