"""The journal of a flow on one worker: it notes what becomes of records, and never holds them up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import orjson

from flowspec.deadletters.letter import error_of
from flowspec.errors import FlowError
from flowspec.journal.batches import Columns, packed
from flowspec.journal.journalist import Journalist
from flowspec.journal.privacy import Privacy, clean, is_small
from flowspec.journal.settings import JournalChoice, JournalSettings
from flowspec.journal.store import Batch, Chunk, JournalStore, Outcome
from flowspec.records import Record, Trace

if TYPE_CHECKING:
    from flowspec.connectors import Trigger
    from flowspec.deadletters.letter import DeadLetter
    from flowspec.delivery.tally import Tally

__all__ = ["Journal"]

_log = logging.getLogger(__name__)

_LONGEST_ORIGIN = 300
"""Characters of an origin that is made of all that the trigger's system says."""
_LONGEST_VALUE = 100
"""Characters of a value in it: receipts and tokens are longer, and tell nobody anything."""
_MANY = 50
"""Records that are worth a row of the file together."""
_NUL = b"\\u0000"

_T = TypeVar("_T")
_Row: TypeAlias = tuple[Any, ...]
"""A row of a `Chunk`."""
_NOWHERE = Trace()
"""Where a record has been of which that is not known."""


class Journal:
    """Notes what becomes of the records of a flow on one worker.

    Its methods are for the worker's thread and only put together what is to be written; a thread of the journal's own
    writes it within a second. They never raise, and never wait: where the disk cannot keep up, the journal has a gap,
    and says so. What a `kill -9` costs is that last second.
    """

    def __init__(
        self,
        flow: str,
        state_dir: Path,
        worker: int,
        settings: JournalChoice,
        trigger: Trigger,
        *,
        tally: Tally,
    ) -> None:
        """Begin; nothing is touched on the disk before there is something to write.

        Args:
            flow: Name of the flow.
            state_dir: Where the journal is kept.
            worker: Number of the worker.
            settings: What the spec says of the journal.
            trigger: Says where a record is from; where it cannot identify it, the origin is what `meta` says.
            tally: What the worker counts, from which the journal has its counts.
        """
        settings = JournalSettings.of(settings)
        self.keeps_all = settings.level == "all"
        """Whether it is told of every record."""
        self._trigger = trigger
        self._writing: Journalist | None = None
        self._has_failed = False
        self._last_described: tuple[dict[str, Any], str] = ({}, "")
        if settings.level != "off":
            store = JournalStore(flow, state_dir, worker, settings.level, settings.keep)
            self._privacy = Privacy(settings, store.path.parent)
            self._writing = Journalist(store, tally)

    def delivered(self, records: Sequence[Record], sink: str) -> None:
        """A sink has confirmed records. Where not all are kept, those that failed before are."""
        if not self.keeps_all:
            if self._writing is None:
                return
            records = [record for record in records if record.trace is not None and record.trace.letter is not None]
        self._note("delivered", sink, records, self._passed)

    def filtered(self, records: Sequence[Record], step: str) -> None:
        """A step has dropped records on purpose; to be called where all are kept."""
        self._note("filtered", step, records, self._passed)

    def retrying(self, letters: Sequence[DeadLetter]) -> None:
        """Records have failed at one step or sink, and are tried again later."""
        self._note_failures("retried", letters)

    def failed(self, letters: Sequence[DeadLetter], skipped: bool) -> None:
        """Records have failed at one step or sink for good: they are dead letters now, or `skipped` lets them go."""
        self._note_failures("skipped" if skipped else "dead", letters)

    def close(self) -> None:
        """Write what is left, for some seconds at most; what then is not on the disk is lost, and the log says so.

        May be called again. Never raises.
        """
        if self._writing is not None:
            self._writing.close()

    def _note_failures(self, outcome: Outcome, letters: Sequence[DeadLetter]) -> None:
        for place in dict.fromkeys(letter.step for letter in letters):
            self._note(outcome, place, [letter for letter in letters if letter.step == place], self._failed)

    def _note(
        self,
        outcome: Outcome,
        place: str,
        items: Sequence[_T],
        describe: Callable[[Outcome, str, Sequence[_T], float], Chunk],
    ) -> None:
        if not items or self._writing is None:
            return
        try:
            self._writing.write(describe(outcome, place, items, time()))
        except Exception:  # noqa: BLE001 - see below
            # A mistake of the journal's, or of a trigger's `identity`, must cost an entry and not the flow.
            if not self._has_failed:
                _log.exception("the journal cannot describe a record; this is said once")
            self._has_failed = True

    def _passed(self, outcome: Outcome, place: str, records: Sequence[Record], now: float) -> Chunk:
        if len(records) >= _MANY and self._privacy.is_plain and (columns := self._columns(records)):
            try:
                external_ids = orjson.dumps([record.external_id for record in records])
                content = packed(columns)
            except TypeError:
                # What JSON does not have is told apart one by one.
                pass
            else:
                if _NUL not in external_ids and _NUL not in content:
                    return Batch(outcome, place, len(records), content, now, external_ids)
        return Chunk(outcome, place, len(records), _rows([self._row(record, now) for record in records]))

    def _columns(self, records: Sequence[Record]) -> Columns | None:
        """What is kept of many records beside their External IDs; None where one of them failed before."""
        traces = [record.trace or _NOWHERE for record in records]
        if traces[0] is traces[-1] and traces.count(traces[0]) == len(traces):
            # All that a stream hands over together have one.
            traces = traces[:1]
        if any(trace.letter for trace in traces):
            return None
        times, batches = [trace.received_at for trace in traces], [trace.batch for trace in traces]
        return [times, batches, *self._origins(records)]

    def _origins(self, records: Sequence[Record]) -> list[list[Any]]:
        metas = [record.meta for record in records]
        try:
            columns = [[meta[name] for meta in metas] for name in self._trigger.identified_by]
        except KeyError:
            columns = []
        if not columns or any(None in column for column in columns):
            return [["/".join(map(str, self._origin(record))) for record in records]]
        return columns

    def _row(self, record: Record, now: float) -> _Row:
        trace = record.trace or _NOWHERE
        return (
            now,
            trace.received_at or None,
            self._privacy.external_id(record.external_id),
            self._origin(record),
            1 if trace.letter is None else trace.letter.attempts + 1,
            trace.batch,
            None,
            self._privacy.fields(record.body),
        )

    def _failed(self, outcome: Outcome, place: str, letters: Sequence[DeadLetter], now: float) -> Chunk:
        return Chunk(outcome, place, len(letters), _rows([self._failure(letter, now) for letter in letters]))

    def _failure(self, letter: DeadLetter, now: float) -> _Row:
        record = letter.record
        trace = record.trace or _NOWHERE
        return (
            now,
            trace.received_at or letter.first_try,
            self._privacy.external_id(record.external_id),
            self._origin(record),
            letter.attempts,
            trace.batch,
            self._privacy.error(_error_text(letter.error), record),
            self._privacy.fields(record.body),
        )

    def _origin(self, record: Record) -> Sequence[Any]:
        values = [record.meta.get(name) for name in self._trigger.identified_by]
        if values and None not in values:
            return values
        return [self._trigger.identity(record) or self._described(record.meta)]

    def _described(self, meta: dict[str, Any]) -> str:
        # Often the system says the same of one record after the other.
        if meta != self._last_described[0]:
            self._last_described = (meta, _described(meta))
        return self._last_described[1]


def _rows(rows: list[_Row]) -> bytes:
    """Rows as JSON, without the brackets around all."""
    try:
        text = orjson.dumps(rows)
    except orjson.JSONEncodeError:
        pass
    else:
        if _NUL not in text:
            return text[1:-1]
    return orjson.dumps([[_cleaned(value) for value in row] for row in rows])[1:-1]


def _cleaned(value: Any) -> Any:
    """What of a row, or of an origin in it, cannot be written as it is, as a text."""
    if isinstance(value, (list, tuple)):
        return [_cleaned(item) for item in value]
    return value if value is None or isinstance(value, float) or is_small(value) else clean(value)


def _error_text(error: BaseException) -> str:
    kept = error_of(error)
    if isinstance(error, FlowError) and kept["message"]:
        return str(kept["message"])
    return f"{kept['type']}: {kept['message']}" if kept["message"] else str(kept["type"])


def _described(meta: dict[str, Any]) -> str:
    """What can be read of what the trigger's system says about a record."""
    texts = [
        f"{name}={value}"
        for name, value in meta.items()
        if isinstance(value, (int, float)) or (isinstance(value, str) and 0 < len(value) <= _LONGEST_VALUE)
    ]
    return " ".join(texts)[:_LONGEST_ORIGIN]
