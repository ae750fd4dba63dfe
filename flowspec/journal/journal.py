"""The journal of a flow on one worker: it notes what becomes of records, and never holds them up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import orjson

from flowspec.deadletters.letter import error_of
from flowspec.errors import FlowError
from flowspec.journal.journalist import Journalist
from flowspec.journal.privacy import Privacy, clean, is_small
from flowspec.journal.settings import JournalChoice, JournalSettings
from flowspec.journal.store import Chunk, JournalStore, Outcome
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
_MANY = 20
"""Records that are worth a statement of their own."""
_NUL = b"\\u0000"

_T = TypeVar("_T")
_Row: TypeAlias = tuple[Any, ...]
"""A row of a `Chunk`."""
_Common: TypeAlias = "tuple[float, float | None, int, int] | None"
_Described: TypeAlias = tuple[list[_Row], _Common]
"""The rows of a `Chunk`, and what they have in common."""


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
        self._identifying = _getter(trigger.identified_by)
        self._writing: Journalist | None = None
        self._has_failed = False
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
        self, outcome: Outcome, place: str, items: Sequence[_T], describe: Callable[[Sequence[_T], float], _Described]
    ) -> None:
        if not items or self._writing is None:
            return
        try:
            rows, common = describe(items, time())
            self._writing.write(Chunk(outcome, place, len(items), _packed(rows), common))
        except Exception:  # noqa: BLE001 - see below
            # A mistake of the journal's, or of a trigger's `identity`, must cost an entry and not the flow.
            if not self._has_failed:
                _log.exception("the journal cannot describe a record; this is said once")
            self._has_failed = True

    def _passed(self, records: Sequence[Record], now: float) -> _Described:
        trace = records[0].trace
        # Small ones of a place are written together, which alike ones of different batches are not.
        if len(records) >= _MANY and trace is not None and trace.letter is None and self._privacy.is_plain:
            identifying = self._identifying
            try:
                if identifying is not None and all(record.trace is trace for record in records):
                    rows: list[_Row] = [(record.external_id, identifying(record.meta)) for record in records]
                    if not any(None in origin for _, origin in rows):
                        return rows, (now, trace.received_at or None, 1, trace.batch)
            except KeyError:
                # One of them has not what would identify it.
                pass
        return [self._row(record, now) for record in records], None

    def _row(self, record: Record, now: float) -> _Row:
        trace = record.trace or Trace()
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

    def _failed(self, letters: Sequence[DeadLetter], now: float) -> _Described:
        return [self._failure(letter, now) for letter in letters], None

    def _failure(self, letter: DeadLetter, now: float) -> _Row:
        record = letter.record
        trace = record.trace or Trace()
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
        if self._identifying is not None:
            values = [record.meta.get(name) for name in self._trigger.identified_by]
            if None not in values:
                return values
        return [self._trigger.identity(record) or _described(record.meta)]


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]] | None:
    """Takes the values of several keys out of a dictionary."""
    if len(names) > 1:
        return itemgetter(*names)
    return (lambda meta: (meta[names[0]],)) if names else None


def _packed(rows: list[_Row]) -> bytes:
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
