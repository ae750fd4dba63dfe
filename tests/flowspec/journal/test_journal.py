"""What comes into a journal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from flowspec.delivery.tally import Tally
from flowspec.errors import TransientError
from flowspec.journal.journal import Journal
from flowspec.journal.search import JournalReader
from flowspec.journal.settings import JournalLevel
from flowspec.journal.store import Counted
from flowspec.records import Record, Trace
from sources.testbed import ReadLines
from sources.testing.flows import eventually
from tests.flowspec.journal.parts import TRIGGER, executions, failure, record, tried_before, writing


def test_what_happened_to_a_record_is_known_by_its_external_id(tmp_path: Path) -> None:
    began = time.time()
    with writing(tmp_path, worker=2) as journal:
        journal.delivered([record(number) for number in range(100, 200)], "billing")

    (found,) = executions(tmp_path, external_id="order-123")
    assert (found.status, found.place, found.attempts, found.batch, found.worker) == ("delivered", "billing", 1, 12, 2)
    assert (found.external_id, found.origin, found.error, found.fields) == ("order-123", "in.jsonl/123", None, None)
    assert found.received_at is not None
    assert began <= found.received_at <= found.ended_at <= time.time()


def test_each_fate_has_its_status_and_place(tmp_path: Path) -> None:
    with writing(tmp_path) as journal:
        journal.filtered([record(1)], "filter-1")
        journal.retrying([failure(record(2), TransientError("not now"), attempts=3)])
        journal.failed([failure(record(3), step="map-2")], skipped=True)
        journal.failed([failure(record(4), step="billing", attempts=5), failure(record(5))], skipped=False)

    fates = {
        each.external_id: (each.status, each.then, each.place, each.attempts, each.error)
        for each in executions(tmp_path)
    }
    assert fates == {
        "order-1": ("filtered", None, "filter-1", 1, None),
        "order-2": ("failed", "retry", "map-1", 3, "not now"),
        "order-3": ("failed", "skip", "map-2", 1, "missing field 'total'"),
        "order-4": ("dead", None, "billing", 5, "missing field 'total'"),
        "order-5": ("dead", None, "map-1", 1, "missing field 'total'"),
    }


def test_a_record_that_comes_again_or_goes_to_two_sinks_is_there_each_time(tmp_path: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(7)], "billing")
        journal.delivered([record(7)], "archive")
        journal.delivered([record(7)], "billing")
    assert [each.place for each in executions(tmp_path, external_id="order-7")] == ["billing", "archive", "billing"]


def test_a_failure_was_received_when_it_was_tried_first_where_nothing_else_is_known(tmp_path: Path) -> None:
    letter = failure(record(1, trace=None))
    with writing(tmp_path) as journal:
        journal.failed([letter], skipped=False)
    assert executions(tmp_path)[0].received_at == letter.first_try


def test_only_failures_and_what_became_of_them_are_kept_by_default(tmp_path: Path) -> None:
    tally = Tally()
    with writing(tmp_path, tally=tally, level="failures") as journal:
        tally.received, tally.delivered, tally.filtered, tally.failed, tally.dead_letters = 10, 8, 1, 1, 1
        journal.delivered([record(number) for number in range(8)], "billing")
        journal.retrying([failure(record(8))])
        journal.delivered([tried_before(8, 1)], "billing")
        journal.failed([failure(record(9))], skipped=False)

    found = [(each.external_id, each.status, each.attempts) for each in executions(tmp_path)]
    assert found == [("order-8", "failed", 1), ("order-8", "delivered", 2), ("order-9", "dead", 1)]
    counted = JournalReader("orders", tmp_path).counted(None)
    assert counted is not None
    assert counted[1] == Counted(received=10, delivered=8, filtered=1, failed=1, dead_letters=1)


def test_counts_of_all_workers_and_runs_are_added_up(tmp_path: Path) -> None:
    for worker in (0, 1, 0):
        tally = Tally(received=1_000)
        with writing(tmp_path, worker, tally, level="failures"):
            tally.received += 5
            tally.delivered += 4
    counted = JournalReader("orders", tmp_path).counted(None)
    assert counted is not None
    assert counted[1] == Counted(received=15, delivered=12)
    assert JournalReader("orders", tmp_path).counted(time.time() + 120) is None


def test_it_is_written_while_the_flow_runs(tmp_path: Path) -> None:
    reader = JournalReader("orders", tmp_path)
    with writing(tmp_path) as journal:
        journal.delivered([record(1)], "billing")
        eventually(lambda: reader.exists() and bool(executions(tmp_path)), "the first is written")
        journal.delivered([record(2)], "billing")
        eventually(lambda: len(executions(tmp_path)) == 2, "the second is written")


@pytest.mark.parametrize("level", ["all", "failures", "off"])
def test_nothing_is_touched_on_the_disk_before_there_is_something_to_write(tmp_path: Path, level: JournalLevel) -> None:
    with writing(tmp_path, level=level) as journal:
        journal.delivered([], "billing")
        assert journal.keeps_all == (level == "all")
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_is_off_keeps_nothing(tmp_path: Path) -> None:
    tally = Tally()
    journal = Journal("orders", tmp_path, 0, "off", TRIGGER, tally=tally)
    journal.delivered([record(1), tried_before(2, 1)], "billing")
    journal.retrying([failure(record(1))])
    journal.failed([failure(record(1))], skipped=False)
    tally.received += 1
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_records_that_are_odd_in_every_way_are_there_beside_others(tmp_path: Path) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    half = "\ud800"
    with writing(tmp_path) as journal:
        journal.delivered([record(1), record(2, external_id=f"a{half}b"), record(3, external_id="a\0b")], "billing")
        journal.delivered([record(4, meta={}), record(5, trace=None), record(6, external_id=None)], "billing")
        journal.delivered([record(7, meta={"path": 10**30, "offset": [half]})], "billing")
        journal.failed([failure(record(8), MuteError())], skipped=False)

    found = executions(tmp_path)
    assert [each.external_id for each in found] == [
        *("order-1", "a\\ud800b", "a\N{SYMBOL FOR NULL}b", "order-4", "order-5", None, "order-7", "order-8"),
    ]
    assert [each.origin for each in found[3:7]] == ["", "in.jsonl/5", "in.jsonl/6", f"{10**30}/['\\\\ud800']"]
    assert found[4].received_at is None
    assert found[7].error == "MuteError: <MuteError that cannot be shown>"


class Anonymous(ReadLines):
    identified_by = ()

    def identity(self, record: Record) -> str | None:
        if record.meta.get("offset") == 13:
            msg = "a mistake"
            raise KeyError(msg)
        return str(record.meta["key"]) if "key" in record.meta else None


def test_an_origin_is_what_the_trigger_or_else_its_system_says(tmp_path: Path) -> None:
    journal = Journal("orders", tmp_path, 0, "all", Anonymous(path=Path("in")), tally=Tally())
    meta = {"queue": "orders", "count": 2, "receipt": "x" * 101, "empty": "", "nested": {"a": 1}, "nothing": None}
    journal.delivered([record(1, meta=meta), record(2, meta={"key": "k-2"})], "billing")
    journal.close()
    assert [each.origin for each in executions(tmp_path)] == ["queue=orders count=2", "k-2"]


@pytest.mark.parametrize("meta", [{"path": "in", "offset": None, "size": 3}, {"path": "in", "size": 3}])
def test_one_of_many_that_lacks_what_identifies_it_has_the_other_kind_of_origin(
    tmp_path: Path, meta: dict[str, Any]
) -> None:
    trace = Trace(received_at=time.time(), batch=4)
    with writing(tmp_path) as journal:
        journal.delivered([record(number, trace=trace) for number in range(50)], "billing")
        journal.delivered(
            [record(50, trace=trace, meta=meta), *(record(each, trace=trace) for each in range(51, 100))], "billing"
        )
    found = executions(tmp_path)
    assert [each.origin for each in found] == [
        "path=in size=3" if number == 50 else f"in.jsonl/{number}" for number in range(100)
    ]
    assert {(each.batch, each.received_at, each.attempts) for each in found} == {(4, trace.received_at, 1)}


def test_a_mistake_costs_an_entry_and_not_the_flow(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal("orders", tmp_path, 0, "all", Anonymous(path=Path("in")), tally=Tally())
    for number in (13, 13, 14):
        journal.delivered([record(number)], "billing")
    journal.close()
    assert [each.external_id for each in executions(tmp_path)] == ["order-14"]
    assert [each.getMessage() for each in caplog.records] == ["the journal cannot describe a record; this is said once"]


def test_it_may_be_closed_twice_and_takes_no_harm_from_what_comes_later(tmp_path: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(1)], "billing")
        journal.close()
        journal.delivered([record(2)], "billing")
    assert len(executions(tmp_path)) == 1
