"""What a worker counts: records by their fate, and how long they took."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

__all__ = ["Counts", "Latencies", "Tally"]

_BUCKETS_PER_DECADE = 20
_SMALLEST = 1e-5


@dataclass
class Latencies:
    """A histogram of seconds in buckets that grow by 12 %, so that it is small, mergeable and never off by more."""

    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float, count: int = 1) -> None:
        """Count `count` records that took `seconds`."""
        bucket = math.ceil(math.log10(max(seconds, _SMALLEST) / _SMALLEST) * _BUCKETS_PER_DECADE)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def merge(self, other: Latencies) -> None:
        """Count what `other` counted as well."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def quantile(self, share: float) -> float | None:
        """The seconds within which `share` (0 to 1) of the records were; None before the first record."""
        total = sum(self.buckets.values())
        if total == 0:
            return None
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= share * total:
                break
        return float(_SMALLEST * 10 ** (bucket / _BUCKETS_PER_DECADE))


@dataclass
class Counts:
    """What a step or sink did with the records that came to it."""

    passed: int = 0
    """Records that went on, or that the sink confirmed."""
    filtered: int = 0
    """Records that a step dropped on purpose."""
    failed: int = 0
    """Records that failed for good: dead letters, and those that `skip` let go."""
    retried: int = 0
    """Records that failed and are tried again."""
    absorbed: int = 0
    """Records that are part of what a step remembers; what comes of it has passed."""

    def merge(self, other: Counts) -> None:
        """Add what `other` counted."""
        self.passed += other.passed
        self.filtered += other.filtered
        self.failed += other.failed
        self.retried += other.retried
        self.absorbed += other.absorbed


@dataclass
class Tally:
    """Counts of one worker, or of several added up. Written by the worker's own thread only."""

    received: int = 0
    """Records that the trigger handed to the flow."""
    delivered: int = 0
    """Records that a sink confirmed; with several sinks a record counts once for each."""
    filtered: int = 0
    """Records that a step dropped on purpose."""
    failed: int = 0
    """Records that failed for good: dead letters, and those that `skip` let go."""
    dead_letters: int = 0
    """Those of them that were kept."""
    retried: int = 0
    """Records that failed and were set aside to be tried again; when they are, they are received again."""
    absorbed: int = 0
    """Records that are part of what a step remembers; what comes of it is delivered."""
    in_flight: int = 0
    """Records handed to the flow of which the trigger's system does not yet know that they are delivered."""
    last_record_at: float = 0.0
    """When the last record was received, in seconds since the epoch; 0 before the first."""
    latencies: Latencies = field(default_factory=Latencies)
    """Seconds from a record's arrival in the flow to its commit."""
    commit_latencies: Latencies = field(default_factory=Latencies)
    """Seconds from the end of an epoch to its commit, once for each commit."""
    places: defaultdict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    """The same by the ids of steps and sinks; `decode` and `external_id` are there as well."""

    def merge(self, other: Tally) -> None:
        """Add what `other` counted."""
        self.received += other.received
        self.delivered += other.delivered
        self.filtered += other.filtered
        self.failed += other.failed
        self.dead_letters += other.dead_letters
        self.retried += other.retried
        self.absorbed += other.absorbed
        self.in_flight += other.in_flight
        self.last_record_at = max(self.last_record_at, other.last_record_at)
        self.latencies.merge(other.latencies)
        self.commit_latencies.merge(other.commit_latencies)
        for name, counts in other.places.items():
            self.places[name].merge(counts)
