"""The SQL flow beside a bare psycopg loop, on the same table of PostgreSQL."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from psycopg.rows import dict_row

from benchmarks.clock import Clock, CountedAction
from benchmarks.engine import run
from benchmarks.measure import Contestant, Result, interleaved, note, show
from benchmarks.work import invoice, is_wanted, steps
from flowspec.delivery.run import FlowRun
from flowspec.spec import FlowSpec
from sinks.drop import Drop
from sources.sql import QueryRows
from sources.sql.account import SqlAccount

if TYPE_CHECKING:
    from tests.servers.postgresql import PostgresServer

__all__ = ["main"]

_ROWS = 100_000
_WANTED = _ROWS * 3 // 4
_PAGE = 500
_ROUNDS = 5
_numbers = itertools.count()

_FILL = """
INSERT INTO {table} (order_id, status, total, currency, placed_at, customer)
SELECT 'order-' || n, CASE WHEN n % 4 = 0 THEN 'open' ELSE 'paid' END, 101 + n % 900 + 0.25, 'EUR', now(),
       json_build_object('id', n % 5000, 'email', 'Customer.' || n % 5000 || '@Example.com')
FROM generate_series(1, {rows}) AS n
"""


def _filled(server: PostgresServer) -> str:
    """A table with the rows in it."""
    table = server.create_table(
        "id bigserial PRIMARY KEY, order_id text, status text, total double precision, currency text, "
        "placed_at timestamptz, customer json"
    )
    server.execute(_FILL.format(table=table, rows=_ROWS))
    server.execute(f"VACUUM ANALYZE {table}")
    return table


def _bare(server: PostgresServer, table: str) -> Result:
    """Pages by their last id, rows as dictionaries with their times as texts, filter and map."""
    clock = Clock(_WANTED, _ROWS)
    query = f"SELECT * FROM {table} WHERE id > %s ORDER BY id LIMIT {_PAGE}"
    last = 0
    with closing(server.connect(autocommit=True)) as connection, connection.cursor(row_factory=dict_row) as cursor:
        while page := cursor.execute(query, (last,)).fetchall():
            last = page[-1]["id"]
            for row in page:
                row["placed_at"] = row["placed_at"].isoformat()
            clock.count(len([invoice(row) for row in page if is_wanted(row)]))
    return clock.result()


def _flow(server: PostgresServer, table: str, directory: Path, lag: float) -> Result:
    clock = Clock(_WANTED, _ROWS)
    trigger = QueryRows(
        account=SqlAccount.model_validate(server.account), table=table, cursor_column="id", lag=lag, batch_size=_PAGE
    )
    action = CountedAction(sink=Drop(), clock=clock)
    spec = FlowSpec(name=f"benchmark-{next(_numbers)}", trigger=trigger, steps=steps(), sinks=[action])
    run(spec, FlowRun(spec.name, directory, limit=_ROWS))
    return clock.result()


def main(server: PostgresServer) -> None:
    """Measure, and print the table."""
    table = _filled(server)
    with TemporaryDirectory() as name:
        directory = Path(name)
        contestants: dict[str, Contestant] = {
            "bare psycopg loop": lambda: _bare(server, table),
            "flow, lag 0": lambda: _flow(server, table, directory, 0.0),
            "flow, lag 5 s (the default)": lambda: _flow(server, table, directory, 5.0),
        }
        results = interleaved(contestants, _ROUNDS)
    floor = next(iter(results.values()))
    show(
        "SQL: query, filter, map, drop",
        ["", "rows/s", "rate, ratio to bare", "CPU us/row"],
        (
            [name, f"{result.rate:,.0f}", f"{result.rate / floor.rate:.2f}", f"{result.cpu:.1f}"]
            for name, result in results.items()
        ),
    )
    note(
        f"PostgreSQL on the same machine, {_ROWS:,} rows of seven columns in pages of {_PAGE}, medians of {_ROUNDS} "
        "interleaved runs. The flow saves its cursor on the disk as it goes; the bare loop remembers nothing."
    )
