"""Joins against the slow, obvious answer, whatever happens to their memories meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowspec.deadletters.letter import Letter
from flowspec.records import Record, Trace
from flowspec.steps.join import Join
from tests.flowspec.steps.remembering import Remembering

SECOND = 1_000_000
ALONE = "there is no other record with the same k"


def join(**options: Any) -> Join:
    other = {"connector": "schedule", "interval": "1h"}
    return Join.model_validate({"join": {"with": other, "key": "k", "with_key": "id", "into": "other", **options}})


class Joining(Remembering):
    """A join, with records of both sides."""

    step: Join

    def arrive(self, *sides: tuple[bool, Record]) -> list[Record]:
        """Hand over records of one side or the other (those that say True) as one batch."""
        keyed: dict[str, list[Any]] = {}
        for is_other, record in sides:
            keying = self.step.other_keying() if is_other else self.step.keying()
            ((key, item),) = keying([record])
            keyed.setdefault(key, []).append(item)
        with self._at(self.now):
            return [record for key, items in keyed.items() for record in self._took(key, items)]

    def own(self, *bodies: Any) -> list[Record]:
        return self.arrive(*((False, Record(b"", body)) for body in bodies))

    def others(self, *bodies: Any) -> list[Record]:
        return self.arrive(*((True, Record(b"", body)) for body in bodies))

    def crash(self) -> None:
        """Be ended and started again at once, with everything of now in the store."""
        with self._at(self.now):
            for key in list(self._memories):
                self._went(key, [])
        self.restart()


@dataclass(frozen=True)
class Event:
    """A record of one side, and how many seconds after the one before it comes."""

    wait: int
    is_other: bool
    key: str
    number: int = 0


@dataclass
class Answer:
    """What should come of events."""

    joined: list[tuple[int, int, int | None]]
    """When, which of the flow, and with which."""
    failed: list[int]
    dropped: list[int]


def timed(events: list[Event]) -> list[tuple[int, Event]]:
    now, all_ = 0, []
    for event in events:
        now += event.wait
        all_.append((now, event))
    return all_


def alone(answer: Answer, at: int, number: int, missing: str) -> None:
    if missing == "null":
        answer.joined.append((at, number, None))
    else:
        (answer.failed if missing == "fail" else answer.dropped).append(number)


def slow_latest(events: list[tuple[int, Event]], wait: int, missing: str, end: int) -> Answer:
    """For each of the flow: the last other one before it, or else the first within the time behind it."""
    answer = Answer([], [], [])
    for place, (at, event) in enumerate(events):
        if event.is_other:
            continue
        same = [(when, other.number, there) for there, (when, other) in enumerate(events) if other.is_other]
        same = [each for each in same if events[each[2]][1].key == event.key]
        before = [number for _, number, there in same if there < place]
        behind = [(when, number) for when, number, there in same if there > place and when < at + wait]
        if before:
            answer.joined.append((at, event.number, before[-1]))
        elif behind:
            answer.joined.append((behind[0][0], event.number, behind[0][1]))
        else:
            alone(answer, min(at + wait, end), event.number, missing)
    return answer


def slow_pairs(events: list[tuple[int, Event]], within: int, missing: str, end: int) -> Answer:
    """Each of the flow with each other one that is less than the time away."""
    answer = Answer([], [], [])
    for at, event in events:
        if event.is_other:
            continue
        near = [
            (max(at, when), other.number)
            for when, other in events
            if other.is_other and other.key == event.key and abs(when - at) < within
        ]
        answer.joined += [(when, event.number, number) for when, number in near]
        if not near:
            alone(answer, min(at + within, end), event.number, missing)
    return answer


def seen(driven: Joining) -> Answer:
    joined = [
        (at // SECOND, record.body["n"], record.body["other"] and record.body["other"]["n"])
        for at, record in driven.left
    ]
    failed = [record.body["n"] for record, error in driven.failed]
    assert {error for _, error in driven.failed} <= {ALONE}
    return Answer(joined, failed, [record.body["n"] for record in driven.dropped])


def same(one: Answer, other: Answer) -> None:
    assert Counter(one.joined) == Counter(other.joined)
    assert sorted(one.failed) == sorted(other.failed)
    assert sorted(one.dropped) == sorted(other.dropped)


events_ = st.lists(
    st.builds(Event, st.sampled_from([0, 0, 1, 1, 2, 5, 20]), st.booleans(), st.sampled_from("ab")), max_size=30
).map(lambda events: [Event(each.wait, each.is_other, each.key, number) for number, each in enumerate(events)])


def driven_through(step: Join, events: list[tuple[int, Event]], crashes: set[int], rest: int) -> Joining:
    driven = Joining(step)
    place = 0
    while place < len(events):
        at = events[place][0]
        driven.until(at * SECOND)
        batch = [event for when, event in events if when == at]
        driven.arrive(
            *((each.is_other, Record(b"", {"n": each.number, "k": each.key, "id": each.key})) for each in batch)
        )
        place += len(batch)
        if place in crashes:
            driven.crash()
    driven.until(((events[-1][0] if events else 0) + rest) * SECOND)
    driven.end()
    return driven


@given(
    events_,
    st.sampled_from([0, 1, 3, 10]),
    st.sampled_from(["fail", "null", "drop"]),
    st.sets(st.integers(0, 30)),
    st.sampled_from([0, 2, 30]),
)
@settings(max_examples=200)
def test_the_last_one(events: list[Event], wait: int, missing: str, crashes: set[int], rest: int) -> None:
    when = timed(events)
    driven = driven_through(join(wait=wait, missing=missing), when, crashes, rest)
    same(seen(driven), slow_latest(when, wait, missing, (when[-1][0] if when else 0) + rest))
    others = [event for event in events if event.is_other]
    assert [record.body["n"] for record in driven.absorbed] == [each.number for each in sorted_batches(others, when)]
    assert set(driven.states) == {event.key for event in others}, "of each key only the last other one is left"


def sorted_batches(others: list[Event], when: list[tuple[int, Event]]) -> list[Event]:
    """As they come to the memories: key by key in each batch, the key first that is first in it."""
    order: dict[tuple[int, str], int] = {}
    for place, (at, event) in enumerate(when):
        order.setdefault((at, event.key), place)
    at_of = {event.number: at for at, event in when}
    return sorted(others, key=lambda event: (order[at_of[event.number], event.key], event.number))


@given(
    events_,
    st.sampled_from([1, 3, 10]),
    st.sampled_from(["fail", "null", "drop"]),
    st.sets(st.integers(0, 30)),
    st.sampled_from([0, 2, 30]),
)
@settings(max_examples=200)
def test_each_with_each(events: list[Event], within: int, missing: str, crashes: set[int], rest: int) -> None:
    when = timed(events)
    driven = driven_through(join(within=within, missing=missing), when, crashes, rest)
    same(seen(driven), slow_pairs(when, within, missing, (when[-1][0] if when else 0) + rest))
    assert len(driven.absorbed) == sum(event.is_other for event in events)
    assert driven.states == {}, "nothing is kept of those whose time is over"


@pytest.mark.parametrize("options", [{"wait": 10}, {"within": 10}], ids=["latest", "within"])
def test_time_does_not_go_by_while_the_flow_is_stopped(options: dict[str, Any]) -> None:
    driven = Joining(join(**options))
    driven.own({"k": 1})
    driven.until(4 * SECOND)
    driven.crash()
    driven.now = 3600 * SECOND
    driven.restart()
    driven.until(3605 * SECOND)
    assert driven.failed == [], "the other one may have come meanwhile"
    driven.others({"id": 1, "name": "Ann"})
    assert driven.bodies() == [{"k": 1, "other": {"id": 1, "name": "Ann"}}]
    driven.own({"k": 2})
    driven.until(3616 * SECOND)
    assert [error for _, error in driven.failed] == [ALONE]


@pytest.mark.parametrize("option", ["wait", "within"])
def test_a_time_that_is_changed_loses_nobody(option: str) -> None:
    driven = Joining(join(**{option: 60}))
    driven.own({"k": 1, "n": "first"})
    driven.crash()
    driven.restart(join(**{option: 1}))
    driven.own({"k": 1, "n": "second"})
    driven.until(2 * SECOND)
    assert [record.body["n"] for record, _ in driven.failed] == ["second"]
    driven.until(70 * SECOND)
    assert [record.body["n"] for record, _ in driven.failed] == ["second", "first"]


@pytest.mark.parametrize("options", [{"wait": 10}, {"within": 10}], ids=["latest", "within"])
def test_what_waits_is_no_letter_any_more(options: dict[str, Any]) -> None:
    driven = Joining(join(**options))
    record = Record(b"raw", {"k": 1}, {"id": 5}, "key", {"h": 1}, "order-1")
    record.trace = Trace("body", letter=Letter(1, record, "filter-1", "", {}, 2, 0.0, 0.0, None, ()))
    driven.arrive((False, record))
    (joined,) = driven.others({"id": 1})
    assert joined.trace is not None
    assert joined.trace.letter is None, "the store has forgotten it"
    assert (joined.raw, joined.meta, joined.key, joined.headers, joined.external_id) == (
        b"raw",
        {"id": 5},
        "key",
        {"h": 1},
        "order-1",
    )


@pytest.mark.parametrize("options", [{"wait": 10}, {"within": 10}], ids=["latest", "within"])
def test_what_cannot_be_stored_fails_and_the_rest_goes_on(options: dict[str, Any]) -> None:
    driven = Joining(join(**options))
    driven.own({"k": 1, "lock": threading.Lock()}, {"k": 1})
    assert ["there is something in it that cannot be stored" in error for _, error in driven.failed] == [True]
    driven.others({"id": 1})
    assert driven.bodies() == [{"k": 1, "other": {"id": 1}}]


def test_a_record_that_failed_later_is_joined_with_what_is_known_now() -> None:
    driven = Joining(join())
    driven.others({"id": 1, "name": "Ann"})
    driven.others({"id": 1, "name": "Anna"})
    gone = driven.again("1", Record(b"", {"k": 1}))
    assert gone.body == {"k": 1, "other": {"id": 1, "name": "Anna"}}


@pytest.mark.parametrize("missing", ["fail", "null"])
def test_a_record_that_met_several_is_several_that_begin_here(missing: str) -> None:
    driven = Joining(join(within=5, missing=missing))
    record = Record(b"raw", {"k": 1}, trace=Trace({"k": 1}, (2,), received_at=5.0, batch=3))
    driven.arrive((False, record))
    driven.others({"id": 1, "n": 1}, {"id": 1, "n": 2})
    driven.own({"k": 2})
    driven.until(9 * SECOND)

    bodies = [{"k": 1, "other": {"id": 1, "n": number}} for number in (1, 2)]
    nobody = [{"k": 2, "other": None}] if missing == "null" else []
    assert driven.bodies() == bodies + nobody
    traces = [record.trace for _, record in driven.left]
    assert traces[:2] == [Trace(body, after="step-1", received_at=5.0, batch=3) for body in bodies]
    assert all(trace is not None and trace.after == "step-1" for trace in traces)
    assert record.trace == Trace({"k": 1}, (2,), received_at=5.0, batch=3)


def test_into_replaces_a_field_and_may_be_nested() -> None:
    driven = Joining(join(into="order.customer"))
    driven.others({"id": 1})
    driven.own({"k": 1, "order": {"customer": 1, "total": 5}})
    assert driven.bodies() == [{"k": 1, "order": {"customer": {"id": 1}, "total": 5}}]
