from __future__ import annotations

import pickle
from io import StringIO
from pathlib import Path

from rich.console import Console

from flowspec.delivery.run import FlowRun
from flowspec.delivery.tally import Counts, Tally
from flowspec.errors import TransientError
from pipelines.snapshot import EndState, Snapshot
from pipelines.status import _table, as_json, summary


def _shown(snapshot: Snapshot) -> str:
    console = Console(width=120, file=StringIO())
    console.print(_table(snapshot, 0.0, 1.0))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_snapshot_stays_as_it_is_while_the_run_goes_on(tmp_path: Path) -> None:
    run = FlowRun("orders", tmp_path)
    run.context("trigger").health.down(TransientError("away"))
    run.tally.received = 5
    run.tally.latencies.add(0.1, 5)
    run.tally.commit_latencies.add(0.1)
    run.tally.places["map-1"].passed = 5

    snapshot = pickle.loads(pickle.dumps(Snapshot.of(run)))
    run.tally.received = 9
    run.tally.places["map-1"].passed = 9
    run.tally.places["map-2"].passed = 9
    run.tally.latencies.add(10.0, 95)
    run.tally.commit_latencies.add(10.0)
    run.healths[0].up()

    assert snapshot.tally.received == 5
    assert snapshot.tally.places == {"map-1": Counts(passed=5)}
    p99 = snapshot.tally.latencies.quantile(0.99)
    assert p99 is not None
    assert 0.1 <= p99 < 0.12
    assert sum(snapshot.tally.commit_latencies.buckets.values()) == 1
    assert snapshot.ends["trigger"].state == "down"
    assert snapshot.ends["trigger"].reason == "away"


def test_workers_add_up() -> None:
    parts = [
        Snapshot("orders", tally=Tally(received=3, delivered=2), ends={"trigger": EndState("up", retries=1)}),
        Snapshot("orders", tally=Tally(received=4, filtered=4), ends={"trigger": EndState("down", "away", retries=2)}),
        Snapshot("orders", ends={"trigger": EndState(), "sink": EndState()}),
        Snapshot("orders", ends={"sink": EndState("up")}, state="stopping"),
    ]
    whole = Snapshot.together("orders", 4, parts)
    assert (whole.tally.received, whole.tally.delivered, whole.tally.filtered) == (7, 2, 4)
    assert whole.ends == {"trigger": EndState("down", "away", retries=3), "sink": EndState("up")}
    assert whole.state == "stopping"
    assert whole.parts == tuple(parts)
    assert whole.ended(None).state == "stopped"
    assert whole.ended("why").error == "why"


def test_what_the_workers_are_behind_adds_up() -> None:
    parts = [Snapshot("orders", ends={"trigger": EndState("up", lag=lag)}) for lag in (300, None, 20)]
    whole = Snapshot.together("orders", 3, parts)
    assert whole.ends == {"trigger": EndState("up", lag=320)}
    assert as_json(whole, 0.0)["trigger"]["lag"] == 320


def test_what_a_worker_is_behind_is_in_the_live_table(tmp_path: Path) -> None:
    run = FlowRun("orders", tmp_path)
    health = run.context("trigger").health
    health.up()
    health.lag = 12_345
    shown = _shown(Snapshot.of(run))
    assert "12,345 behind" in shown


def test_a_run_that_has_not_begun_has_all_keys() -> None:
    shown = as_json(Snapshot("orders").ended("why"), 0.0)
    unknown = dict.fromkeys(("reason", "since", "lag", "last_poll"))
    assert shown["trigger"] == {"state": "starting", "retries": 0, **unknown}
    assert shown["latency_p50"] is None
    assert (shown["state"], shown["error"]) == ("failed", "why")


def test_the_summary_is_one_line() -> None:
    tally = Tally(received=1200, delivered=800, filtered=398, failed=2)
    assert summary(Snapshot("orders", tally=tally), 12.34) == (
        "orders: received 1200, delivered 800, filtered 398, failed 2 in 12.3 s"
    )


def test_dead_letters_and_retries_are_told_where_there_are_any() -> None:
    tally = Tally(received=1200, delivered=800, filtered=398, failed=2)
    tally.dead_letters = 2
    snapshot = Snapshot("orders", tally=tally)
    assert summary(snapshot, 12.34).endswith(", failed 2 in 12.3 s (dead letters 2)")
    assert "dead letters  2" in _shown(snapshot)
    assert "retried" not in _shown(snapshot)
    tally.retried = 7
    assert summary(snapshot, 12.34).endswith(", failed 2 in 12.3 s (dead letters 2, retried 7)")
    shown = as_json(snapshot, 0.0)
    assert (shown["dead_letters"], shown["retried"]) == (2, 7)
