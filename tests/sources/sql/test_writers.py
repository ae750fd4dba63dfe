"""Rows that are committed out of order, with equal times, while the flow polls and is killed: none is missed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sources.testing.flows import Flow, eventually
from sources.testing.lab import Lab
from tests.servers.database import Database
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile

_WRITERS = 8
_ROWS = 50_000
_IN_TRANSACTION = 50
_KILLS = 5
_SERIAL = {
    SqliteFile: "number INTEGER PRIMARY KEY",
    PostgresServer: "number bigserial PRIMARY KEY",
    MariadbServer: "number bigint AUTO_INCREMENT PRIMARY KEY",
}


class _Writers:
    """Insert rows from several connections at once, whose transactions end in any order."""

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._table = table
        self._mark = "?" if isinstance(database, SqliteFile) else "%s"
        self._done = 0
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(_WRITERS)]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> int:
        """How many rows are committed."""
        assert self._error is None, self._error
        return self._done

    def join(self) -> None:
        for thread in self._threads:
            thread.join(300)
        assert self.done == _ROWS

    def _work(self, number: int) -> None:
        each = _ROWS // _WRITERS
        try:
            with closing(self._database.connect()) as connection, closing(connection.cursor()) as cursor:
                for first in range(number * each, (number + 1) * each, _IN_TRANSACTION):
                    last = min(first + _IN_TRANSACTION, (number + 1) * each)
                    for value in range(first, last):
                        # A clock that ticks ten times in all: thousands of rows have the same time.
                        moment = f"2024-05-01 12:00:0{self._done * 10 // (_ROWS + 1)}"
                        cursor.execute(
                            f"INSERT INTO {self._table} (value, changed) VALUES ({self._mark}, {self._mark})",
                            (value, moment),
                        )
                    connection.commit()
                    with self._lock:
                        self._done += last - first
        except Exception as error:
            self._error = error


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


def _trigger(database: Database, table: str, **fields: Any) -> dict[str, Any]:
    return {
        "connector": "sql",
        "event": "query-rows",
        "account": database.account,
        "table": table,
        "cursor_column": "number",
        "interval": "100ms",
        "lag": "30s",
        "external_id": "value",
        **fields,
    }


_MAP = [{"map": {"id": "value"}}]


def test_rows_of_many_writers_come_exactly_once(database: Database, lab: Lab) -> None:
    table = database.create_table(f"{_SERIAL[type(database)]}, value bigint, changed timestamp")
    with lab.flow(_trigger(database, table, cursor_column="changed"), _MAP).running():
        writers = _Writers(database, table)
        lab.wait_for(_ROWS)
        writers.join()
    lab.delivered_once(range(_ROWS))


def test_rows_of_many_writers_all_come_when_the_flow_is_killed(database: Database, lab: Lab) -> None:
    table = database.create_table(f"{_SERIAL[type(database)]}, value bigint, changed timestamp")
    flow = lab.command(_trigger(database, table), steps=_MAP)
    writers = _Writers(database, table)
    for moment in sorted(random.sample(range(_ROWS // 20, _ROWS - _ROWS // 20), _KILLS)):
        flow.start()
        lab.wait_for(moment)
        flow.kill()
    with flow.running():
        lab.wait_for(_ROWS)
        writers.join()
    lab.delivered_at_least_once(range(_ROWS))
    print(f"{lab.counts().total() - _ROWS} duplicates after {_KILLS} kills")
    eventually(lambda: flow.dead_letters() == [], "nothing failed")
