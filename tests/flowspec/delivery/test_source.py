from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from flowspec.delivery.run import FlowRun
from flowspec.errors import FatalError, TransientError
from tests.flowspec.delivery.memory import Event, Journal, MemoryAction, MemoryTrigger, assemble, numbered, run_of

AT_ONCE = timedelta(0)


def execute(
    run: FlowRun,
    journal: Journal,
    *,
    sinks: tuple[str, ...] = ("one",),
    hops: int = 0,
    epoch: timedelta = AT_ONCE,
    store: Path | None = None,
    **trigger: Any,
) -> None:
    """Run a flow of memory connectors to its end."""
    source = MemoryTrigger(journal=journal, **{"records": numbered(100), **trigger})
    flow = assemble(run, source, {sink: MemoryAction(journal=journal) for sink in sinks}, hops)
    run_main(flow, epoch_interval=epoch, recovery_config=store and RecoveryConfig(str(store)))
    run.close()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def run(tmp_path: Path) -> FlowRun:
    return run_of(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "recovery"
    path.mkdir()
    init_db_dir(path, 1)
    return path


@pytest.mark.parametrize("with_store", [False, True], ids=["no store", "store"])
@pytest.mark.parametrize("epoch", [AT_ONCE, timedelta(milliseconds=3)], ids=["epoch 0", "epoch 3 ms"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
@pytest.mark.parametrize("hops", [0, 30])
def test_nothing_is_committed_before_every_sink_wrote_it(
    run: FlowRun,
    journal: Journal,
    store: Path,
    *,
    batch_size: int,
    hops: int,
    epoch: timedelta,
    with_store: bool,
) -> None:
    execute(
        run,
        journal,
        sinks=("one", "two"),
        hops=hops,
        epoch=epoch,
        store=store if with_store else None,
        batch_size=batch_size,
    )

    assert journal.early_commits("one", "two") == []
    assert journal.committed() == 100
    assert journal.written("one") == journal.written("two") == list(range(100))


def test_the_journal_can_tell_an_early_commit() -> None:
    journal = Journal()
    journal.add("one", "write", [0])
    journal.add("trigger", "commit", 1)
    journal.add("trigger", "commit", 2)
    assert journal.early_commits("one") == [Event("trigger", "commit", 2)]
    assert len(journal.early_commits("one", "two")) == 2


def test_each_batch_is_committed_before_the_next_is_read(run: FlowRun, journal: Journal) -> None:
    execute(run, journal, batch_size=40)
    assert [(event.what, event.detail) for event in journal.events if event.what in ("handed", "write", "commit")] == [
        ("handed", list(range(40))),
        ("write", list(range(40))),
        ("commit", 40),
        ("handed", list(range(40, 80))),
        ("write", list(range(40, 80))),
        ("commit", 80),
        ("handed", list(range(80, 100))),
        ("write", list(range(80, 100))),
        ("commit", 100),
    ]


def test_an_epoch_of_many_batches_is_committed_once(run: FlowRun, journal: Journal) -> None:
    def stop_when_all_is_handed(event: Event) -> None:
        if event.what == "handed" and event.detail[-1] == 99:
            run.stop()

    journal.watch = stop_when_all_is_handed
    execute(run, journal, batch_size=5, epoch=timedelta(seconds=0.5))
    assert journal.committed() == 100
    assert len(journal.details("trigger", "commit")) <= len(journal.details("trigger", "handed")) / 2
    assert journal.early_commits("one") == []


@pytest.mark.parametrize("epoch", [AT_ONCE, timedelta(seconds=0.2)], ids=["epoch 0", "epoch 200 ms"])
def test_each_commit_has_a_latency(run: FlowRun, journal: Journal, epoch: timedelta) -> None:
    execute(run, journal, batch_size=5, epoch=epoch)
    tally = run.tally
    assert sum(tally.commit_latencies.buckets.values()) == len(journal.details("trigger", "commit"))
    slowest, slowest_record = tally.commit_latencies.quantile(1.0), tally.latencies.quantile(1.0)
    assert slowest is not None
    assert slowest_record is not None
    assert slowest <= slowest_record, "an epoch ends after its records have arrived"


def test_a_commit_waits_for_the_sinks(run: FlowRun, journal: Journal) -> None:
    def write_slowly(event: Event) -> None:
        if event.what == "try":
            time.sleep(0.1)

    journal.watch = write_slowly
    execute(run, journal, batch_size=50)
    assert sum(run.tally.commit_latencies.buckets.values()) == 2
    quickest = run.tally.commit_latencies.quantile(0.01)
    assert quickest is not None
    assert quickest >= 0.1


def test_an_open_epoch_is_not_held_up_by_waiting(run: FlowRun, journal: Journal) -> None:
    execute(run, journal, batch_size=5, epoch=timedelta(milliseconds=100))
    waits = [
        after.detail
        for before, after in zip(journal.events, journal.events[1:], strict=False)
        if before.what in ("handed", "write") and after.what == "read"
    ]
    assert waits
    assert set(waits) == {0.0}


def test_a_finite_trigger_ends_the_flow(run: FlowRun, journal: Journal) -> None:
    execute(run, journal, finite=True)
    tally = run.tally
    assert (tally.received, tally.delivered, tally.in_flight, tally.failed, tally.filtered) == (100, 100, 0, 0, 0)
    assert sum(tally.latencies.buckets.values()) == 100
    assert run.failure is None


def test_a_finite_trigger_without_records(run: FlowRun, journal: Journal) -> None:
    execute(run, journal, records=[])
    assert journal.details("trigger", "commit") == []
    assert journal.details("one", "try") == []


@pytest.mark.parametrize("limit", [1, 10, 25, 100])
def test_limit_takes_that_many_and_no_more(run: FlowRun, journal: Journal, limit: int) -> None:
    run.limit = limit
    execute(run, journal, batch_size=10, finite=False)
    assert journal.written("one") == list(range(limit))
    assert journal.committed() == limit
    assert sum(map(len, journal.details("trigger", "handed"))) == limit


def test_until_idle_ends_when_nothing_comes(run: FlowRun, journal: Journal) -> None:
    run.until_idle = 0.1
    execute(run, journal, batch_size=10, finite=False)
    assert journal.committed() == 100


def test_a_slow_sink_does_not_make_a_flow_idle(run: FlowRun, journal: Journal) -> None:
    run.until_idle = 0.1
    moments: dict[str, float] = {}

    def slow(event: Event) -> None:
        moments[event.what] = time.monotonic()
        if event.what == "try":
            time.sleep(0.2)

    journal.watch = slow
    execute(run, journal, batch_size=50, finite=False)
    assert journal.committed() == 100
    assert moments["stop"] - moments["commit"] >= run.until_idle, "idle is what comes after the last delivery"


def test_a_system_that_is_down_is_not_idle(run: FlowRun, journal: Journal) -> None:
    run.until_idle = 0.01
    reads_while_down = 0

    def down_for_a_while(event: Event) -> None:
        nonlocal reads_while_down
        (health,) = (health for health in run.healths if health.name == "trigger")
        if event.what == "open":
            health.down(TransientError("refused"))
        elif event.what == "read" and health.state == "down":
            reads_while_down += 1
            if reads_while_down == 5:
                health.up()

    journal.watch = down_for_a_while
    execute(run, journal, records=[], finite=False)
    assert reads_while_down == 5


@pytest.mark.parametrize("epoch", [AT_ONCE, timedelta(milliseconds=50)], ids=["epoch 0", "epoch 50 ms"])
def test_stop_drains_and_commits_before_the_end(run: FlowRun, journal: Journal, epoch: timedelta) -> None:
    def stop_at_thirty(event: Event) -> None:
        if event.what == "handed" and 30 in event.detail:
            run.stop()

    journal.watch = stop_at_thirty
    execute(run, journal, batch_size=10, finite=False, hops=20, epoch=epoch)

    assert journal.written("one") == list(range(40))
    assert journal.early_commits("one") == []
    assert run.tally.in_flight == 0
    assert run.failure is None
    happened = [(event.what, event.detail) for event in journal.events if event.who == "trigger"]
    stopped = happened.index(("stop", None))
    committed = happened.index(("commit", 40))
    closed = next(index for index, (what, _) in enumerate(happened) if what == "close")
    assert closed > committed
    assert closed > stopped
    assert all(what != "read" for what, _ in happened[stopped:]), "nothing is read after a stop"
    assert journal.details("trigger", "stop")[:1] == [None]


def test_a_reader_is_closed_while_the_flow_still_runs(run: FlowRun, journal: Journal) -> None:
    source = MemoryTrigger(journal=journal, records=numbered(3))
    run_main(assemble(run, source, {"one": MemoryAction(journal=journal)}), epoch_interval=AT_ONCE)
    assert journal.events[-1].what == "close", "before run_main returns, and run.close() is not needed for it"


def test_a_stop_leaves_the_reader_the_rest_of_its_time(run: FlowRun, journal: Journal) -> None:
    run.drain_timeout = 5.0
    journal.watch = lambda event: run.stop() if event.what == "handed" else None
    execute(run, journal, finite=False)
    assert all(0 < timeout <= 5.0 for timeout in journal.details("trigger", "close"))


def test_what_was_not_delivered_is_not_committed(run: FlowRun, journal: Journal) -> None:
    source = MemoryTrigger(journal=journal, records=numbered(100), batch_size=10)
    broken = MemoryAction(journal=journal, poison={50: FatalError("disk full")})
    flow = assemble(run, source, {"one": MemoryAction(journal=journal), "two": broken}, hops=10)
    with pytest.raises(BytewaxRuntimeError):
        run_main(flow, epoch_interval=AT_ONCE)
    run.close()

    assert journal.committed() == 50
    assert journal.early_commits("one", "two") == []
    assert str(run.failure) == "two: disk full"


def test_a_fatal_error_of_the_reader_stops_the_flow(run: FlowRun, journal: Journal) -> None:
    with pytest.raises(BytewaxRuntimeError):
        execute(run, journal, batch_size=10, faults={50: FatalError("no such queue: orders")})
    assert run.failure is not None
    assert run.failure.where == "trigger"
    assert str(run.failure) == "trigger: no such queue: orders"
    assert journal.early_commits("one") == []


def test_the_flow_goes_on_where_the_store_remembers(tmp_path: Path, store: Path) -> None:
    first, second = Journal(), Journal()
    execute(run_of(tmp_path, limit=30), first, batch_size=10, store=store, finite=False)
    execute(run_of(tmp_path), second, batch_size=10, store=store)

    assert first.details("trigger", "open") == [None]
    assert second.details("trigger", "open") == [30]
    assert first.written("one") + second.written("one") == list(range(100))


def test_one_partition_for_each_worker(tmp_path: Path, journal: Journal) -> None:
    trigger = MemoryTrigger(journal=journal, records=[])
    assert trigger.partitions(3) == ["0", "1", "2"]
