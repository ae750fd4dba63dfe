"""The file of a journal, as its writers see it: SQLite, one for each flow."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowspec.errors import FatalError

if TYPE_CHECKING:
    from flowspec.journal.settings import JournalLevel, Keep

__all__ = [
    "OUTCOMES", "SEGMENT", "VERSION", "Batch", "Chunk", "Counted", "JournalStore", "Outcome", "journal_path",
    "version_problem",
]  # fmt: skip

VERSION = 2
Outcome: TypeAlias = Literal["delivered", "filtered", "retried", "skipped", "dead"]

OUTCOMES: tuple[Outcome, ...] = ("delivered", "filtered", "retried", "skipped", "dead")
"""What can become of a record; the file has their numbers."""
SEGMENT = 16
"""The index of External IDs is in segments of 2 ** 16 executions. In one large index each of the keys, which come in
any order, changes another page; in a segment many change the same, so that writing costs a fraction, however long
the journal is. A search looks into each segment."""

_BUSY = 2.0
"""Seconds that a transaction waits for those of other processes."""
_CACHE_KIB = 8192
_LOG_PAGES = 4000
"""Of SQLite's log, before they are put into the file: pages that change often are put there rarely."""
_VACUUM = 1000
"""Pages that are given back to the file system at a time."""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS executions(
    id INTEGER PRIMARY KEY AUTOINCREMENT, ended_at REAL NOT NULL, received_at REAL, external_id TEXT, origin TEXT,
    outcome INTEGER NOT NULL, place TEXT NOT NULL, attempts INTEGER NOT NULL, batch INTEGER, worker INTEGER NOT NULL,
    error TEXT, fields TEXT, external_ids BLOB, columns BLOB
);
CREATE INDEX IF NOT EXISTS executions_external_id ON executions(id >> {SEGMENT}, external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS executions_batches ON executions(id) WHERE external_ids IS NOT NULL;
CREATE INDEX IF NOT EXISTS executions_outcome ON executions(outcome) WHERE outcome > 1;
CREATE TABLE IF NOT EXISTS minutes(minute INTEGER PRIMARY KEY, first_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counts(
    minute INTEGER NOT NULL, worker INTEGER NOT NULL, received INTEGER NOT NULL, delivered INTEGER NOT NULL,
    filtered INTEGER NOT NULL, failed INTEGER NOT NULL, dead_letters INTEGER NOT NULL, retried INTEGER NOT NULL,
    PRIMARY KEY(minute, worker)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps(
    begun_at REAL NOT NULL, worker INTEGER NOT NULL, ended_at REAL NOT NULL, lost INTEGER NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY(begun_at, worker)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal(only INTEGER PRIMARY KEY CHECK(only = 1), level TEXT NOT NULL);
"""
# One statement takes many rows apart by itself. A call for each row would let go of the interpreter's lock, and wait
# for it again, for each row: beside a busy flow that takes ten times as long.
_ADD = """
INSERT INTO executions(
    ended_at, received_at, external_id, origin, attempts, batch, error, fields, outcome, place, worker
) SELECT
    json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),
    json_extract(value, '$[4]'), json_extract(value, '$[5]'), json_extract(value, '$[6]'), json_extract(value, '$[7]'),
    ?, ?, ? FROM json_each(?)
"""
_ADD_BATCHES = "INSERT INTO executions(ended_at, outcome, place, attempts, worker, external_ids, columns) VALUES "
_BATCH_VALUES = "(?, ?, ?, 1, ?, ?, ?)"
# An index of times would cost more than that of External IDs; rows are in the order in which they were written.
_MARK = "INSERT OR IGNORE INTO minutes SELECT ?, ifnull(max(id), 0) + 1 FROM executions"
_COUNT = """
INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    received = received + excluded.received, delivered = delivered + excluded.delivered,
    filtered = filtered + excluded.filtered, failed = failed + excluded.failed,
    dead_letters = dead_letters + excluded.dead_letters, retried = retried + excluded.retried
"""
_GAP = """
INSERT INTO gaps VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET ended_at = excluded.ended_at, lost = lost + excluded.lost
"""


def journal_path(flow: str, state_dir: Path) -> Path:
    """The file of a flow's journal."""
    return state_dir / "journal" / f"{flow}.sqlite"


def version_problem(version: int) -> str | None:
    """Why a journal that has this version cannot be used; 0 is that of a file in which nothing is yet."""
    if version > VERSION:
        return "was made by a newer version of this program; update it"
    if 0 < version < VERSION:
        return "was made by an older version of this program, which kept it differently; remove it to begin anew"
    return None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Executions that ended together, at the same place, the same way; each has a row of its own."""

    outcome: Outcome
    place: str
    """Id of the step or sink."""
    count: int
    content: bytes
    """JSON of each, without the brackets around all: `[ended_at, received_at, external_id, origin, attempts, batch]`,
    where `origin` is a list, and behind them `error` and `fields` where there are such."""

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Batch(Chunk):
    """Many that went well at the first attempt; they have one row together, with `packed` columns as its content."""

    ended_at: float
    external_ids: bytes
    """JSON of them, which a search reads through."""

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.content) + len(self.external_ids)


@dataclass(frozen=True, slots=True)
class Counted:
    """Records that a worker counted."""

    received: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    dead_letters: int = 0
    retried: int = 0

    def __sub__(self, other: Counted) -> Counted:
        """What came since `other` was counted."""
        return Counted(*(mine - its for mine, its in zip(astuple(self), astuple(other), strict=True)))


class JournalStore:
    """Writes the journal of a flow for one worker; those of others write to the same file.

    Every call is a short transaction, whole after a crash of the process. A power failure may cost the last of them.
    The file is made by the first; it must not be on a network file system. For one thread at a time.

    Calls raise `sqlite3.Error` or `OSError`, and nothing of them is written then.
    """

    def __init__(self, flow: str, state_dir: Path, worker: int, level: JournalLevel, keep: Keep) -> None:
        self.path = journal_path(flow, state_dir)
        self._worker = worker
        self._level = level
        self._keep = keep
        self._opened: sqlite3.Connection | None = None

    def add(self, chunks: Sequence[Chunk]) -> int:
        """Write executions; answers how many rows they have."""
        together: dict[tuple[int, str], list[bytes]] = {}
        batches: list[tuple[Any, ...]] = []
        for chunk in chunks:
            number = OUTCOMES.index(chunk.outcome)
            if isinstance(chunk, Batch):
                batches.append((chunk.ended_at, number, chunk.place, self._worker, chunk.external_ids, chunk.content))
            else:
                together.setdefault((number, chunk.place), []).append(chunk.content)
        with self._transaction() as connection:
            connection.execute(_MARK, (int(time.time() // 60),))
            if batches:
                values = ", ".join([_BATCH_VALUES] * len(batches))
                connection.execute(_ADD_BATCHES + values, tuple(chain.from_iterable(batches)))
            for (number, place), rows in together.items():
                text = (b"[" + b",".join(rows) + b"]").decode()
                connection.execute(_ADD, (number, place, self._worker, text))
        return sum(1 if isinstance(chunk, Batch) else chunk.count for chunk in chunks)

    def count(self, counted: Counted) -> None:
        """Add to the counts of the minute."""
        with self._transaction() as connection:
            connection.execute(_COUNT, (int(time.time() // 60), self._worker, *astuple(counted)))

    def miss(self, since: float, lost: int, reason: str) -> None:
        """Note that executions are missing, from a time until now; more of the same gap are added to it."""
        with self._transaction() as connection:
            connection.execute(_GAP, (since, self._worker, time.time(), lost, reason))

    def prune(self, most: int) -> bool:
        """Remove at most `most` rows that are too old or too much; answers whether there may be more of them."""
        too_old = time.time() - self._keep.age
        removed = 0
        with self._transaction() as connection:
            first, last = connection.execute("SELECT min(id), max(id) FROM executions").fetchone()
            pages, free, page_size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            if first is not None:
                # Rows of batches are large: no more of them than it takes, as far as that can be told.
                surplus = 1 - self._keep.size / ((pages - free) * page_size)
                too_much = 1 + int(surplus * (last - first)) if surplus > 0 else 0
                removed = connection.execute(
                    "DELETE FROM executions WHERE id < ? AND (id < ? OR ended_at < ?)",
                    (first + most, first + too_much, too_old),
                ).rowcount
            connection.execute("DELETE FROM minutes WHERE minute < ?", (too_old // 60,))
            connection.execute("DELETE FROM counts WHERE minute < ?", (too_old // 60,))
            connection.execute("DELETE FROM gaps WHERE ended_at < ?", (too_old,))
        if pages * page_size > self._keep.size:
            # A script, since `execute` does only the first step of it, which is one page.
            connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM})")
        return removed > 0

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._opened is not None and not self.path.exists():
            # Somebody removed it, to begin anew.
            self.close()
        self._opened = self._opened or self._open()
        try:
            self._opened.execute("BEGIN IMMEDIATE")
            yield self._opened
            self._opened.execute("COMMIT")
        except BaseException:
            # Closing takes back what was not committed; a new connection is not held up by what ailed this one.
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, _BUSY, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Of a new file only.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if problem := version_problem(version):
            msg = f"it {problem}"
            raise FatalError(msg)
        level = f"INSERT OR REPLACE INTO journal VALUES (1, '{self._level}')"  # noqa: S608 - a literal
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {level}; PRAGMA user_version = {VERSION}; COMMIT;")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let readers and a writer go on beside each other; the change does not wait for others that make it too."""
    until = time.monotonic() + _BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
