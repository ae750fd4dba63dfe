"""The recovery store of a flow that remembers: who may use it, what fits it, and what a crash leaves in it."""

from __future__ import annotations

import json
import pickle
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowspec import loads
from flowspec.errors import FatalError
from flowspec.polling.store import CursorStore
from flowspec.recovery import RecoveryStore
from sources.testing.flows import Flow, HostedFlow, eventually
from sources.testing.harness import FLOW
from sources.testing.lab import Lab, numbered

DEDUPE = {"id": "once", "dedupe": {"key": "id", "within": "1h"}}
VALUES = {"ids": {"collect": "id"}}
WINDOW = {"id": "hours", "window": {"tumbling": "1h", "time": "id", "values": VALUES}}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


@pytest.fixture
def store(tmp_path: Path) -> RecoveryStore:
    return RecoveryStore(FLOW, tmp_path / "state")


def ran(lab: Lab, *steps: dict[str, Any], sink: dict[str, Any] | None = None) -> HostedFlow:
    """A flow that has taken all there is, and was stopped."""
    flow = lab.flow(lab.source(), steps, sink)
    with flow.running():
        eventually(lambda: lab.left() == 0, "all are committed")
    return flow


def refused(lab: Lab, *steps: dict[str, Any]) -> str:
    """Why a flow does not run."""
    flow = lab.flow(lab.source(), steps)
    flow.start()
    error = flow.wait()
    assert error is not None
    return error


def test_one_run_at_a_time(lab: Lab) -> None:
    lab.feed(numbered([1]))
    with lab.flow(lab.source(), [DEDUPE]).running():
        lab.wait_for(1)
        assert f"another run of {FLOW} uses its state in {lab.directory / 'state' / 'recovery' / FLOW}" in refused(
            lab, DEDUPE
        )
        with pytest.raises(FatalError, match=f"a run of {FLOW} uses its state; stop it first"):
            RecoveryStore(FLOW, lab.directory / "state").reset()
    lab.feed(numbered([1, 2]))
    ran(lab, DEDUPE)
    assert sorted(lab.ids()) == [1, 2]


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ([{**DEDUPE, "id": "again"}], "once is gone, or has another id"),
        ([], "once is gone, or has another id"),
        ([{**DEDUPE, "dedupe": "id + 1"}], "once: key was 'id' and is 'id + 1'"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_way_out(lab: Lab, steps: list[dict[str, Any]], what: str) -> None:
    lab.feed(numbered([1]))
    ran(lab, DEDUPE)

    error = refused(lab, *steps, WINDOW)
    assert what in error
    assert "`python -m pipelines state SPEC reset`" in error
    RecoveryStore(FLOW, lab.directory / "state").reset()
    ran(lab, *steps, WINDOW)


def test_what_may_change(lab: Lab) -> None:
    lab.feed(numbered([1]))
    ran(lab, DEDUPE)
    lab.feed(numbered([1, 2]))
    within = {**DEDUPE, "dedupe": {"key": "id", "within": "2h"}}
    ran(lab, {"filter": "id > 0"}, within, WINDOW)
    assert lab.ids() == [1]
    lab.feed(numbered([2, 7200]))
    later = {"id": "hours", "window": {"lateness": "1h", "tumbling": "1h", "time": "id", "values": VALUES}}
    ran(lab, within, later, sink=lab.sink(path=str(lab.directory / "windows.jsonl")))

    (line,) = (lab.directory / "windows.jsonl").read_text().splitlines()
    assert json.loads(line)["ids"] == [2], "of the step that was added, and goes on with another lateness"


def test_a_making_that_was_killed_is_made_anew(lab: Lab, store: RecoveryStore) -> None:
    half = store.path.with_name(f"{FLOW}.new")
    half.mkdir(parents=True)
    (half / "part-0.sqlite3").write_bytes(b"SQLite")
    lab.feed(numbered([1]))
    ran(lab, DEDUPE)
    (store.path / "basis.json").unlink()
    (store.path / "basis.json.new").write_bytes(b'{"st')
    lab.feed(numbered([1, 2]))
    ran(lab, DEDUPE)

    assert sorted(lab.ids()) == [1, 2]
    assert store.steps().keys() == {"trigger", "once"}


def test_a_place_that_cannot_be_written_is_named(lab: Lab, store: RecoveryStore) -> None:
    store.path.parent.parent.mkdir(parents=True, exist_ok=True)
    store.path.parent.write_text("")
    assert refused(lab, DEDUPE).startswith(f"{store.path}.running.lock cannot be used: ")


def test_a_basis_that_cannot_be_read_is_named(lab: Lab, store: RecoveryStore) -> None:
    lab.feed(numbered([1]))
    ran(lab, DEDUPE)
    (store.path / "basis.json").write_text("{")
    assert f"{store.path / 'basis.json'} cannot be read" in refused(lab, DEDUPE)


def parts(store: RecoveryStore) -> list[Path]:
    return sorted(store.path.glob("part-*.sqlite3"))


def resume_epoch(store: RecoveryStore) -> int:
    """Where the next run of one worker begins."""
    fronts: list[tuple[int, int]] = []
    for part in parts(store):
        with closing(sqlite3.connect(part)) as connection:
            fronts += connection.execute("SELECT ex_num, worker_frontier FROM fronts")
    return max(fronts)[1]


@pytest.mark.parametrize("epochs_later", [0, 1])
def test_what_a_kill_leaves_of_an_epoch_that_has_not_ended_is_not_remembered(
    lab: Lab, store: RecoveryStore, epochs_later: int
) -> None:
    lab.feed(numbered(range(10)))
    ran(lab, DEDUPE)
    epoch = resume_epoch(store) + epochs_later
    snapshot = pickle.dumps(time.time() + 3600)
    with closing(sqlite3.connect(parts(store)[0])) as connection, connection:
        connection.execute(
            "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)",
            (f"{FLOW}.remember-once", "77", epoch, snapshot),
        )
    for number in (10, 11, 12):
        lab.feed(numbered([number]))
        ran(lab, DEDUPE)
    lab.feed(numbered([77, 3]))
    ran(lab, DEDUPE)
    lab.delivered_once([*range(13), 77])


def test_positions_of_partitions_that_are_gone_are_forgotten(lab: Lab, store: RecoveryStore) -> None:
    lab.feed(numbered([1]))
    ran(lab, DEDUPE)
    with closing(sqlite3.connect(parts(store)[0])) as connection, connection:
        connection.execute(
            "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES (?, ?, ?, ?)",
            (f"{FLOW}.trigger", "gone", 1, pickle.dumps(None)),
        )
    lab.feed(numbered([1, 2]))
    ran(lab, DEDUPE)
    assert sorted(lab.ids()) == [1, 2]


@pytest.fixture
def rows(lab: Lab) -> HostedFlow:
    """A flow of a table, which counts."""
    with closing(sqlite3.connect(lab.directory / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    add(lab, 1, 2, 3)
    return lab.flow(
        {
            "connector": "sql",
            "account": {"url": f"sqlite:///{lab.directory / 'shop.db'}"},
            "table": "orders",
            "cursor_column": "id",
            "interval": "50ms",
            "lag": 0,
        },
        [{"dedupe": {"key": "str(id) + '/' + str(now())", "within": "1h"}}],
    )


def add(lab: Lab, *numbers: int) -> None:
    with closing(sqlite3.connect(lab.directory / "shop.db")) as connection, connection:
        connection.executemany("INSERT INTO orders VALUES (?)", [(number,) for number in numbers])


def test_a_cursor_that_was_set_or_reset_by_hand_wins(lab: Lab, rows: HostedFlow) -> None:
    cursors = CursorStore(lab.directory / "state", FLOW, "sql.query-rows")

    def run_for(count: int) -> list[int]:
        before = len(lab.ids())
        with rows.running():
            eventually(lambda: len(lab.ids()) >= before + count, "they are delivered")
        return sorted(lab.ids()[before:])

    assert run_for(3) == [1, 2, 3]
    add(lab, 4)
    assert run_for(1) == [4], "it goes on"
    cursors.begin_at(2)
    assert run_for(2) == [3, 4]
    cursors.reset()
    assert run_for(4) == [1, 2, 3, 4]
    add(lab, 5)
    assert run_for(1) == [5], "it goes on from there"


def test_state_and_cursor_go_on_at_the_same_place(lab: Lab, rows: HostedFlow, tmp_path: Path) -> None:
    with rows.running():
        lab.wait_for(3)
    spec = loads(json.dumps(rows.spec))
    cursors = CursorStore(tmp_path / "state", FLOW, "sql.query-rows")
    # Saved a moment before the store had the end of the epoch: a kill -9 in between.
    saved = json.loads(cursors.path.read_text())
    saved["cursor"]["last"] = saved["cursor"]["settled"] = [1]
    cursors.path.write_text(json.dumps(saved))
    add(lab, 4)
    with rows.running():
        eventually(lambda: 4 in lab.ids(), "it goes on")

    assert spec.remembers
    assert sorted(lab.ids()) == [1, 2, 3, 4], "where the store says"
