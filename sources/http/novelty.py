"""Which items of an answer are new: by a value of each, by a token of the API, or by memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flowspec.errors import FatalError, RecordError
from sources.http.progress import Progress, Walk, identity
from sources.http.values import Rank, plain, rank

if TYPE_CHECKING:
    from flowspec.expressions import Expression
    from flowspec.records import Record

__all__ = ["ByField", "ByMemory", "ByToken", "Entry", "Judged", "Novelty"]


@dataclass(slots=True)
class Entry:
    """An item that the walk takes care of."""

    identity: str
    record: Record
    is_new: bool
    """Whether it is handed over."""
    value: Any = None
    """Its value of the cursor."""
    is_odd: bool = False
    """Whether it has none."""


@dataclass(frozen=True)
class Judged:
    """What is in a page."""

    entries: list[Entry]
    has_old: bool
    """Whether, with the newest first, nothing that follows is new."""


class Novelty(ABC):
    """Tells what is new from what is known, and takes note of what was handed over."""

    def __init__(self, key: Expression | None, remember: int) -> None:
        self._key = key
        self._remember = remember

    def begin(self, since: Any) -> Progress:
        """Where a flow begins that has no cursor.

        Raises:
            FatalError: it cannot begin there.
        """
        return Progress() if since in ("beginning", "now") else self._behind(since)

    def walk(self, progress: Progress, now: str, *, silent: bool) -> Walk:
        """A new walk."""
        return Walk(now, silent=silent)

    @abstractmethod
    def judged(self, progress: Progress, walk: Walk, records: Sequence[Record]) -> Judged:
        """Which items of a page are new.

        Raises:
            FatalError: none can be judged, so the spec must be wrong.
        """

    @abstractmethod
    def noted(self, progress: Progress, walk: Walk, entries: Sequence[Entry], least: int) -> Progress:
        """The progress after some entries; at least the last `least` of them are remembered.

        Raises:
            FatalError: there is more to remember than may be.
        """

    @abstractmethod
    def ended(self, progress: Progress, walk: Walk, token: Any) -> Progress:
        """The progress after the last page of a walk, which had `token`."""

    @abstractmethod
    def _behind(self, since: Any) -> Progress:
        """Begin behind a value."""

    def _identity(self, record: Record, value: Any = None) -> str:
        if isinstance(record.body, RecordError):
            return identity(record.raw)
        what = record.body if self._key is None else record.key
        return identity(what if value is None else [what, value])

    def _check(self, identities: Sequence[str], what: str) -> None:
        if len(identities) > self._remember:
            msg = f"{what}, more than the {self._remember:,} that `remember` allows"
            raise FatalError(msg)


class ByField(Novelty):
    """By a value that each item has, which grows: what is higher than all that was seen is new."""

    def __init__(self, field: Expression, key: Expression | None, remember: int) -> None:
        super().__init__(key, remember)
        self._field = field

    def walk(self, progress: Progress, now: str, *, silent: bool) -> Walk:
        """A walk that has met what the last one ended with."""
        return Walk(now, silent=silent, top=progress.value, ties=progress.seen or ())

    def judged(self, progress: Progress, walk: Walk, records: Sequence[Record]) -> Judged:
        """Items that are higher than the watermark, or as high and not seen yet; and those that have no value."""
        mark = None if progress.value is None else rank(progress.value)
        values = [self._value(record) for record in records]
        kind = self._kind(progress.value if walk.top is None else walk.top, values)
        known, odd = {*(progress.seen or ()), *walk.listed}, set(progress.odd)
        entries: list[Entry] = []
        ranks: list[Rank] = []
        for record, value in zip(records, values, strict=True):
            fault = _fault(value, kind)
            if fault is not None:
                own = self._identity(record)
                if own not in odd:
                    odd.add(own)
                    record.body = fault
                    entries.append(Entry(own, record, not walk.silent, is_odd=True))
                continue
            order = rank(value)
            ranks.append(order)
            if mark is not None and (order < mark or (order == mark and progress.seen is None)):
                continue
            own = self._identity(record, value)
            if own not in known:
                known.add(own)
                entries.append(Entry(own, record, not walk.silent, value))
        if entries and not ranks and (progress.value is None or progress.seen is None) and not walk.listed:
            msg = f"no item of the first page has a cursor: {entries[0].record.body}"
            raise FatalError(msg)
        least = max(ranks, default=None) if walk.silent else mark
        return Judged(entries, least is not None and any(order < least for order in ranks))

    def noted(self, progress: Progress, walk: Walk, entries: Sequence[Entry], least: int) -> Progress:
        """With the highest value, and those that have it."""
        top, ties = walk.top, list(walk.ties)
        highest = None if top is None else rank(top)
        for entry in entries:
            if entry.is_odd:
                continue
            order = rank(entry.value)
            if highest is None or order > highest:
                top, highest, ties = entry.value, order, []
            if order == highest:
                ties.append(entry.identity)
        self._check(ties, f"{len(ties):,} items have the same cursor {top!r}: choose a finer cursor_field; it has")
        odd = (*progress.odd, *(entry.identity for entry in entries if entry.is_odd))
        self._check(odd, f"{len(odd):,} items have no cursor")
        listed = (*walk.listed, *(entry.identity for entry in entries if not entry.is_odd))
        listed = listed[-max(least, self._remember) :]
        return replace(progress, odd=odd, walk=replace(walk, top=top, ties=tuple(ties), listed=listed))

    def ended(self, progress: Progress, walk: Walk, token: Any) -> Progress:
        """The highest value is the new watermark."""
        seen = None if progress.seen is None and walk.top == progress.value else walk.ties
        return Progress(walk.top, seen, progress.odd)

    def _behind(self, since: Any) -> Progress:
        try:
            return Progress(plain(since), seen=None)
        except RecordError as error:
            msg = f"since: {error}"
            raise FatalError(msg) from error

    def _value(self, record: Record) -> Any:
        """Its value, or the error that says why it has none."""
        if isinstance(record.body, RecordError):
            return record.body
        try:
            return plain(self._field.value(record))
        except RecordError as error:
            return RecordError(f"cursor_field: {error}")

    def _kind(self, known: Any, values: Sequence[Any]) -> str | None:
        """The kind of values that can be compared with the known one, or that most have."""
        if known is not None:
            return rank(known)[0]
        kinds = Counter(rank(value)[0] for value in values if not isinstance(value, RecordError))
        return kinds.most_common(1)[0][0] if kinds else None


def _fault(value: Any, kind: str | None) -> RecordError | None:
    """Why a value cannot be compared with others, if it cannot."""
    if isinstance(value, RecordError):
        return value
    own = rank(value)[0]
    return (
        None if own == kind else RecordError(f"cursor_field: {value!r} is a {own}, and the cursor so far is a {kind}")
    )


class ByToken(Novelty):
    """By a token that the API gives with its answer, and takes with the next request: all that comes is new."""

    def judged(self, progress: Progress, walk: Walk, records: Sequence[Record]) -> Judged:
        """Items that did not come with this token before."""
        known = {*(progress.seen or ()), *walk.listed}
        entries: list[Entry] = []
        for record in records:
            own = self._identity(record)
            if own not in known:
                known.add(own)
                entries.append(Entry(own, record, not walk.silent))
        return Judged(entries, has_old=False)

    def noted(self, progress: Progress, walk: Walk, entries: Sequence[Entry], least: int) -> Progress:
        """With the identities of what came with this token."""
        listed = (*walk.listed, *(entry.identity for entry in entries))[-max(least, self._remember) :]
        return replace(progress, walk=replace(walk, listed=listed))

    def ended(self, progress: Progress, walk: Walk, token: Any) -> Progress:
        """The token is the new cursor. An API that gives none answers the same again, which is known then."""
        if token is None or token == progress.value:
            return Progress(progress.value, ((progress.seen or ()) + walk.listed)[-self._remember :])
        return Progress(token)

    def _behind(self, since: Any) -> Progress:
        return Progress(since)


class ByMemory(Novelty):
    """By memory: what was listed before is known, as long as it is listed or is not too long ago."""

    def judged(self, progress: Progress, walk: Walk, records: Sequence[Record]) -> Judged:
        """Items that are not remembered."""
        seen, listed = set(progress.seen or ()), set(walk.listed)
        entries: list[Entry] = []
        has_new = False
        for record in records:
            own = self._identity(record)
            has_new |= own not in seen
            if own not in listed:
                listed.add(own)
                entries.append(Entry(own, record, own not in seen and not walk.silent))
        return Judged(entries, has_old=not has_new and bool(records))

    def noted(self, progress: Progress, walk: Walk, entries: Sequence[Entry], least: int) -> Progress:
        """With what is listed now."""
        listed = (*walk.listed, *(entry.identity for entry in entries))
        self._check(
            listed, f"without cursor_field or cursor_token every item is remembered, and {len(listed):,} are listed"
        )
        return replace(progress, walk=replace(walk, listed=listed))

    def ended(self, progress: Progress, walk: Walk, token: Any) -> Progress:
        """What is listed now is remembered longest."""
        seen, listed = progress.seen or (), set(walk.listed)
        if listed <= set(seen):
            return Progress(seen=seen)
        return Progress(seen=((*(each for each in seen if each not in listed), *walk.listed))[-self._remember :])

    def _behind(self, since: Any) -> Progress:
        msg = "since: without cursor_field or cursor_token a flow begins at the 'beginning', or 'now'"
        raise FatalError(msg)
