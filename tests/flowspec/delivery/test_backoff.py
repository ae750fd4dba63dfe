from __future__ import annotations

import pytest

from flowspec.delivery.backoff import Backoff
from flowspec.errors import TransientError


def assert_delays(backoff: Backoff, expected: list[float]) -> None:
    for most in expected:
        delay = backoff.next()
        assert most / 2 <= delay <= most


@pytest.mark.parametrize("repetition", range(20))
def test_doubles_up_to_the_most_with_jitter_of_half(repetition: int) -> None:
    assert_delays(Backoff(first=1.0, most=5.0), [1.0, 2.0, 4.0, 5.0, 5.0, 5.0])


def test_reset_begins_at_first_again() -> None:
    backoff = Backoff(first=1.0, most=30.0)
    for _ in range(4):
        backoff.next()

    backoff.reset()

    assert_delays(backoff, [1.0, 2.0])


def test_two_that_failed_together_do_not_come_back_together() -> None:
    one, other = Backoff(), Backoff()
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]


def test_a_system_is_left_alone_for_as_long_as_it_asks() -> None:
    backoff = Backoff(first=1.0, most=2.0)
    assert backoff.after(TransientError("busy", retry_after=60.0)) == 60.0
    assert backoff.after(TransientError("busy")) <= 2.0
    assert backoff.after(ValueError()) <= 2.0
