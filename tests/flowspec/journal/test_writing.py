"""Writing a journal where much goes on, or much goes wrong."""

from __future__ import annotations

import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from flowspec.delivery.tally import Tally
from flowspec.journal import journalist
from flowspec.journal.search import JournalReader, Search
from flowspec.journal.store import Counted, journal_path
from sources.testing.flows import PATIENCE, eventually
from tests.flowspec.journal.parts import executions, failure, program, record, writing

_WRITE = """
import sys, time
from pathlib import Path
from tests.flowspec.journal.parts import record, writing

directory, worker, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
several = (10, 50)[worker % 2]
with writing(directory, worker) as journal:
    for number in range(0, count, several):
        journal.delivered([record(worker * 1_000_000 + each) for each in range(number, number + several)], "billing")
        time.sleep(0.0005)
"""

_FILL = """
import logging, resource, signal, sys, time
from pathlib import Path
from flowspec.delivery.tally import Tally
from flowspec.journal import journalist
from tests.flowspec.journal.parts import record, writing

journalist._MOST, journalist._AT_ONCE, journalist._QUIET = 2_000, 500, 0.0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
tally = Tally()
with writing(Path(sys.argv[1]), tally=tally) as journal:
    for number in range(0, 20_000, 100):
        journal.delivered([record(each) for each in range(number, number + 100)], "billing")
        tally.delivered += 100
        time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.delivered([record(20_000)], "billing")
    tally.delivered += 1
    until = time.monotonic() + 60
    while journal._writing._backlog.gap is not None or len(journal._writing._backlog):
        assert time.monotonic() < until, "it is never written"
        time.sleep(0.05)
"""


def check(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def has_written(directory: Path, worker: int) -> bool:
    return sum(each.worker == worker for each in executions(directory, 1_000)) > 500


def test_three_processes_write_the_same_journal_while_it_is_read(tmp_path: Path) -> None:
    count = 10_000
    processes = [program(_WRITE, tmp_path, worker, count) for worker in range(3)]
    reader = JournalReader("orders", tmp_path)
    seen = 0
    last = 0
    while any(process.poll() is None for process in processes):
        if reader.exists():
            found, last = reader.after(last, Search())
            seen += len(found)
    assert [process.wait(PATIENCE) for process in processes] == [0, 0, 0]
    while found := reader.after(last, Search())[0]:
        seen, last = seen + len(found), found[-1].id
    assert seen == 3 * count
    written = {(each.worker, each.external_id) for each in executions(tmp_path, 10 * count)}
    assert Counter(worker for worker, _ in written) == {0: count, 1: count, 2: count}
    assert check(reader.path) == "ok"


def test_a_writer_that_is_killed_leaves_what_it_had_written(tmp_path: Path) -> None:
    for round_ in range(3):
        process = program(_WRITE, tmp_path, round_, 10_000_000)
        try:
            eventually(partial(has_written, tmp_path, round_), "it writes")
            seen = {each.id for each in executions(tmp_path, 1_000)}
        finally:
            process.kill()
            process.wait()
        assert check(journal_path("orders", tmp_path)) == "ok"
        with closing(sqlite3.connect(journal_path("orders", tmp_path))) as connection:
            kept = {number for (number,) in connection.execute("SELECT id FROM executions")}
        assert seen <= kept
    with writing(tmp_path, worker=9) as journal:
        journal.delivered([record(1)], "billing")
    assert executions(tmp_path, 1)[0].worker == 9


def test_a_full_disk_costs_the_oldest_and_is_said_once_in_log_and_journal(tmp_path: Path) -> None:
    process = program(_FILL, tmp_path, output=subprocess.PIPE)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output

    path = journal_path("orders", tmp_path)
    gaps = JournalReader("orders", tmp_path).gaps(None)
    assert f"the journal {path} cannot be written, which is tried again; the flow goes on: " in output
    # What SQLite had in its log may give it some room, so that there is more than one gap.
    assert output.count(f"the journal {path} has a gap: ") == len(gaps) >= 1
    assert output.count(f"the journal {path} is whole again; ") == len(gaps)
    assert executions(tmp_path, 1)[0].external_id == "order-20000"
    assert sum(gap.lost for gap in gaps) + len(executions(tmp_path, 100_000)) == 20_001
    assert all(gap.reason in output and gap.lost > 0 for gap in gaps)
    counted = JournalReader("orders", tmp_path).counted(None)
    assert counted is not None
    assert counted[1] == Counted(delivered=20_001)
    assert check(path) == "ok"


def test_a_directory_that_cannot_be_written_costs_the_journal_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    (state / "journal").parent.mkdir()
    (state / "journal").write_text("a file is in the way")
    with writing(state) as journal:
        journal.delivered([record(1)], "billing")
        eventually(lambda: bool(caplog.records), "it says so")
        journal.failed([failure(record(2))], skipped=False)
    said = [each.getMessage() for each in caplog.records]
    assert len(said) == 2
    assert "cannot be written, which is tried again; the flow goes on: " in said[0]
    assert said[1].startswith("2 executions are not in the journal ")


def test_it_is_written_when_what_was_in_the_way_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "journal").write_text("a file is in the way")
    with writing(tmp_path) as journal:
        journal.delivered([record(1)], "billing")
        eventually(lambda: bool(caplog.records), "it says so")
        (tmp_path / "journal").unlink()
        eventually(lambda: bool(executions(tmp_path)), "it is written")
        eventually(lambda: len(caplog.records) == 2, "it says so as well")
    assert caplog.records[1].getMessage().endswith("orders.sqlite is written again")


def test_another_process_that_holds_the_file_for_long_costs_nothing(tmp_path: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(1)], "billing")
        eventually(lambda: bool(executions(tmp_path)), "it is written")
        with closing(sqlite3.connect(journal_path("orders", tmp_path), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            journal.delivered([record(2)], "billing")
            eventually(lambda: journal._writing is not None and journal._writing._problem is not None, "it has to wait")
            connection.execute("ROLLBACK")
        eventually(lambda: len(executions(tmp_path)) == 2, "the other is written")


def test_what_is_too_old_goes_while_nothing_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journalist, "_LOOK", 0.1)
    with writing(tmp_path, keep={"age": 2}) as journal:
        journal.delivered([record(1)], "billing")
        eventually(lambda: bool(executions(tmp_path)), "it is written")
        eventually(lambda: not executions(tmp_path), "it goes")


def test_counts_that_could_not_be_written_are_not_lost(tmp_path: Path) -> None:
    tally = Tally()
    (tmp_path / "journal").write_text("a file is in the way")
    with writing(tmp_path, tally=tally, level="failures") as journal:
        tally.delivered += 3
        eventually(lambda: journal._writing is not None and journal._writing._problem is not None, "it fails")
        tally.delivered += 4
        (tmp_path / "journal").unlink()
    counted = JournalReader("orders", tmp_path).counted(None)
    assert counted is not None
    assert counted[1] == Counted(delivered=7)
