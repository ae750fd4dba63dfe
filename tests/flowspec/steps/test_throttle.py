from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowspec.records import Record
from flowspec.steps.throttle import Throttle
from tests.flowspec.steps.remembering import Remembering, records_of

SECOND = 1_000_000


def throttle(**options: Any) -> Throttle:
    return Throttle.model_validate({"throttle": options})


def times(driven: Remembering) -> list[tuple[float, Any]]:
    return [(at / SECOND, record.body) for at, record in driven.left]


def test_records_go_on_evenly_and_in_order() -> None:
    driven = Remembering(throttle(rate=2))
    driven.give(*records_of(*range(4)))
    driven.until(SECOND)
    driven.restart()
    driven.give(*records_of(4))
    driven.until(60 * SECOND)
    assert times(driven) == [(0, 0), (0.5, 1), (1, 2), (1.5, 3), (2, 4)]
    assert driven.states == {}
    assert driven.absorbed == driven.dropped == []


def test_after_a_pause_some_may_go_on_at_once() -> None:
    driven = Remembering(throttle(rate=1, burst=3))
    driven.give(*records_of(*range(5)))
    driven.until(60 * SECOND)
    driven.give(*records_of(*range(5, 10)))
    driven.until(120 * SECOND)
    assert times(driven) == [(0, 0), (0, 1), (0, 2), (1, 3), (2, 4), (60, 5), (60, 6), (60, 7), (61, 8), (62, 9)]


def test_each_key_has_the_rate_for_itself() -> None:
    driven = Remembering(throttle(key="c", rate=1, per="1m"))
    driven.give(*records_of({"c": "a"}, {"c": "b"}, {"c": "a"}))
    driven.until(100 * SECOND)
    assert [(at, body["c"]) for at, body in times(driven)] == [(0, "a"), (0, "b"), (60, "a")]


def test_records_are_unchanged() -> None:
    record = Record(b"raw", {"n": 1}, {"id": 7}, "k", {"h": "x"}, "order-1")
    driven = Remembering(throttle(rate=1))
    driven.give(Record(b""), record)
    driven.restart()
    driven.until(SECOND)
    assert driven.left[-1][1] == record


def test_at_the_end_all_go_on() -> None:
    driven = Remembering(throttle(rate=1, per="1d"))
    driven.give(*records_of(*range(4)))
    driven.end()
    assert times(driven) == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_not_all_can_wait() -> None:
    driven = Remembering(throttle(rate=1, most=2))
    driven.give(*records_of(*range(5)))
    driven.until(SECOND)
    driven.give(*records_of(5, 6))
    driven.until(60 * SECOND)
    assert times(driven) == [(0, 0), (1, 1), (2, 2), (3, 5)]
    assert [record.body for record, _ in driven.failed] == [3, 4, 6]
    assert driven.failed[0][1].startswith("2 records with its key wait already, which is the most; ")


def test_a_rate_can_be_changed_while_records_wait() -> None:
    driven = Remembering(throttle(rate=1, per="1h"))
    driven.give(*records_of(*range(4)))
    driven.until(SECOND)
    driven.restart(throttle(rate=7200, per="1h"))
    driven.until(2 * 3600 * SECOND)
    assert times(driven) == [(0, 0), (1.5, 1), (2, 2), (2.5, 3)]


def test_a_clock_that_is_set_back_costs_no_more_than_a_bucket() -> None:
    driven = Remembering(throttle(rate=1, burst=2))
    driven.until(3600 * SECOND)
    driven.give(*records_of(*range(4)))
    driven.now = 0
    driven.restart()
    driven.give(*records_of(4))
    driven.until(60 * SECOND)
    assert times(driven) == [(3600, 0), (3600, 1), (1, 2), (2, 3), (3, 4)]


def test_one_that_was_here_goes_on_at_once() -> None:
    driven = Remembering(throttle(rate=1))
    driven.give(*records_of(*range(3)))
    record = Record(b"", 0)
    assert driven.again("", record) is record


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Field required"),
        ({"rate": 0}, "greater than or equal to 1"),
        ({"rate": 1.5}, "valid integer"),
        ({"rate": 1, "per": 0}, "greater than or equal to 0.001"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        throttle(**options)


def slow(rate: int, per: int, burst: int, came: list[int]) -> list[int]:
    """When records go on, by a bucket of exact fractions that is looked at once for each record."""
    gone: list[int] = []
    tokens, seen = Fraction(burst), Fraction(0)
    for at in came:
        # None overtakes another.
        now = Fraction(max([at, *gone[-1:]]))
        tokens = min(Fraction(burst), tokens + (now - seen) * Fraction(rate, per))
        seen = now
        if tokens < 1:
            wait = (1 - tokens) * Fraction(per, rate)
            # It goes on at a whole microsecond, and the bucket fills meanwhile.
            leaves = Fraction(-(-(now + wait) // 1))
            tokens = min(Fraction(burst), tokens + (leaves - now) * Fraction(rate, per))
            seen = leaves
        tokens -= 1
        gone.append(int(seen))
    return gone


@given(
    st.integers(1, 1000),
    st.integers(1000, 10 * SECOND),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(0, 5)), max_size=12),
    st.sets(st.integers(0, 12)),
)
def test_records_go_on_when_a_plain_bucket_says(
    rate: int, per: int, burst: int, batches: list[tuple[int, int]], restarts: set[int]
) -> None:
    driven = Remembering(throttle(rate=rate, per=per / SECOND, burst=burst))
    came: list[int] = []
    now = 0
    for place, (wait, count) in enumerate(batches):
        now += wait
        driven.until(now)
        driven.give(*(Record(b"", len(came) + number) for number in range(count)))
        came += [now] * count
        if place in restarts:
            driven.restart()
    driven.until(now + 10**10)
    assert [record.body for _, record in driven.left] == list(range(len(came)))
    assert [at for at, _ in driven.left] == slow(rate, per, burst, came)
    assert driven.states == {}
