"""A run in the text format of Prometheus, made anew for each scrape."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, get_args

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from flowspec.delivery.tally import Latencies
from pipelines.snapshot import EndState, RunState

if TYPE_CHECKING:
    from pipelines.snapshot import Snapshot

__all__ = ["CONTENT_TYPE", "as_metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
)
"""Of the buckets of latencies, in seconds."""
_ROUNDING = 1.01
"""A worker's own buckets end within half a percent of each bound."""
_MIDDLE = 0.94
"""Of such a bucket, by its end: it is 12 % wide."""
_STEP_OUTCOMES = ("passed", "filtered", "failed", "retried", "absorbed")
_SINK_OUTCOMES = {"delivered": "passed", "failed": "failed", "retried": "retried"}


def as_metrics(snapshot: Snapshot) -> bytes:
    """The run as Prometheus scrapes it."""
    return generate_latest(_Run(snapshot))


@dataclass(frozen=True)
class _Run(Collector):
    snapshot: Snapshot

    def collect(self) -> Iterator[Metric]:
        yield from self._of_the_run()
        yield from self._of_the_records()
        yield from self._of_the_places()
        yield from self._of_the_ends()

    def _of_the_run(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "pipelines_build_info", "What runs the flow; always 1.", labels=["flow", "version", "python"]
        )
        build.add_metric([self.snapshot.flow, version("trigger-flows"), platform.python_version()], 1)
        yield build
        state = GaugeMetricFamily(
            "pipelines_run_state",
            "Whether the run is in the state; 1 for the one that it is in.",
            labels=["flow", "state"],
        )
        for each in get_args(RunState):
            state.add_metric([self.snapshot.flow, each], each == self.snapshot.state)
        yield state
        yield self._gauge("pipelines_workers", "Processes that share the work.", self.snapshot.workers)
        yield self._counter(
            "pipelines_restarts", "How often the workers were started again after a failure.", self.snapshot.restarts
        )
        if self.snapshot.last_failure is not None:
            yield self._gauge(
                "pipelines_last_failure_timestamp_seconds",
                "When a worker last failed, in seconds since the epoch.",
                self.snapshot.last_failure.at,
            )

    def _of_the_records(self) -> Iterator[Metric]:
        tally = self.snapshot.tally
        yield self._counter(
            "pipelines_records_received", "Records that the trigger handed to the flow.", tally.received
        )
        yield self._counter(
            "pipelines_records_delivered",
            "Records that a sink confirmed; with several sinks a record counts once for each.",
            tally.delivered,
        )
        yield self._counter("pipelines_records_filtered", "Records that a step dropped on purpose.", tally.filtered)
        yield self._counter(
            "pipelines_records_failed", "Records that failed for good: dead letters, and skipped ones.", tally.failed
        )
        yield self._counter("pipelines_dead_letters", "Records that failed and were kept.", tally.dead_letters)
        yield self._counter(
            "pipelines_records_retried", "Records that failed and were set aside to be tried again.", tally.retried
        )
        yield self._counter(
            "pipelines_records_absorbed",
            "Records that are part of what a step remembers; what comes of it is delivered.",
            tally.absorbed,
        )
        yield self._gauge(
            "pipelines_records_in_flight",
            "Records in the flow of which the trigger's system does not know yet that they are delivered.",
            tally.in_flight,
        )
        if tally.last_record_at:
            yield self._gauge(
                "pipelines_last_record_timestamp_seconds",
                "When the flow last received a record, in seconds since the epoch.",
                tally.last_record_at,
            )
        yield self._histogram(
            "pipelines_record_latency_seconds",
            "From a record's arrival in the flow to its commit; the sum is within 6 %.",
            tally.latencies,
        )
        yield self._histogram(
            "pipelines_commit_latency_seconds",
            "From the end of an epoch until its records are delivered on all workers and the trigger is told, once for "
            "each commit; the sum is within 6 %.",
            tally.commit_latencies,
        )

    def _histogram(self, name: str, help_text: str, latencies: Latencies) -> Metric:
        family = HistogramMetricFamily(name, help_text, labels=["flow"])
        counts = {_seconds(bucket): count for bucket, count in latencies.buckets.copy().items()}
        buckets = [
            (str(bound), sum(count for seconds, count in counts.items() if seconds <= bound * _ROUNDING))
            for bound in _BOUNDS
        ]
        buckets.append(("+Inf", sum(counts.values())))
        total = sum(seconds * _MIDDLE * count for seconds, count in counts.items())
        family.add_metric([self.snapshot.flow], buckets, total)
        return family

    def _of_the_places(self) -> Iterator[Metric]:
        flow, sinks = self.snapshot.flow, self._sinks()
        by_step = CounterMetricFamily(
            "pipelines_step_records",
            "Records that came to a step, by what it did with them.",
            labels=["flow", "step", "outcome"],
        )
        by_sink = CounterMetricFamily(
            "pipelines_sink_records",
            "Records that came to a sink, by what it did with them.",
            labels=["flow", "sink", "outcome"],
        )
        for name, counts in self.snapshot.tally.places.items():
            if name in sinks:
                for outcome, field in _SINK_OUTCOMES.items():
                    by_sink.add_metric([flow, name, outcome], getattr(counts, field))
            else:
                for outcome in _STEP_OUTCOMES:
                    by_step.add_metric([flow, name, outcome], getattr(counts, outcome))
        yield by_step
        yield by_sink

    def _of_the_ends(self) -> Iterator[Metric]:
        flow, trigger = self.snapshot.flow, self.snapshot.ends.get("trigger", EndState())
        yield self._gauge("pipelines_trigger_up", "Whether the trigger's system is reached.", trigger.state == "up")
        yield self._counter(
            "pipelines_trigger_retries", "Attempts at the trigger's system that failed.", trigger.retries
        )
        if trigger.lag is not None:
            yield self._gauge(
                "pipelines_trigger_lag_records",
                "Records that the trigger's system has and the flow has not taken yet.",
                trigger.lag,
            )
        up = GaugeMetricFamily(
            "pipelines_sink_up",
            "Whether a sink is reached; it has no value before it has something to write.",
            labels=["flow", "sink"],
        )
        retries = CounterMetricFamily(
            "pipelines_sink_retries", "Attempts to write to a sink that failed.", labels=["flow", "sink"]
        )
        for name, end in self._sinks().items():
            if end.state != "starting":
                up.add_metric([flow, name], end.state == "up")
            retries.add_metric([flow, name], end.retries)
        yield up
        yield retries

    def _sinks(self) -> dict[str, EndState]:
        return {name: end for name, end in self.snapshot.ends.items() if name != "trigger"}

    def _counter(self, name: str, help_text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, help_text, labels=["flow"])
        family.add_metric([self.snapshot.flow], value)
        return family

    def _gauge(self, name: str, help_text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, help_text, labels=["flow"])
        family.add_metric([self.snapshot.flow], value)
        return family


def _seconds(bucket: int) -> float:
    """The longest latency that is counted in a bucket."""
    return Latencies({bucket: 1}).quantile(1.0) or 0.0
