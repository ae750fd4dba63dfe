"""What a flow looks like at a moment: on one worker, or on all of them together."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from flowspec.delivery.tally import Counts, Latencies, Tally

if TYPE_CHECKING:
    from flowspec.delivery.health import Health, HealthState, LastPoll
    from flowspec.delivery.run import FlowRun
    from pipelines.restarts import Failure

__all__ = ["EndState", "RunState", "Snapshot"]

RunState: TypeAlias = Literal["waiting", "running", "restarting", "stopping", "stopped", "failed"]
"""`waiting` is for the other workers of a cluster, `restarting` for the end of a delay after a failure."""

_TELLING_FIRST = ("down", "up", "starting")


@dataclass(frozen=True)
class EndState:
    """How one end of a flow, its trigger or a sink, gets on with its system."""

    state: HealthState = "starting"
    reason: str | None = None
    since: float | None = None
    """When the state began, in seconds since the epoch."""
    retries: int = 0
    lag: int | None = None
    """Records that the system has and the flow has not taken yet; None where it does not say."""
    last_poll: LastPoll | None = None
    """Of a polling trigger."""

    @classmethod
    def of(cls, health: Health) -> EndState:
        """The state at this moment."""
        return cls(health.state, health.reason, health.since, health.retries, health.lag, health.last_poll)

    def merge(self, other: EndState) -> EndState:
        """The state of the same end on two workers: down if it is on one; a worker without work stays `starting`."""
        telling = min(self, other, key=lambda end: _TELLING_FIRST.index(end.state))
        known = [lag for lag in (self.lag, other.lag) if lag is not None]
        return replace(
            telling,
            retries=self.retries + other.retries,
            lag=sum(known) if known else None,
            last_poll=self.last_poll or other.last_poll,
        )


@dataclass(frozen=True)
class Snapshot:
    """State, counts and health of a run at a moment. Picklable."""

    flow: str
    workers: int = 1
    state: RunState = "running"
    tally: Tally = field(default_factory=Tally)
    ends: dict[str, EndState] = field(default_factory=dict)
    """The trigger, as `trigger`, and the sinks by their ids."""
    error: str | None = None
    """What made the run fail."""
    worker: int = 0
    """Whose it is, where it is of one worker."""
    taken_at: float = field(default_factory=time.monotonic)
    """When it was taken, in seconds on the clock that all processes of a machine have in common."""
    parts: tuple[Snapshot, ...] = ()
    """What it was put together from: what each worker reported last."""
    restarts: int = 0
    """How often it was started again after a failure."""
    last_failure: Failure | None = None
    """What made it be started again, or end."""

    @classmethod
    def of(cls, run: FlowRun) -> Snapshot:
        """The run at this moment, from whatever thread."""
        tally = run.tally
        # A copy is one call into C: the worker's thread cannot add a bucket or a place in the middle of it.
        latencies = Latencies(tally.latencies.buckets.copy())
        commit_latencies = Latencies(tally.commit_latencies.buckets.copy())
        places = {name: replace(counts) for name, counts in tally.places.copy().items()}
        return cls(
            run.flow,
            run.workers,
            "stopping" if run.stopping.is_set() else "running",
            replace(tally, latencies=latencies, commit_latencies=commit_latencies, places=defaultdict(Counts, places)),
            _merged((health.name, EndState.of(health)) for health in tuple(run.healths)),
            worker=run.worker,
        )

    @classmethod
    def together(cls, flow: str, workers: int, parts: Iterable[Snapshot]) -> Snapshot:
        """The whole run, of what its workers reported."""
        parts = tuple(parts)
        tally = Tally()
        for part in parts:
            tally.merge(part.tally)
        stopping = any(part.state == "stopping" for part in parts)
        ends = _merged((name, end) for part in parts for name, end in part.ends.items())
        return cls(flow, workers, "stopping" if stopping else "running", tally, ends, parts=parts)

    def ended(self, error: str | None) -> Snapshot:
        """The same at the end of the run."""
        return replace(self, state="stopped" if error is None else "failed", error=error)


def _merged(ends: Iterable[tuple[str, EndState]]) -> dict[str, EndState]:
    merged: dict[str, EndState] = {}
    for name, end in ends:
        merged[name] = merged[name].merge(end) if name in merged else end
    return merged
