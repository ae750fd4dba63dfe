"""Making the requests of a batch, in order where order counts, and finding the records that the server refuses."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowspec.errors import FlowError, RecordError, TransientError
from flowspec.expressions import Template
from flowspec.formats import encode_all, encoder, format_name
from flowspec.records import Failure, Record
from sinks.http.keys import digest, idempotency_key
from sources.http.addresses import home_of, joined
from sources.http.calls import Answer, Call
from sources.http.errors import is_passing, retry_after
from sources.http.filled import filled_headers, filled_url
from sources.http.refusals import check_refusal, may_be_due_to_content, refused
from sources.http.session import Limits, Session

if TYPE_CHECKING:
    from sinks.http.action import Request
    from sources.http.account import HttpAccount

__all__ = ["CONTENT_TYPES", "Requester"]

_ANSWER = 64 * 1024
"""Bytes of an answer that are read: an error has the beginning of its text."""
CONTENT_TYPES = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "bytes": "application/octet-stream",
}


@dataclass(slots=True)
class _Item:
    """A record on its way."""

    place: int
    """In the batch, so that what failed is tried again in order."""
    record: Record
    payload: bytes | None
    url: str
    headers: dict[str, str]
    key: str
    """By which the server knows it again."""
    order: str
    """What it has in common with those that it must not overtake; empty without one."""
    error: FlowError | None = None


class Requester:
    """Writes records as requests."""

    def __init__(self, action: Request, account: HttpAccount) -> None:
        self._action = action
        self._base_url = account.base_url
        self._home = home_of(joined(account.base_url, action.url.source))
        limits = Limits(_ANSWER, action.timeout, cut=True, strays=False)
        self._session = Session(account, self._home, limits, action.parallel)
        self._encode = encoder(action.format)
        self._has_body = action.body is not None or action.method not in ("DELETE", "GET")
        self._content_type = CONTENT_TYPES.get(format_name(action.format))
        self._is_constant = "{" not in action.url.source
        self._is_known = account.has_credentials
        self._attempts: dict[int, int] = {}
        """How often those of the last write that the server could not process were sent, by identity of the record."""
        self._obstacle: TransientError | None = None
        """Why no more requests are made in this write."""
        self._pool = ThreadPoolExecutor(action.parallel, "http-request") if action.parallel > 1 else None

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Make the requests, and wait for the answer of each."""
        items, failures = self._items(records)
        self._obstacle = None
        lanes = self._lanes(items)
        if self._pool is None:
            for lane in lanes:
                self._send(lane)
        else:
            list(self._pool.map(self._send, lanes))
        failed = [item for item in items if item.error is not None]
        waiting = {id(item.record) for item in failed if isinstance(item.error, TransientError)}
        self._attempts = {record: count for record, count in self._attempts.items() if record in waiting}
        return failures + [Failure(item.record, item.error) for item in failed if item.error is not None]

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.shutdown()
        self._session.close()

    def _items(self, records: Sequence[Record]) -> tuple[list[_Item], list[Failure]]:
        failures: list[Failure] = []
        payloads: Sequence[bytes | None]
        if self._action.body is not None or not self._has_body:
            payloads = [None] * len(records)
        else:
            records, payloads, failures = encode_all(records, self._encode)
        items: list[_Item] = []
        for place, (record, payload) in enumerate(zip(records, payloads, strict=True)):
            try:
                items.append(self._item(place, record, payload))
            except RecordError as error:
                failures.append(Failure(record, error))
            except UnicodeEncodeError as error:
                failures.append(Failure(record, RecordError(f"it has a character that UTF-8 does not have: {error}")))
        return items, failures

    def _item(self, place: int, record: Record, payload: bytes | None) -> _Item:
        action = self._action
        if action.body is not None:
            payload = action.body.value(record).encode("utf-8")
        url = filled_url(self._base_url, action.url.value(record), _texts(action.query, record))
        headers = {"content-type": self._content_type} if self._content_type and self._has_body else {}
        headers |= filled_headers(_texts(action.headers, record))
        order = record.key if action.order_key is None else action.order_key.value(record)
        key = idempotency_key(action.idempotency_key, record, url, payload or b"")
        return _Item(place, record, payload, url, headers, key, "" if order is None else str(order))

    def _lanes(self, items: Sequence[_Item]) -> list[list[_Item]]:
        """Items that are sent one after the other; those with the same order are in one lane."""
        lanes: list[list[_Item]] = [[] for _ in range(self._action.parallel)]
        for item in items:
            place = item.place if not item.order else zlib.crc32(item.order.encode("utf-8", "surrogatepass"))
            lanes[place % len(lanes)].append(item)
        return [lane for lane in lanes if lane]

    def _send(self, lane: Sequence[_Item]) -> None:
        waiting: dict[str, FlowError] = {}
        for items in self._requests(lane):
            self._try(items, waiting)

    def _try(self, items: Sequence[_Item], waiting: dict[str, FlowError]) -> None:
        """Send items in one request, but for those that have to wait: `waiting` has why, by their order."""
        for item in items:
            item.error = self._obstacle or waiting.get(item.order or "")
        ready = [item for item in items if item.error is None]
        if ready:
            self._deliver(ready, waiting)
        for item in items:
            if item.order and isinstance(item.error, TransientError):
                waiting.setdefault(item.order, item.error)

    def _requests(self, lane: Sequence[_Item]) -> Iterator[list[_Item]]:
        """The items of each request."""
        if self._action.batch == "single":
            yield from ([item] for item in lane)
            return
        request: list[_Item] = []
        for item in lane:
            is_other = request and (item.url, item.headers) != (request[0].url, request[0].headers)
            if is_other or len(request) == self._action.max_items:
                yield request
                request = []
            request.append(item)
        if request:
            yield request

    def _deliver(self, items: Sequence[_Item], waiting: dict[str, FlowError]) -> None:
        """Make one request; items that the server does not take get their error.

        Raises:
            FatalError: no other item would do better.
        """
        call = self._call(items)
        try:
            answer = self._session.exchange(call)
        except TransientError as error:
            # Whoever cannot be reached for one record cannot be reached for the next.
            self._obstacle = error
            _fail(items, error)
            return
        if answer.is_success:
            return
        if not is_passing(answer.status):
            check_refusal(self._session, call, answer, is_constant=self._is_constant, is_known=self._is_known)
            self._refuse(items, waiting, call, answer)
        elif may_be_due_to_content(answer.status) and self._is_over(items):
            self._refuse(items, waiting, call, answer)
        else:
            failed = TransientError(refused(self._session, call, answer), retry_after=retry_after(answer.headers))
            if not may_be_due_to_content(answer.status):
                self._obstacle = failed
            _fail(items, failed)

    def _call(self, items: Sequence[_Item]) -> Call:
        first = items[0]
        headers, content, key = dict(first.headers), first.payload, first.key
        if self._action.batch == "array":
            content = b"[" + b",".join(item.payload or b"" for item in items) + b"]"
            key = digest(*(item.key.encode() for item in items))
        if self._action.idempotency_header is not None:
            headers.setdefault(self._action.idempotency_header.lower(), key)
        return Call(self._action.method, first.url, headers, content)

    def _refuse(self, items: Sequence[_Item], waiting: dict[str, FlowError], call: Call, answer: Answer) -> None:
        """Have the item that is to blame a dead letter; of several, it is found first."""
        if len(items) == 1:
            items[0].error = RecordError(refused(self._session, call, answer))
            return
        half = len(items) // 2
        self._try(items[:half], waiting)
        self._try(items[half:], waiting)

    def _is_over(self, items: Sequence[_Item]) -> bool:
        """Count an attempt of items whose request made the server fail; answers whether it was the last."""
        most = self._action.max_attempts
        if most is None:
            return False
        for item in items:
            self._attempts[id(item.record)] = self._attempts.get(id(item.record), 0) + 1
        return max(self._attempts[id(item.record)] for item in items) >= most


def _fail(items: Sequence[_Item], error: FlowError) -> None:
    for item in items:
        item.error = error


def _texts(templates: dict[str, Template], record: Record) -> dict[str, str]:
    return {name: template.value(record) for name, template in templates.items()}
