"""The poller of rows behind a cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from flowspec.errors import FatalError
from flowspec.polling import Page
from flowspec.records import Record
from sources.sql.account import SqlAccount
from sources.sql.keys import ordering_columns, place_of
from sources.sql.session import Session
from sources.sql.statements import BEGINNING, Key, Start, Statements
from sources.sql.values import Plain
from sources.sql.window import RowsCursor, Window

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Select

    from flowspec.connectors import WorkerContext
    from flowspec.polling import Cursor
    from sources.sql.query_rows import QueryRows

__all__ = ["KeysetPoller"]

_BEFORE_NOW = 1_000
"""How many of the rows that are there at the beginning are remembered, so that others among them are known as late."""
_LATE_AT_ONCE = 100
"""How many late rows are asked for by their keys in one query."""
_LOOKING_SHARE = 0.05
"""The most of its time that a poller spends with looking for late rows."""


class KeysetPoller:
    """Reads rows in the order of their cursor and key, and those that were committed late behind them."""

    def __init__(self, trigger: QueryRows, since: Any, context: WorkerContext) -> None:
        self._trigger = trigger
        self._since = since
        self._session = Session(SqlAccount.of(trigger.account), f"trigger-flows {context.flow}", autocommit=True)
        self._statements: Statements | None = None
        self._columns: list[str] = []
        """Those that order the rows."""
        self._has_cursor_parameter = trigger.query is not None and "cursor" in trigger.parameters(trigger.query)
        self._has_key = False
        """Whether they tell each row from all others for sure."""
        self._window: Window | None = None
        self._look_at = 0.0
        """When to look for late rows again, by the monotonic clock."""
        self.what = trigger.query or str(trigger.table)

    def poll(self, cursor: Cursor | None, most: int) -> Page:
        """Late rows, if there are some, or else the next ones."""
        with self._session.connected() as connection:
            statements = self._statements or self._prepare(connection)
            window = self._window or self._begin(connection, statements, cursor)
            window.forget()
            late = self._late(connection, statements, window)
            if late:
                return self._late_page(connection, statements, window, late, most)
            return self._next_page(connection, statements, window, most)

    def cancel(self) -> None:
        """Have the query that is under way fail."""
        self._session.cancel()

    def close(self) -> None:
        """Disconnect."""
        self._session.close()

    def _prepare(self, connection: Connection) -> Statements:
        self._columns, self._has_key = ordering_columns(self._trigger, connection)
        self._statements = Statements(self._trigger, connection.dialect, self._columns)
        query = self._statements.after(Start(("?",) * len(self._columns)), self._trigger.batch_size)
        self.what = " ".join(str(query).split())
        return self._statements

    def _begin(self, connection: Connection, statements: Statements, cursor: Cursor | None) -> Window:
        if cursor is not None:
            begin = RowsCursor.of(cursor)
            if begin.last is not None and len(begin.last) != len(self._columns):
                msg = f"the saved cursor has {len(begin.last)} values, and the rows are ordered by {self._columns}"
                raise FatalError(msg)
        elif self._since == "now":
            begin = self._now(connection, statements)
        else:
            begin = RowsCursor(settled=Start(value=None if self._since == "beginning" else self._since))
        self._window = Window(self._trigger.lag, begin)
        return self._window

    def _now(self, connection: Connection, statements: Statements) -> RowsCursor:
        """The cursor behind all rows that are there, of which the last are known from those that are committed late."""
        keys = [tuple(row) for row in connection.execute(statements.last_keys(_BEFORE_NOW))]
        if not keys:
            return RowsCursor()
        if not self._trigger.lag:
            return RowsCursor(keys[0], Start(keys[0]))
        return RowsCursor(keys[0], BEGINNING if len(keys) < _BEFORE_NOW else Start(keys[-1]), [keys[::-1]])

    def _late(self, connection: Connection, statements: Statements, window: Window) -> list[Key]:
        """The keys of rows that were committed behind others; looked for as often as that costs little."""
        now = time.monotonic()
        if window.last is None or not window.is_open or now < self._look_at:
            return []
        query = statements.keys_between(window.settled, window.last)
        late = [key for row in self._execute(connection, query, window) if (key := tuple(row)) not in window]
        took = time.monotonic() - now
        self._look_at = now + took / _LOOKING_SHARE
        return late

    def _late_page(
        self, connection: Connection, statements: Statements, window: Window, late: Sequence[Key], most: int
    ) -> Page:
        asked = late[: min(most, _LATE_AT_ONCE)]
        before = window.cursor()
        records, keys = self._records(self._execute(connection, statements.having(asked), window))
        # What was deleted meanwhile is not looked for again.
        window.add_late(asked)

        def part(count: int) -> RowsCursor:
            return replace(before, seen=[*before.seen, keys[:count]])

        if len(late) > len(asked):
            self._look_at = 0.0
        return Page(records, window.cursor(), more=True, part=part)

    def _next_page(self, connection: Connection, statements: Statements, window: Window, most: int) -> Page:
        query = statements.after(window.settled if window.last is None else Start(window.last), most)
        before = window.cursor()
        records, keys = self._records(self._execute(connection, query, window))
        window.advance(keys)

        def part(count: int) -> RowsCursor:
            if not self._trigger.lag:
                return RowsCursor(keys[count - 1], Start(keys[count - 1]))
            return RowsCursor(keys[count - 1], before.settled, [*before.seen, keys[:count]])

        return Page(records, window.cursor(), more=len(records) == most, part=part)

    def _execute(self, connection: Connection, query: Select[Any], window: Window) -> CursorResult[Any]:
        parameters = {}
        if self._has_cursor_parameter:
            settled = window.settled
            parameters["cursor"] = settled.value if settled.key is None else settled.key[0]
        return connection.execute(query, parameters)

    def _records(self, result: CursorResult[Any]) -> tuple[list[Record], list[Key]]:
        names = list(result.keys())
        rows = result.fetchall()
        key_of = self._key_of(names)
        keys = [key_of(row) for row in rows]
        if not self._has_key and len(set(keys)) < len(keys):
            msg = f"several rows have the same {', '.join(self._columns)}; name a key_column that tells them apart"
            raise FatalError(msg)
        table, columns = self._trigger.table, self._columns
        bodies = Plain(names, self._trigger.decimals).bodies(rows)
        records = [
            Record(orjson.dumps(body), body, {"table": table, "cursor": {name: body[name] for name in columns}})
            for body in bodies
        ]
        return records, keys

    def _key_of(self, names: list[str]) -> Callable[[Sequence[Any]], Key]:
        places = [place_of(column, names) for column in self._columns]
        if len(places) > 1:
            return itemgetter(*places)
        (place,) = places
        return lambda row: (row[place],)
