"""amazon-s3 / new-objects: lists a prefix, and reads what is new there."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, BinaryIO

from flowspec.errors import FatalError, TransientError
from flowspec.polling import Page
from sources.amazon_s3.bucket import Bucket, ChangedError, Stored
from sources.amazon_s3.fetcher import Fetcher
from sources.amazon_s3.leaving import Leaving, left_of
from sources.amazon_s3.opened import OpenedObject
from sources.amazon_s3.progress import Progress, beginning
from sources.amazon_sqs.account import AwsAccount
from sources.contents import Content, content_format, is_compressed

if TYPE_CHECKING:
    from flowspec.polling import Cursor
    from flowspec.records import Record
    from sources.amazon_s3.trigger import NewObjects
    from sources.contents import Resume, Row

__all__ = ["ObjectPoller"]

_log = logging.getLogger(__name__)

_TURN = 1.0
"""Seconds after which a poll hands over what it has, and how far it has listed."""
_MOST_BYTES = 8 * 1024 * 1024
_NOBODYS = object()
"""A cursor that is none."""


@dataclass(frozen=True)
class _Half:
    """An object that is read on behind some row; from its beginning where there is none."""

    stored: Stored
    after: Resume | None = None


@dataclass
class _Filling:
    """A page, as it is being filled."""

    most: int
    records: list[Record] = field(default_factory=list)
    places: list[_Half] = field(default_factory=list)
    """Where each record is from."""
    ends: list[tuple[int, Stored]] = field(default_factory=list)
    """The objects that came to their end, each with the number of records by then."""
    size: int = 0
    until: float = field(default_factory=lambda: time.monotonic() + _TURN)

    @property
    def is_full(self) -> bool:
        """Whether no more are to come."""
        return len(self.records) >= self.most or self.size >= _MOST_BYTES or time.monotonic() >= self.until

    def add(self, record: Record, place: _Half) -> None:
        """Add the next record."""
        self.records.append(record)
        self.places.append(place)
        self.size += len(record.raw)


class ObjectPoller:
    """Reads the new objects of a prefix one after another; pages may end, and flows be killed, anywhere in one.

    The cursor has what `Progress` remembers, the object that is half read, and those that are to be deleted.
    """

    settles_before_next = False
    """What was read is remembered, deleted or not."""

    def __init__(self, trigger: NewObjects, since: Any) -> None:
        """Poll for a trigger, beginning at `since`.

        Raises:
            FatalError: `since` is nothing to begin at, or the account cannot be used.
        """
        try:
            self._beginning = beginning(trigger.order, since)
        except ValueError as error:
            raise FatalError(str(error)) from None
        self._trigger = trigger
        self._format = content_format(trigger.format)
        self._bucket = Bucket(AwsAccount.of(trigger.account), trigger.bucket, trigger.readers + Leaving.CALLS + 2)
        self._fetcher = Fetcher(self._bucket, trigger.readers)
        self._leaving = Leaving(self._bucket)
        self._cursor: Any = _NOBODYS
        """What the state in memory is the state of."""
        self._object: OpenedObject | None = None
        self.what = f"objects {self._bucket.url}/{trigger.prefix}"

    def poll(self, cursor: Cursor | None, most: int) -> Page:
        """The next rows of objects."""
        self._bucket.resume()
        if cursor is None and self._beginning is None:
            now = self._bucket.list(self._trigger.prefix, "").at
            return Page([], {"since": int(now.timestamp())}, more=True)
        state = self._beginning or {} if cursor is None else cursor
        if cursor is not self._cursor:
            # At the start, and after a poll that failed.
            self._begin(state)
        self._cursor = _NOBODYS
        page = self._next_page(state, most)
        self._cursor = page.cursor
        return page

    def cancel(self) -> None:
        """Have the poll end."""
        self._bucket.cancel()

    def settle(self, cursor: Cursor) -> None:
        """Have the objects deleted that are delivered and are not to stay."""
        self._leaving.settle(cursor.get("leaving", ()))

    def close(self) -> None:
        """Close the connections."""
        self._close_object()
        self._fetcher.close()
        self._leaving.close()
        self._bucket.close()

    def _begin(self, state: dict[str, Any]) -> None:
        """Have the state in memory be the one that a cursor has."""
        self._close_object()
        self._fetcher.forget()
        self._queue: deque[Stored] = deque()
        """New objects, of what was listed last."""
        self._listed: str | None = None
        """The key up to which was listed; None before that."""
        self._more = True
        """Whether there may be something behind it."""
        self._progress = self._progress_of(state)
        self._leaving.begin(state.get("leaving", ()))
        self._half: _Half | None = None
        """The object to go on with."""
        if half := state.get("half"):
            stored = Stored(half["key"], half["etag"], half["size"], datetime.fromisoformat(half["modified"]))
            # What another format had made of it is of no use.
            self._half = _Half(stored, half["after"] if half["format"] == self._format.called else None)

    def _progress_of(self, state: dict[str, Any]) -> Progress:
        return Progress(self._trigger.order, self._trigger.window, state)

    def _next_page(self, state: dict[str, Any], most: int) -> Page:
        page = _Filling(most)
        more = True
        try:
            while more and not page.is_full:
                more = self._go_on(page)
        except TransientError:
            if not page.records:
                raise
            # They are handed over; the next poll goes on behind them, and meets the error if it lasts.
            self._close_object()
            self._fetcher.forget()
        now = self._state(self._progress, self._leaving.state(), self._half)
        if not page.records and now == state:
            now = state
        return Page(page.records, now, more, self._part(state, page))

    def _go_on(self, page: _Filling) -> bool:
        """Do the next thing: take a row, open an object, or list; answers False where there is none at present."""
        half = self._half or (_Half(self._queue[0]) if self._queue else None)
        if half is None:
            return self._list_on()
        try:
            if self._object is None:
                self._object = self._opened(half)
            elif not self._object.at_end:
                record = self._object.take()
                half = _Half(half.stored, self._object.after)
                page.add(record, half)
            self._half = half
            if self._object.at_end:
                self._end(page, half.stored)
        except ChangedError:
            self._read_anew(page, half.stored)
        return True

    def _end(self, page: _Filling, stored: Stored) -> None:
        """Take note that an object is read."""
        self._close_object()
        self._half = None
        if self._queue and self._queue[0].key == stored.key:
            self._queue.popleft()
        self._progress.add(stored)
        if self._trigger.after == "delete":
            self._leaving.add(stored)
        page.ends.append((len(page.records), stored))

    def _read_anew(self, page: _Filling, stored: Stored) -> None:
        """Go on with what there is in place of an object."""
        self._close_object()
        url = f"{self._bucket.url}/{stored.key}"
        found = self._bucket.find(stored.key)
        if found is None:
            _log.warning("%s was deleted before it was read to its end", url)
            self._end(page, stored)
        elif found.etag == stored.etag:
            msg = f"{url} has the ETag {stored.etag}, and is not found by it"
            raise TransientError(msg)
        else:
            _log.warning("%s was replaced before it was read to its end, and is read from its beginning", url)
            self._half = _Half(found)

    def _list_on(self) -> bool:
        """List the next objects; answers False at the end, from where the next poll begins again."""
        if self._listed is not None:
            self._progress.at = self._listed
        if not self._more:
            self._progress.end_sweep()
            self._listed, self._more = None, True
            return False
        listing = self._bucket.list(self._trigger.prefix, self._progress.at)
        if not self._progress.at:
            self._progress.begin_sweep(int(listing.at.timestamp()))
        self._more = listing.more
        for stored in listing.objects:
            if self._is_too_young(stored, listing.at):
                self._more = False
                break
            if self._is_wanted(stored) and self._progress.is_new(stored):
                self._queue.append(stored)
            self._listed = stored.key
        return True

    def _is_too_young(self, stored: Stored, now: datetime) -> bool:
        """Whether objects may still appear before this one."""
        window = self._trigger.window if self._trigger.order == "key" else 0
        # Two times in seconds may differ by a part of one.
        return window > 0 and (now - stored.modified).total_seconds() < window

    def _is_wanted(self, stored: Stored) -> bool:
        # What ends with a slash and is empty is what some tools make in place of a folder.
        is_folder = stored.key.endswith("/") and not stored.size
        return stored.key.endswith(self._trigger.suffix) and not is_folder

    def _opened(self, half: _Half) -> OpenedObject:
        self._fetcher.prepare(self._queue)
        stored, trigger = half.stored, self._trigger
        modified = stored.modified.astimezone(timezone.utc).isoformat(timespec="milliseconds")
        meta = {
            "bucket": trigger.bucket,
            "key": stored.key,
            "etag": stored.etag.strip('"'),
            "size": stored.size,
            "modified_at": modified.replace("+00:00", "Z"),
        }
        compressed = is_compressed(trigger.compression, stored.key)

        def rows(open_at: Callable[[int], BinaryIO]) -> Iterator[Row]:
            return self._format.rows(Content(open_at, trigger.max_row, compressed), half.after)

        return OpenedObject(stored, meta, rows, self._fetcher.open)

    def _close_object(self) -> None:
        if self._object is not None:
            self._object.close()
            self._object = None

    def _state(self, progress: Progress, leaving: list[Any], half: _Half | None) -> dict[str, Any]:
        state = progress.state()
        if leaving:
            state["leaving"] = leaving
        if half is not None:
            stored = half.stored
            state["half"] = {
                "key": stored.key,
                "etag": stored.etag,
                "size": stored.size,
                "modified": stored.modified.isoformat(),
                "format": self._format.called,
                "after": half.after,
            }
        return state

    def _part(self, before: dict[str, Any], page: _Filling) -> Callable[[int], Cursor]:
        """What tells the cursor after the first n records of a page; `before` is that of the page before."""
        is_deleting = self._trigger.after == "delete"

        def after(count: int) -> Cursor:
            progress, leaving = self._progress_of(before), list(before.get("leaving", ()))
            ended = [stored for at, stored in page.ends if at <= count]
            for stored in ended:
                progress.add(stored)
                if is_deleting:
                    leaving.append(list(left_of(stored)))
            last = page.places[count - 1]
            return self._state(progress, leaving, None if last.stored in ended else last)

        return after
