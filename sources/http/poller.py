"""What http / poll-endpoint finds, page by page."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.expressions import Expression
from flowspec.polling import Cursor, Page
from flowspec.records import Record
from sources.http.addresses import shown
from sources.http.calls import Answer, Call
from sources.http.endpoint import Endpoint
from sources.http.items import ItemsReader, UnexpectedAnswerError
from sources.http.novelty import ByField, ByMemory, ByToken, Entry, Novelty
from sources.http.pages import Location, Read
from sources.http.progress import Progress, Walk
from sources.http.session import Limits, Session

if TYPE_CHECKING:
    from sources.http.account import HttpAccount
    from sources.http.trigger import PollEndpoint

__all__ = ["EndpointPoller"]

_log = logging.getLogger(__name__)

_UNAUTHORIZED = 401
_NOT_MODIFIED = 304
_PAGE_BYTES = 8 * 1024 * 1024
_VALIDATORS = {"etag": "if-none-match", "last-modified": "if-modified-since"}


@dataclass(frozen=True)
class _Batch:
    """What is left of a page of the API."""

    cursor: Cursor | None
    """The one with which it goes on."""
    progress: Progress
    walk: Walk
    entries: Sequence[Entry]
    size: int
    """How many items the whole page has."""
    has_new: bool
    """Whether one of them is new."""
    next: Location | None
    """Where the walk goes on; None where it ends."""
    token: Any
    """What the next poll goes on with, where the API says so."""
    validators: _Validators | None


@dataclass(frozen=True)
class _Validators:
    """By what the server knows that an answer has not changed since."""

    url: str
    headers: dict[str, str]
    cursor: Cursor | None = None
    """The one after that answer."""


class EndpointPoller:
    """Asks for one page at a time; what a page has beyond what was wanted is handed over next."""

    def __init__(self, trigger: PollEndpoint, account: HttpAccount, since: Any) -> None:
        """Begin at `since`, where there is no cursor.

        Raises:
            FatalError: it cannot begin there, or the account cannot be used.
        """
        self._trigger = trigger
        self._since = since
        self._novelty = _novelty(trigger)
        self._novelty.begin(since)
        self._endpoint = Endpoint(trigger, account)
        self.what = self._endpoint.what
        self._session = Session(account, self._endpoint.home, Limits(trigger.max_size))
        self._reader = ItemsReader(trigger.format, trigger.items, trigger.max_size)
        self._batch: _Batch | None = None
        self._unchanged: _Validators | None = None
        self._visited: set[str] = set()
        """Where the pages of this walk are."""
        self._last: tuple[Location | None, bytes] = None, b""
        """Where the last page was, and the digest of its answer."""
        self._began_anew = False
        """Whether a page of this walk was gone before."""

    def poll(self, cursor: Cursor | None, most: int) -> Page:
        """Hand over what is left of the last page, or ask for the next."""
        self._session.rearm()
        if self._batch is None or self._batch.cursor != cursor:
            self._batch = self._fetched(cursor)
        return Page([], cursor) if self._batch is None else self._handed(self._batch, most)

    def cancel(self) -> None:
        """Have the request under way fail."""
        self._session.cancel()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _fetched(self, cursor: Cursor | None) -> _Batch | None:
        """The page behind `cursor`; None where it has not changed."""
        progress = self._novelty.begin(self._since) if cursor is None else Progress.load(cursor)
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        silent = cursor is None and self._since == "now"
        walk = progress.walk or self._novelty.walk(progress, now, silent=silent)
        call, answer = self._asked(progress, walk, cursor)
        is_gone = not answer.is_success and isinstance(self._session.refusal(call, answer), FatalError)
        if walk.at is not None and is_gone and answer.status != _UNAUTHORIZED and not self._began_anew:
            _log.warning("%s: this page is gone, so the poll begins anew: %s", call.at, self._session.told(answer))
            walk = walk.first_page()
            call, answer = self._asked(progress, walk, cursor)
            self._began_anew = answer.is_success
        if answer.status == _NOT_MODIFIED and _VALIDATORS.values() & call.headers.keys():
            return None
        if not answer.is_success:
            raise self._session.refusal(call, answer)
        try:
            return self._taken(progress, walk, call, answer, cursor)
        except UnexpectedAnswerError as error:
            msg = f"{call.at}: {error}; it says {self._session.told(answer)}"
            raise TransientError(msg) from error

    def _asked(self, progress: Progress, walk: Walk, cursor: Cursor | None) -> tuple[Call, Answer]:
        if walk.at is None:
            self._visited.clear()
            self._last = None, b""
        at = walk.at or self._endpoint.first()
        call = self._endpoint.call(progress.value, walk.now, at)
        known = self._unchanged
        if known and progress.walk is None and call.url == known.url and cursor == known.cursor:
            call = replace(call, headers={**call.headers, **known.headers})
        return call, self._session.exchange(call)

    def _taken(self, progress: Progress, walk: Walk, call: Call, answer: Answer, cursor: Cursor | None) -> _Batch:
        whole, records = self._reader.read(answer)
        if self._trigger.key is not None:
            _set_keys(records, self._trigger.key)
        judged = self._novelty.judged(progress, walk, records)
        page = Read(answer, whole, len(records), walk.at or self._endpoint.first())
        goes_on = not (self._trigger.newest_first and judged.has_old)
        following = self._endpoint.next(page) if goes_on else None
        if following is not None:
            self._check_walk(walk, call, page, following)
        self._describe(judged.entries, records, walk, answer)
        return _Batch(
            cursor, progress, walk, judged.entries, len(records),
            has_new=any(entry.is_new for entry in judged.entries),
            next=following,
            token=None if following is not None else self._token(whole),
            validators=_validators(call, answer) if walk.page == 1 else None,
        )  # fmt: skip

    def _check_walk(self, walk: Walk, call: Call, page: Read, following: Location) -> None:
        """See that the walk comes to an end.

        Raises:
            FatalError: it does not, as far as can be seen.
        """
        if walk.page >= self._trigger.max_pages:
            msg = f"{call.at}: the list goes on after max_pages, {walk.page:,}; raise it, or ask for less"
            raise FatalError(msg)
        self._visited |= {_name(page.location), _name({"url": call.url})}
        if _name(following) in self._visited:
            msg = f"{call.at}: page {walk.page} leads back to one that was there before"
            raise FatalError(msg)
        digest = hashlib.sha256(page.answer.body).digest()
        where, last = self._last
        if page.count and digest == last and where != page.location:
            msg = f"{call.at}: page {walk.page} is the same as the one before; check 'pages'"
            raise FatalError(msg)
        self._last = page.location, digest

    def _token(self, whole: Record) -> Any:
        if self._trigger.cursor_token is None:
            return None
        try:
            return self._trigger.cursor_token.value(whole) or None
        except RecordError as error:
            msg = f"cursor_token: {error}"
            raise UnexpectedAnswerError(msg) from error

    def _describe(self, entries: Sequence[Entry], records: Sequence[Record], walk: Walk, answer: Answer) -> None:
        """Give records their metadata."""
        common = {
            "url": shown(answer.url),
            "status": answer.status,
            "page": walk.page,
            "etag": answer.headers.get("etag"),
            "received_at": datetime.now(timezone.utc),
        }
        places = {id(record): place for place, record in enumerate(records, 1)}
        for entry in entries:
            entry.record.meta = {**common, "item": places[id(entry.record)]}

    def _handed(self, batch: _Batch, most: int) -> Page:
        """A part of a page, or what is left of it."""
        taken, ends = _portion(batch.entries, most)
        records = [entry.record for entry in taken if entry.is_new]

        def after(entries: Sequence[Entry]) -> Progress:
            return self._novelty.noted(batch.progress, batch.walk, entries, batch.size)

        def part(count: int) -> Cursor:
            return after(taken[: ends[count - 1]]).saved()

        progress = after(taken)
        if len(taken) < len(batch.entries):
            cursor, more = progress.saved(), True
            self._batch = replace(
                batch,
                cursor=cursor,
                progress=progress,
                walk=progress.walk or batch.walk,
                entries=batch.entries[len(taken) :],
            )
        else:
            cursor, more = self._turned(batch, progress)
            self._batch = None
        return Page(records, cursor, more, part)

    def _turned(self, batch: _Batch, progress: Progress) -> tuple[Cursor, bool]:
        """The cursor after the whole page, and whether there is more at this moment."""
        walk = progress.walk or batch.walk
        if batch.next is not None:
            return replace(progress, walk=walk.next_page(batch.next)).saved(), True
        self._began_anew = False
        ended = self._novelty.ended(progress, walk, batch.token)
        cursor = ended.saved()
        # Nothing new: the cursor stays the very same.
        if batch.cursor is not None and cursor == batch.cursor:
            cursor = batch.cursor
        self._unchanged = batch.validators and replace(batch.validators, cursor=cursor)
        # With another cursor the API may have more, which it held back.
        return cursor, batch.has_new and self._trigger.uses_cursor and ended.value != progress.value


def _novelty(trigger: PollEndpoint) -> Novelty:
    if trigger.cursor_field is not None:
        return ByField(trigger.cursor_field, trigger.key, trigger.remember)
    return (ByMemory if trigger.cursor_token is None else ByToken)(trigger.key, trigger.remember)


def _set_keys(records: Sequence[Record], key: Expression) -> None:
    for record in records:
        if not isinstance(record.body, RecordError):
            try:
                record.key = key.value(record)
            except RecordError as error:
                record.body = RecordError(f"key: {error}")


def _validators(call: Call, answer: Answer) -> _Validators | None:
    headers = {asked: answer.headers[name] for name, asked in _VALIDATORS.items() if name in answer.headers}
    return _Validators(call.url, headers) if headers and call.method == "GET" else None


def _name(location: Location | None) -> str:
    return json.dumps(location)


def _portion(entries: Sequence[Entry], most: int) -> tuple[Sequence[Entry], list[int]]:
    """The first entries, with at most `most` new ones and about as many bytes as may be; and where each of those ends.

    There is always a new one, if there is one at all.
    """
    ends: list[int] = []
    size = 0
    for place, entry in enumerate(entries):
        if entry.is_new:
            if len(ends) == most or size >= _PAGE_BYTES:
                return entries[:place], ends
            ends.append(place + 1)
            size += len(entry.record.raw)
    return entries, ends
