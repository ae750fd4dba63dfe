"""What a worker counts: records by their fate, and how long they took."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Latencies", "Tally"]

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
class Tally:
    """Counts of one worker, or of several added up. Written by the worker's own thread only."""

    received: int = 0
    """Records that the trigger handed to the flow."""
    delivered: int = 0
    """Records that a sink confirmed; with several sinks a record counts once for each."""
    filtered: int = 0
    """Records that a step dropped on purpose."""
    failed: int = 0
    """Records that failed: dead letters, and those that `on_error: skip` let go."""
    in_flight: int = 0
    """Records handed to the flow of which the trigger's system does not yet know that they are delivered."""
    latencies: Latencies = field(default_factory=Latencies)
    """Seconds from a record's arrival in the flow to its commit."""

    def merge(self, other: Tally) -> None:
        """Add what `other` counted."""
        self.received += other.received
        self.delivered += other.delivered
        self.filtered += other.filtered
        self.failed += other.failed
        self.in_flight += other.in_flight
        self.latencies.merge(other.latencies)
