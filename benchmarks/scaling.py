"""What more processes bring: flows in one, two and three processes, beside what the model says of them."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from functools import cache, partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks import sqs
from benchmarks.engine import invoices
from benchmarks.measure import note, show, timed
from benchmarks.model import Costs, Setup, predict
from benchmarks.rabbitmq import filled
from benchmarks.work import orders, steps
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.records import Record
from flowspec.spec import FlowSpec
from flowspec.steps.count_by import CountBy, CountOptions
from pipelines.running import run_worker
from sinks.drop import Drop
from sources.amazon_sqs import AwsAccount, ListenQueue
from sources.kafka import ConsumeTopics, KafkaAccount
from sources.rabbitmq import ConsumeQueue, RabbitAccount
from tests.servers.process import server_port

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

    from benchmarks.servers import Systems
    from flowspec.connectors import StreamTrigger

__all__ = ["Course", "Measured", "main", "measured"]

_ROUNDS = 3
_PARTITIONS = 6
_SETTINGS: dict[str, Any] = {"batch_size": 500, "external_id": Expression("order_id")}
_numbers = itertools.count()
_SAMPLE = 0.01
"""Seconds between looks at the counts of a worker."""
_BEGINS, _ENDS = 0.1, 0.9
"""What shares of its records a worker has had when it is looked at: before, it starts; after, others may have ended."""


@dataclass(frozen=True)
class Course:
    """A flow, and how it is run."""

    title: str
    spec: Callable[[], FlowSpec]
    """Makes the flow, in each of its workers."""
    setup: Setup
    server: int | None = None
    """The process of the system, whose CPU is measured as well."""
    alone: str = ""
    """Title of the course whose run in one process has the costs of this one; by default its own."""


@dataclass(frozen=True)
class Measured:
    """What one run, or the median of several, took."""

    rate: float
    """Records per second, of all workers."""
    cpu: float
    """Microseconds of CPU per record in the workers."""
    server: float
    """Microseconds of CPU per record in the process of the system."""
    latency: float
    """Milliseconds from arrival in the flow to commit, p50."""
    in_flight: float
    """The most that was in flight in nine of ten looks, of all workers."""
    gate: float
    """Milliseconds from the end of an epoch to its commit, p50."""


@dataclass(frozen=True)
class _Sample:
    at: float
    cpu: float
    server: float
    received: int
    in_flight: int


@dataclass(frozen=True)
class _Observed:
    samples: list[_Sample]
    latency: float
    gate: float

    def reached(self, share: float) -> float:
        """When that share of its records had come."""
        wanted = self.samples[-1].received * share
        return next(sample.at for sample in self.samples if sample.received >= wanted)

    def between(self, begin: float, end: float) -> list[_Sample]:
        return [sample for sample in self.samples if begin <= sample.at <= end]


def _cpu_of(process: int | None) -> float:
    """Seconds of CPU that a process has taken."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _observe(run: FlowRun, server: int | None, ended: threading.Event, samples: list[_Sample]) -> None:
    while not ended.wait(_SAMPLE):
        tally = run.tally
        samples.append(_Sample(time.monotonic(), time.process_time(), _cpu_of(server), tally.received, tally.in_flight))


def _work(
    course: Course, worker: int, *, addresses: Sequence[str], directory: str, begin: Barrier, observed: Connection
) -> None:
    workers = len(addresses)
    spec = course.spec()
    if course.setup.cluster and workers > 1:
        run = FlowRun(spec.name, Path(directory), worker=worker, workers=workers)
    else:
        run = FlowRun(spec.name, Path(directory) / str(worker))
    if course.server is not None:
        run.until_idle = 2.0
    samples: list[_Sample] = []
    ended = threading.Event()
    watching = threading.Thread(target=_observe, args=(run, course.server, ended, samples))
    begin.wait()
    watching.start()
    try:
        run_worker(spec, run, sys.exit, addresses if run.workers > 1 else None)
    finally:
        ended.set()
        watching.join()
    p50 = [latencies.quantile(0.5) or 0.0 for latencies in (run.tally.latencies, run.tally.commit_latencies)]
    observed.send(_Observed(samples, *p50))


def measured(course: Course) -> Measured:
    """Run the flow once in its processes, and look at the time in which all of them work.

    Raises:
        EOFError: a process has failed.
    """
    workers = course.setup.workers
    # Each starts with an empty memory, as the command's workers do.
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(workers)
    addresses = tuple(f"127.0.0.1:{server_port()}" for _ in range(workers))
    with TemporaryDirectory() as directory:
        common = {"addresses": addresses, "directory": directory, "begin": begin}
        receivers = []
        processes = []
        for worker in range(workers):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(course, worker), kwargs={**common, "observed": sender})
            process.start()
            # With the last sender gone, a process that fails is noticed.
            sender.close()
            receivers.append(receiver)
            processes.append(process)
        observed: list[_Observed] = [receiver.recv() for receiver in receivers]
        for process in processes:
            process.join()
    return _together([one for one in observed if one.samples[-1].received])


def _together(busy: list[_Observed]) -> Measured:
    begin, end = max(one.reached(_BEGINS) for one in busy), min(one.reached(_ENDS) for one in busy)
    windows = [one.between(begin, end) for one in busy]
    took = [(window[0], window[-1]) for window in windows]
    records = sum(last.received - first.received for first, last in took)
    rate = sum((last.received - first.received) / (last.at - first.at) for first, last in took)
    first, last = took[0]
    in_flight = sum(sorted(sample.in_flight for sample in window)[len(window) * 9 // 10] for window in windows)
    return Measured(
        rate,
        sum(last.cpu - first.cpu for first, last in took) / records * 1e6,
        (last.server - first.server) / records * 1e6,
        median(one.latency for one in busy) * 1e3,
        in_flight,
        median(one.gate for one in busy) * 1e3,
    )


def _listener(port: int) -> int:
    """The process that listens on a port."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                return int(process.name)
    msg = f"nobody listens on port {port}"
    raise LookupError(msg)


def _stateless(records: int) -> FlowSpec:
    return invoices(orders(10_000), records)


def _stateful(records: int) -> FlowSpec:
    spec = _stateless(records)
    count = CountBy(count_by=CountOptions(key=Expression("customer"), into="orders"))
    return FlowSpec(name="counts", trigger=spec.trigger, steps=[*spec.steps, count], sinks=spec.sinks)


def _read(trigger: StreamTrigger) -> FlowSpec:
    return FlowSpec(name="read", trigger=trigger, steps=steps(), sinks=[Drop(format="json")])


def _in_memory(workers: int) -> Iterator[Course]:
    setup = Setup(workers, os.cpu_count() or 1)
    yield Course("memory", partial(_stateless, 500_000), setup)
    if workers > 1:
        yield Course("memory, replicas", partial(_stateless, 500_000), replace(setup, cluster=False), alone="memory")
    yield Course("memory, count_by", partial(_stateful, 60_000), replace(setup, remembers=True))


def _on_servers(systems: Systems, workers: int, topic: str) -> Iterator[Course]:
    setup = Setup(workers, os.cpu_count() or 1)
    kafka, kafka_port = KafkaAccount(**systems.kafka.account), int(systems.kafka.bootstrap_servers.rpartition(":")[2])
    pinned = ConsumeTopics(
        account=kafka, topics=[topic], group=topic + str(next(_numbers)), assignment="pinned", **_SETTINGS
    )
    yield Course(
        f"Kafka, {_PARTITIONS} partitions",
        partial(_read, pinned),
        replace(setup, partitions=_PARTITIONS),
        _listener(kafka_port),
    )
    ways = [(1_000, True), (10_000, True), (1_000, False)]
    # One process is no cluster, and has no epochs that a prefetch could bound.
    for prefetch, cluster in ways if workers > 1 else ways[:1]:
        node = systems.rabbitmq
        trigger = ConsumeQueue(
            account=RabbitAccount(**node.account),
            queue=filled(node, orders(60_000), quorum=False),
            prefetch=prefetch,
            **_SETTINGS,
        )
        yield Course(
            f"RabbitMQ, prefetch {prefetch:,}{'' if cluster else ', replicas'}",
            partial(_read, trigger),
            replace(setup, cluster=cluster, prefetch=prefetch),
            _listener(urlsplit(node.url).port or 0),
            alone="RabbitMQ, prefetch 1,000",
        )
    server = systems.sqs
    listen = ListenQueue(
        account=AwsAccount(**server.sqs.account), queue_url=sqs.filled(server), wait_time=1, **_SETTINGS
    )
    yield Course(
        f"SQS ({server.name.partition(',')[0]})",
        partial(_read, listen),
        setup,
        _listener(urlsplit(server.sqs.endpoint).port or 0),
    )


@cache
def _exchange() -> float:
    """Microseconds to pickle a record with its key, and to load it."""
    record = Record(orders(1)[0], None, {"message_id": 1, "receive_count": 1}, None, {})
    keyed, count = ("customer.1@example.com", record), 10_000

    def pickled() -> None:
        for _ in range(count):
            pickle.loads(pickle.dumps(keyed))

    return median(timed(pickled, count).cpu for _ in range(_ROUNDS))


def _median(runs: Sequence[Measured]) -> Measured:
    return Measured(*(median(values) for values in zip(*map(astuple, runs), strict=True)))


def _costs(runs: Mapping[tuple[str, int], Measured], course: Course) -> Costs:
    """What one process costs."""
    alone = runs[course.alone or course.title, 1]
    return (
        Costs(alone.cpu, _exchange(), alone.server) if course.setup.remembers else Costs(alone.cpu, 0.0, alone.server)
    )


def _measure(courses: Callable[[int], Iterable[Course]], counts: Sequence[int], rounds: int) -> None:
    runs: defaultdict[tuple[str, int], list[Measured]] = defaultdict(list)
    known: dict[tuple[str, int], Course] = {}
    for _ in range(rounds):
        for workers in counts:
            for course in courses(workers):
                key = (course.title, workers)
                known[key] = course
                runs[key].append(measured(course))
    results = {key: _median(several) for key, several in runs.items()}
    keys = sorted(known)
    expected = {key: predict(_costs(results, known[key]), known[key].setup) for key in keys}
    show(
        "Scaling: rate",
        ["", "processes", "best", "median", "model", "bound", "CPU us", "of the system"],
        (
            [
                title,
                str(workers),
                f"{max(run.rate for run in runs[title, workers]):,.0f}",
                f"{results[title, workers].rate:,.0f}",
                f"{expected[title, workers].rate:,.0f}",
                expected[title, workers].bottleneck,
                f"{results[title, workers].cpu:.2f}",
                f"{results[title, workers].server:.2f}",
            ]
            for title, workers in keys
        ),
    )
    show(
        "Scaling: time and records in flight",
        ["", "processes", "p50 ms", "model", "in flight", "model", "gate ms"],
        (
            [
                title,
                str(workers),
                f"{results[title, workers].latency:.1f}",
                f"{expected[title, workers].latency:.1f}",
                f"{results[title, workers].in_flight:,.0f}",
                f"{expected[title, workers].in_flight:,.0f}",
                f"{results[title, workers].gate:.1f}",
            ]
            for title, workers in keys
        ),
    )
    note(
        f"Medians of {rounds} interleaved runs, records per second of all processes; CPU is per record. The model is "
        "fed with the costs of one process. p50 is from arrival in the flow to commit. Load average at the end: "
        f"{os.getloadavg()[0]:.1f}."
    )


def main(systems: Systems | None = None, counts: Sequence[int] = (1, 2, 3), rounds: int = _ROUNDS) -> None:
    """Measure, and print the tables: of a flow from memory, and with servers of those that read from them."""
    if systems is None:
        _measure(_in_memory, counts, rounds)
        return
    topic = systems.kafka.create_topic(_PARTITIONS)
    for partition in range(_PARTITIONS):
        systems.kafka.produce(topic, *orders(100_000), partition=partition)
    _measure(lambda workers: _on_servers(systems, workers, topic), counts, rounds)
