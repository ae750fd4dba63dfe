"""The dead-letter store of a flow: an SQLite file in the state directory."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from flowspec.deadletters import faithful
from flowspec.deadletters.letter import DeadLetter, Letter, error_of
from flowspec.errors import FatalError, RecordError
from flowspec.records import Record, Trace

__all__ = ["LetterStore", "Search"]

_VERSION = 1
_BUSY = 60.0
"""Seconds that a transaction waits for those of other processes."""
_PIECE = 100
"""Letters that are read at once."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS letters(
    id INTEGER PRIMARY KEY AUTOINCREMENT, identity TEXT, part TEXT NOT NULL, sink TEXT NOT NULL, step TEXT NOT NULL,
    external_id TEXT, error TEXT NOT NULL, attempts INTEGER NOT NULL, first_try REAL NOT NULL, last_try REAL NOT NULL,
    next_try REAL, payload BLOB NOT NULL, is_text INTEGER NOT NULL, record TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS letters_identity ON letters(identity, part, sink) WHERE identity IS NOT NULL;
CREATE INDEX IF NOT EXISTS letters_external_id ON letters(external_id);
CREATE INDEX IF NOT EXISTS letters_next_try ON letters(next_try) WHERE next_try IS NOT NULL;
"""
_COLUMNS = "id, part, sink, step, external_id, error, attempts, first_try, last_try, next_try, payload, is_text, record"


@dataclass(frozen=True)
class Search:
    """Which letters are meant; all of them where nothing is said."""

    ids: Collection[int] = ()
    external_id: str | None = None
    step: str | None = None
    """The step or sink that failed."""
    since: float | None = None
    """Those that failed last at that time or later, in seconds since the epoch."""
    given_up: bool = False
    """Only those that are not going to be tried again by themselves."""

    def condition(self) -> tuple[str, list[Any]]:
        """The same in SQL, with its parameters."""
        terms: list[str] = []
        values: list[Any] = []
        if self.ids:
            terms.append(f"id IN ({', '.join('?' * len(self.ids))})")
            values += self.ids
        for column, value in (("external_id = ?", self.external_id), ("step = ?", self.step)):
            if value is not None:
                terms.append(column)
                values.append(value)
        if self.since is not None:
            terms.append("last_try >= ?")
            values.append(self.since)
        if self.given_up:
            terms.append("next_try IS NULL")
        return " AND ".join(terms) or "TRUE", values


class LetterStore:
    """Letters of one flow: those that are given up, and those that are going to be tried again.

    Several processes may use it at a time, and any thread. What was stored is on the disk when a call returns, and
    whole after a crash. The file is made with the first letter; it must not be on a network file system.
    """

    def __init__(self, flow: str, state_dir: Path) -> None:
        """Use the letters of a flow; nothing is touched yet."""
        self.flow = flow
        self.path = state_dir / "dead-letters" / f"{flow}.sqlite"
        self._opened: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def attempts(self, letter: DeadLetter) -> int:
        """How often its record was tried before: it is tried again, or has come again since it was stored."""
        if letter.known is not None:
            return letter.known.attempts
        if letter.identity is None or not self.path.exists():
            return 0
        with self._connection() as connection:
            found = connection.execute(
                "SELECT attempts FROM letters WHERE identity = ? AND part = ? AND sink = ?",
                (letter.identity, _part_text(letter.part), letter.sink),
            ).fetchone()
        return int(found[0]) if found else 0

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Store letters; one of the same record is replaced.

        Raises:
            FatalError: they cannot be stored, so nothing may be acknowledged.
        """
        if not letters:
            return
        now = time.time()
        with self._transaction() as connection:
            for letter in letters:
                _put(connection, letter, now)

    def due(self, most: int, busy: Collection[int]) -> list[Letter]:
        """Letters that are to be tried again now, those that have waited longest first, without those in `busy`."""
        if not self.path.exists():
            return []
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM letters WHERE next_try <= ? ORDER BY next_try, id LIMIT ?",  # noqa: S608 - ours
                (time.time(), most + len(busy)),
            ).fetchall()
        return [_letter(row) for row in rows if row[0] not in busy][:most]

    def waiting(self) -> int:
        """How many are going to be tried again."""
        if not self.path.exists():
            return 0
        with self._connection() as connection:
            return int(connection.execute("SELECT count(*) FROM letters WHERE next_try IS NOT NULL").fetchone()[0])

    def try_now(self, search: Search) -> int:
        """Have the letters that are meant tried again by the flow as soon as it runs; answers how many they are."""
        if not self.path.exists():
            return 0
        condition, values = search.condition()
        with self._transaction() as connection:
            query = f"UPDATE letters SET next_try = ? WHERE {condition}"  # noqa: S608 - made of our own words
            return connection.execute(query, (time.time(), *values)).rowcount

    def remove(self, ids: Sequence[int]) -> None:
        """Remove letters."""
        if ids:
            with self._transaction() as connection:
                connection.executemany("DELETE FROM letters WHERE id = ?", [(each,) for each in ids])

    def find(self, search: Search) -> Iterator[Letter]:
        """The letters that are meant and are there now, in the order in which they came."""
        if not self.path.exists():
            return
        condition, values = search.condition()
        with self._connection() as connection:
            (newest,) = connection.execute("SELECT max(id) FROM letters").fetchone()
        query = f"SELECT {_COLUMNS} FROM letters WHERE id > ? AND id <= ? AND {condition} ORDER BY id LIMIT ?"  # noqa: S608
        last = 0
        while True:
            # In pieces, between which others may write, and remove what was answered.
            with self._connection() as connection:
                rows = connection.execute(query, (last, newest or 0, *values, _PIECE)).fetchall()
            if not rows:
                return
            yield from map(_letter, rows)
            last = rows[-1][0]

    def envelopes(self, search: Search | None = None) -> list[dict[str, Any]]:
        """The letters that are meant, as they are shown; of all, where nothing is said, those that are given up."""
        found = self.find(search or Search(given_up=True))
        return [letter.envelope(self.flow) for letter in found]

    def count(self, search: Search) -> int:
        """How many are meant."""
        if not self.path.exists():
            return 0
        condition, values = search.condition()
        with self._connection() as connection:
            query = f"SELECT count(*) FROM letters WHERE {condition}"  # noqa: S608 - made of our own words
            return int(connection.execute(query, values).fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._opened = self._opened or self._open()
                yield self._opened
            except (sqlite3.Error, OSError) as error:
                msg = f"dead letters cannot be kept in {self.path}: {error}"
                if "not a database" in str(error) or "malformed" in str(error):
                    msg += "; it is damaged: move it away, or put a copy in its place"
                raise FatalError(msg) from error

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, _BUSY, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # The change of the journal does not wait for others that make it at the same time, as transactions do.
    until = time.monotonic() + _BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        msg = f"{path} was made by a newer version of this program; update it"
        raise FatalError(msg)
    if version < _VERSION:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")


def _put(connection: sqlite3.Connection, letter: DeadLetter, now: float) -> None:
    record, known = letter.record, letter.known
    failure = {
        "step": letter.step,
        "external_id": record.external_id and record.external_id.encode("utf-8", "backslashreplace").decode(),
        "error": orjson.dumps(error_of(letter.error)).decode(),
        "attempts": letter.attempts,
        "last_try": now,
        "next_try": letter.next_try,
        "record": _record_text(record),
    }
    changed = ", ".join(f"{name} = :{name}" for name in failure)
    if known is not None and (known.part, known.sink) == (letter.part, letter.sink):
        connection.execute(f"UPDATE letters SET {changed} WHERE id = :id", {**failure, "id": known.id})  # noqa: S608
        known.has_failed_again = True
        return
    raw = record.raw
    row = {
        **failure,
        "identity": letter.identity,
        "part": _part_text(letter.part),
        "sink": letter.sink,
        "first_try": letter.first_try,
        "payload": raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw,
        "is_text": isinstance(raw, str),
    }
    connection.execute(
        f"INSERT INTO letters({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)}) "  # noqa: S608
        f"ON CONFLICT(identity, part, sink) WHERE identity IS NOT NULL DO UPDATE SET {changed}",
        row,
    )


def _record_text(record: Record) -> str:
    trace = record.trace or Trace()
    body = None if isinstance(record.body, RecordError) else record.body
    undecodable = str(trace.body) if isinstance(trace.body, RecordError) else None
    made = None if undecodable else trace.body
    return faithful.dumps([record.meta, record.key, record.headers, body, made, undecodable, trace.after, trace.side])


def _letter(row: Sequence[Any]) -> Letter:
    id_, part, sink, step, external_id, error, attempts, first_try, last_try, next_try, payload, is_text, rest = row
    meta, key, headers, body, made, undecodable, after, side = faithful.loads(rest)
    if undecodable is not None:
        made = RecordError(undecodable)
    parts = tuple(map(int, part.split("."))) if part else ()
    raw = payload.decode("utf-8", "surrogatepass") if is_text else payload
    record = Record(raw, body, meta, key, headers, external_id, Trace(made, parts, after, side))
    return Letter(id_, record, step, sink, orjson.loads(error), attempts, first_try, last_try, next_try, parts)


def _part_text(part: tuple[int, ...]) -> str:
    return ".".join(map(str, part))
