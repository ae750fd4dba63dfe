from __future__ import annotations

import logging
import time

import pytest

from sources.amazon_sqs.leases import MAX_HELD_SECONDS, Lease, Leases

TIMEOUT = 30


def lease(message_id: str = "m", receipt: str = "r", age: float = 0.0, left: float = TIMEOUT) -> Lease:
    now = time.monotonic()
    return Lease(message_id, receipt, None, now - age, now + left)


def test_a_lease_is_due_at_half_time() -> None:
    leases = Leases()
    early, late = lease("early", left=TIMEOUT / 2 + 5), lease("late", left=TIMEOUT / 2 - 5)
    leases.take(early)
    leases.take(late)

    assert leases.due(TIMEOUT) == [(late, TIMEOUT)]


def test_a_message_that_comes_again_stays_one_under_its_new_receipt() -> None:
    leases = Leases()
    first = lease(receipt="old", left=-1)
    assert leases.take(first)
    assert first.lost

    again = lease(receipt="new")
    assert not leases.take(again)

    assert len(leases) == 1
    assert (first.receipt, first.expires_at, first.lost) == ("new", again.expires_at, False)


def test_a_message_that_was_dropped_is_new_when_it_comes_again() -> None:
    leases = Leases()
    leases.take(held := lease())
    leases.drop([held])

    assert leases.take(lease())


def test_the_last_extension_ends_before_the_twelve_hours_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    leases = Leases()
    leases.take(old := lease(age=MAX_HELD_SECONDS - 20, left=1))

    with caplog.at_level(logging.WARNING):
        ((due, seconds),) = leases.due(TIMEOUT)
        assert leases.due(TIMEOUT) == []

    assert due is old
    assert 0 < seconds < 20
    assert [record.message for record in caplog.records] == [
        "message m was in the flow for twelve hours, SQS hands it out again soon"
    ]


def test_a_message_past_the_cap_is_not_extended() -> None:
    leases = Leases()
    leases.take(lease(age=MAX_HELD_SECONDS, left=1))

    assert leases.due(TIMEOUT) == []
