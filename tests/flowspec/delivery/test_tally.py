from __future__ import annotations

import random

import pytest

from flowspec.delivery.tally import Latencies, Tally


def test_no_quantile_before_the_first_record() -> None:
    assert Latencies().quantile(0.5) is None


@pytest.mark.parametrize("seconds", [1e-5, 0.00042, 0.001, 0.1, 1.0, 7.7, 3600.0])
def test_a_bucket_is_never_off_by_more_than_twelve_percent(seconds: float) -> None:
    latencies = Latencies()
    latencies.add(seconds)
    found = latencies.quantile(0.5)
    assert found is not None
    assert seconds * 0.999 <= found <= seconds * 1.123


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_the_smallest_bucket_takes_what_no_clock_can_tell_apart(seconds: float) -> None:
    latencies = Latencies()
    latencies.add(seconds)
    assert latencies.quantile(1.0) == 1e-5


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_of_many(share: float) -> None:
    generator = random.Random(7)
    values = sorted(generator.lognormvariate(-5, 1) for _ in range(10_000))
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    true = values[max(0, int(share * len(values)) - 1)]
    found = latencies.quantile(share)
    assert found is not None
    assert true * 0.999 <= found <= true * 1.13


def test_a_count_weighs_as_many_records() -> None:
    latencies = Latencies()
    latencies.add(0.001, 99)
    latencies.add(1.0)
    p99, p100 = latencies.quantile(0.99), latencies.quantile(1.0)
    assert p99 == pytest.approx(0.001, rel=0.13)
    assert p100 == pytest.approx(1.0, rel=0.13)


def test_latencies_of_two_workers_merge() -> None:
    one, other, both = Latencies(), Latencies(), Latencies()
    for number in range(1, 100):
        part = one if number % 3 else other
        part.add(number / 1000)
        both.add(number / 1000)
    one.merge(other)
    assert one == both


def test_tallies_of_two_workers_add_up() -> None:
    total = Tally(received=10, delivered=4, filtered=3, failed=2, in_flight=1)
    total.latencies.add(0.1, 7)
    total.commit_latencies.add(0.1, 2)
    other = Tally(received=100, delivered=40, filtered=30, failed=20, in_flight=10)
    other.latencies.add(0.2, 70)
    other.commit_latencies.add(0.3)
    total.merge(other)
    assert (total.received, total.delivered, total.filtered, total.failed, total.in_flight) == (110, 44, 33, 22, 11)
    assert sum(total.latencies.buckets.values()) == 77
    assert sum(total.commit_latencies.buckets.values()) == 3
    assert sum(other.latencies.buckets.values()) == 70, "the other is left as it was"
