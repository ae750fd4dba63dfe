"""How many records a second so many workers handle: a model on paper, fed with measured costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from benchmarks.measure import note, show

__all__ = ["FLOWS", "Costs", "Prediction", "Setup", "main", "predict"]

_CLUSTER_EPOCH = 50.0
_REMEMBERING_EPOCH = 100.0


@dataclass(frozen=True)
class Costs:
    """What was measured of a flow and its system, with one process."""

    record: float
    """Microseconds of CPU per record in a worker: engine and client, of all threads."""
    exchange: float = 0.0
    """More of them for a record whose key belongs to another worker: pickling, sending and loading it, both sides."""
    server: float = 0.0
    """Microseconds of CPU per record of the system itself, where it has the same cores; 0 where it has its own."""
    limit: float = inf
    """Records per second that the system gives at most, to all workers together."""
    gate: float = 2.5
    """Milliseconds at the end of an epoch in which a worker waits for the others, or for the recovery store."""


@dataclass(frozen=True)
class Setup:
    """How a flow is run."""

    workers: int = 1
    cores: int = 1
    partitions: float = inf
    """As many workers have work: Kafka's partitions; 1 where one worker polls or listens; unlimited for queues."""
    cluster: bool = True
    """Whether several workers share their epochs. Replicas do not."""
    remembers: bool = False
    """Whether the flow has a recovery store, and exchanges records by their keys."""
    batch: int = 500
    """Records that a worker takes at once."""
    prefetch: float = inf
    """Records that a worker has at most of which the system does not yet know that they are delivered."""


@dataclass(frozen=True)
class Prediction:
    """What to expect while there is always more to do."""

    rate: float
    """Records per second, of all workers."""
    bottleneck: str
    """`worker`, `partitions` (where workers have nothing to do), `cores`, `prefetch` or `server`."""
    latency: float
    """Milliseconds from a record's arrival in the flow until it is committed, p50."""
    in_flight: float
    """Records of all workers that are not yet committed, at the end of an epoch."""


def predict(costs: Costs, setup: Setup) -> Prediction:
    """The least of four bounds is the rate; what is in flight is what comes in an epoch."""
    busy = min(setup.workers, setup.partitions)
    # Of N workers one has the key of a record, so (N - 1) of N records go to another.
    keyed = costs.exchange * (setup.workers - 1) / setup.workers if setup.remembers else 0.0
    micros = costs.record + keyed
    epoch = _epoch(setup)
    gate = costs.gate if epoch else 0.0
    working = epoch / (epoch + gate) if epoch else 1.0
    bounds = {
        "worker" if busy == setup.workers else "partitions": busy * working * 1e6 / micros,
        "cores": setup.cores * 1e6 / (micros + costs.server),
        "prefetch": busy * setup.prefetch / (epoch + gate) * 1e3 if epoch else inf,
        "server": costs.limit,
    }
    bottleneck = min(bounds, key=bounds.__getitem__)
    rate = bounds[bottleneck]
    if not epoch:
        # Each batch is an epoch.
        in_flight = busy * min(setup.batch, setup.prefetch)
        return Prediction(rate, bottleneck, in_flight / rate * 1e3, in_flight)
    # Prefetched records are all there when the epoch begins, others come while it goes on.
    latency = epoch + gate if bottleneck == "prefetch" else epoch / 2 + gate
    return Prediction(rate, bottleneck, latency, rate * (epoch + gate) / 1e3)


def _epoch(setup: Setup) -> float:
    """Milliseconds, as in `flowspec.compiler`; 0 where each batch is an epoch of its own."""
    if setup.remembers:
        return _REMEMBERING_EPOCH
    return _CLUSTER_EPOCH if setup.cluster and setup.workers > 1 else 0.0


FLOWS: dict[str, tuple[Costs, Setup]] = {
    "memory: filter, map, drop": (Costs(2.05), Setup()),
    "Kafka, 6 partitions: filter, map, drop": (Costs(4.08), Setup(partitions=6)),
    "Kafka, 6 partitions: filter, map, produce": (Costs(6.95), Setup(partitions=6)),
    "RabbitMQ, one classic queue: drop": (Costs(9.0, limit=51_000), Setup(cluster=False, prefetch=1000)),
    "RabbitMQ, one quorum queue: drop": (Costs(5.3, limit=120_000), Setup(cluster=False, prefetch=1000)),
    "SQS, standard queue: drop": (Costs(307), Setup(cluster=False)),
    "SQS, FIFO queue: drop": (Costs(307, limit=3_000), Setup(cluster=False)),
    "SQL: filter, map, drop": (Costs(9.1), Setup(partitions=1)),
}
"""What docs/benchmarks.md says of each; limits are those of docs/scaling.md."""


def main() -> None:
    """Print what to expect of each with more workers, which all have a core of their own, as has the system."""
    counts = (1, 2, 4, 8)
    show(
        "Model",
        ["records/s with so many workers", *map(str, counts), "bound of 8"],
        (
            [
                name,
                *(f"{predict(costs, replace(setup, workers=count, cores=count)).rate:,.0f}" for count in counts),
                predict(costs, replace(setup, workers=8, cores=8)).bottleneck,
            ]
            for name, (costs, setup) in FLOWS.items()
        ),
    )
    note("Queues with replicas, the others as a cluster, whose epochs take 2.5 ms of each 52.5.")
