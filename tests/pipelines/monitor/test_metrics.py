"""A run as Prometheus reads it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from flowspec.delivery.tally import Counts, Tally
from pipelines.monitor.metrics import as_metrics
from pipelines.restarts import Failure
from pipelines.snapshot import EndState, Snapshot
from tests.pipelines.monitor.scrapes import Scrape


def scrape(snapshot: Snapshot) -> Scrape:
    return Scrape(as_metrics(snapshot).decode())


def tally() -> Tally:
    tally = Tally(20, 12, 5, 3, in_flight=4)
    tally.dead_letters, tally.retried, tally.last_record_at = 2, 7, 1_700_000_000.5
    tally.places["map-1"] = Counts(passed=12, filtered=5, failed=2, retried=6)
    tally.places["billing"] = Counts(passed=12, failed=1, retried=1)
    return tally


SNAPSHOT = Snapshot(
    "orders",
    3,
    "stopping",
    tally(),
    {
        "trigger": EndState("up", retries=4, lag=99),
        "billing": EndState("down", "away", retries=8),
        "audit": EndState(),
    },
)


def test_each_count_has_its_metric() -> None:
    seen = scrape(SNAPSHOT)
    assert {
        name: seen.value(f"pipelines_{name}", flow="orders")
        for name in (
            *("records_received_total", "records_delivered_total", "records_filtered_total", "records_failed_total"),
            *("dead_letters_total", "records_retried_total", "records_in_flight", "workers"),
            *("last_record_timestamp_seconds", "trigger_up", "trigger_retries_total", "trigger_lag_records"),
        )
    } == {
        "records_received_total": 20,
        "records_delivered_total": 12,
        "records_filtered_total": 5,
        "records_failed_total": 3,
        "dead_letters_total": 2,
        "records_retried_total": 7,
        "records_in_flight": 4,
        "workers": 3,
        "last_record_timestamp_seconds": 1_700_000_000.5,
        "trigger_up": 1,
        "trigger_retries_total": 4,
        "trigger_lag_records": 99,
    }


def test_steps_and_sinks_are_told_apart() -> None:
    seen = scrape(SNAPSHOT)
    steps = {labels["outcome"]: value for labels, value in seen.series("pipelines_step_records_total")}
    assert steps == {"passed": 12, "filtered": 5, "failed": 2, "retried": 6, "absorbed": 0}
    assert seen.value("pipelines_step_records_total", flow="orders", step="map-1", outcome="passed") == 12
    sinks = {labels["outcome"]: value for labels, value in seen.series("pipelines_sink_records_total")}
    assert sinks == {"delivered": 12, "failed": 1, "retried": 1}
    assert seen.value("pipelines_sink_records_total", flow="orders", sink="billing", outcome="delivered") == 12


def test_a_sink_that_was_not_tried_is_neither_up_nor_down() -> None:
    seen = scrape(SNAPSHOT)
    assert seen.series("pipelines_sink_up") == [({"flow": "orders", "sink": "billing"}, 0)]
    assert seen.value("pipelines_sink_retries_total", flow="orders", sink="billing") == 8
    assert seen.value("pipelines_sink_retries_total", flow="orders", sink="audit") == 0


def test_what_is_not_known_has_no_value() -> None:
    seen = scrape(Snapshot("orders"))
    assert seen.value("pipelines_trigger_lag_records", flow="orders") is None
    assert seen.value("pipelines_last_record_timestamp_seconds", flow="orders") is None
    assert seen.value("pipelines_trigger_up", flow="orders") == 0
    assert seen.value("pipelines_record_latency_seconds_count", flow="orders") == 0
    assert seen.value("pipelines_commit_latency_seconds_count", flow="orders") == 0


def test_the_state_is_one_of_six() -> None:
    states = {labels["state"]: value for labels, value in scrape(SNAPSHOT).series("pipelines_run_state")}
    others = dict.fromkeys(("waiting", "running", "restarting", "stopped", "failed"), 0)
    assert states == {"stopping": 1, **others}


def test_restarts_and_the_last_failure_are_told() -> None:
    seen = scrape(replace(SNAPSHOT, restarts=3, last_failure=Failure("it broke", 1_700_000_100.5)))
    assert seen.value("pipelines_restarts_total", flow="orders") == 3
    assert seen.value("pipelines_last_failure_timestamp_seconds", flow="orders") == 1_700_000_100.5
    assert scrape(SNAPSHOT).value("pipelines_restarts_total", flow="orders") == 0
    assert scrape(SNAPSHOT).value("pipelines_last_failure_timestamp_seconds", flow="orders") is None


def test_the_build_is_named() -> None:
    ((labels, value),) = scrape(SNAPSHOT).series("pipelines_build_info")
    assert value == 1
    assert labels["version"]
    assert re.fullmatch(r"3\.\d+\.\d+.*", labels["python"])


@pytest.mark.parametrize("bound", [0.001, 0.0025, 0.05, 1.0, 5.0, 100.0])
def test_latencies_are_counted_up_to_readable_bounds(bound: float) -> None:
    tally = Tally()
    tally.latencies.add(bound * 0.8, 3)
    tally.latencies.add(bound * 1.2, 4)
    tally.latencies.add(99_999.0, 5)
    seen = scrape(Snapshot("orders", tally=tally))

    buckets = {labels["le"]: value for labels, value in seen.series("pipelines_record_latency_seconds_bucket")}
    assert buckets[str(bound)] == 3
    assert list(buckets) == sorted(buckets, key=float)
    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets["+Inf"] == seen.value("pipelines_record_latency_seconds_count", flow="orders") == 12


def test_commits_have_a_latency_of_their_own() -> None:
    tally = Tally()
    tally.latencies.add(0.9, 500)
    tally.commit_latencies.add(0.2)
    seen = scrape(Snapshot("orders", tally=tally))
    buckets = {labels["le"]: value for labels, value in seen.series("pipelines_commit_latency_seconds_bucket")}
    assert (buckets["0.1"], buckets["0.25"], buckets["+Inf"]) == (0, 1, 1)
    assert seen.value("pipelines_commit_latency_seconds_sum", flow="orders") == pytest.approx(0.2, rel=0.065)


@pytest.mark.parametrize("seconds", [0.0001, 0.003, 0.07, 0.9, 12.0, 4_000.0])
def test_the_sum_of_latencies_is_as_exact_as_it_says(seconds: float) -> None:
    tally = Tally()
    tally.latencies.add(seconds, 10)
    seen = scrape(Snapshot("orders", tally=tally))
    total = seen.value("pipelines_record_latency_seconds_sum", flow="orders")
    assert total == pytest.approx(10 * seconds, rel=0.065)


def test_names_follow_the_rules() -> None:
    seen = scrape(SNAPSHOT)
    for name, family in seen.families.items():
        assert re.fullmatch(r"pipelines_[a-z_]+", name)
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
    assert seen.labels() <= {"flow", "step", "sink", "outcome", "state", "le", "version", "python"}
    assert "away" not in as_metrics(SNAPSHOT).decode(), "a reason is for people: it would make endless series"


def test_a_name_of_any_signs_is_read_back() -> None:
    name = 'a "b" \\ c'
    assert scrape(Snapshot(name)).value("pipelines_workers", flow=name) == 1
