"""http / poll-endpoint: the spec model of the trigger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import Field, model_validator

from flowspec.errors import MissingDependencyError, RecordError
from flowspec.expressions import Expression, Template
from flowspec.fields import ByteSize
from flowspec.polling import PollingTrigger
from flowspec.records import Record
from sources.contents import Format
from sources.http.account import HEADER_NAME, HttpAccount, HttpAccountField
from sources.http.addresses import home_of, is_whole
from sources.http.destination import check_destination
from sources.http.pages import NextUrl, PagesField, Tokens

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.polling import Poller
__all__ = ["PollEndpoint"]

_HeaderName: TypeAlias = Annotated[str, Field(pattern=HEADER_NAME)]
_CURSOR = re.compile(r"\bcursor\b")


class PollEndpoint(PollingTrigger):
    """Poll Endpoint: asks an HTTP API again and again, and starts the flow for each item that is new.

    At-least-once. What is new is known in one of three ways. With `cursor_field`, by a value of each item that grows:
    items may come in any order, and of those with the highest value each comes once. With `cursor_token`, by a token
    that the API gives for the next request. Otherwise by memory: the last `remember` items are known again, and an
    answer that is the same as before is not even sent by a server that knows `ETag` or `Last-Modified`.

    The cursor moves when all pages of a poll are delivered, and remembers in between what was handed over; a crash
    between two pages goes on at the page. `Retry-After` is respected. An answer that is not what was agreed on, such as
    a proxy's page, is asked for again; 401, 403, 404 and other refusals stop the flow.

    In templates, `cursor` is its value, or an empty text while there is none, and `now` the time when the poll began.
    In steps, `meta` has `url` (without its query), `status`, `page`, `item`, `etag` and `received_at`; `key` is the
    value of `key`, where that is given.
    """

    sample_cost = "The API is asked as the flow would ask it, which counts for its limits."

    connector: Annotated[Literal["http"], Field(description="HTTP APIs and webhooks.", examples=["http"])] = "http"
    event: Annotated[
        Literal["poll-endpoint"], Field(description="Each new item of an API.", examples=["poll-endpoint"])
    ] = "poll-endpoint"
    account: HttpAccountField = None
    method: Annotated[
        Literal["GET", "POST"], Field(description="Method of the request; POST for APIs that search.", examples=["GET"])
    ] = "GET"
    url: Annotated[
        Template,
        Field(
            description="URL, or with the account's base_url only its path.",
            examples=["https://api.example.com/orders", "/orders"],
        ),
    ]
    query: Annotated[
        dict[str, Template],
        Field(
            description="Query parameters, which are encoded as needed; one whose text is empty is left out.",
            examples=[{"updated_since": "{cursor}", "per_page": "100"}],
        ),
    ] = Field(default_factory=dict)
    headers: Annotated[
        dict[_HeaderName, Template],
        Field(
            description="Headers; one whose text is empty is left out. Secrets belong in the account.",
            examples=[{"X-API-Version": "2"}],
        ),
    ] = Field(default_factory=dict)
    body: Annotated[
        Template | None,
        Field(
            description="Text of the body of a POST; JSON, unless `headers` have another Content-Type.",
            examples=["{to_json({'filter': {'since': cursor}})}"],
        ),
    ] = None
    format: Annotated[
        Format,
        Field(
            description="What an answer is: JSON with a list of items, or lines or rows that each are one.",
            examples=["json", "json-lines", "csv"],
        ),
    ] = "json"
    items: Annotated[
        Expression | None,
        Field(
            description="Expression on a JSON answer for the list of items, or the only one. By default the answer "
            "itself.",
            examples=["data.orders"],
        ),
    ] = None
    pages: PagesField = None
    newest_first: Annotated[
        bool,
        Field(
            description="Whether the newest items are on the first page: then a poll ends at the first page that has "
            "old ones, and does not get all others each time.",
            examples=[True],
        ),
    ] = False
    max_pages: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="The most pages of one poll; a list that goes on stops the flow.",
            examples=[500],
        ),
    ] = 10_000
    cursor_field: Annotated[
        Expression | None,
        Field(
            description="Expression on an item for a number, text or time that grows with each new item or change. An "
            "item that has none is a dead letter.",
            examples=["updated_at", "int(id)"],
        ),
    ] = None
    cursor_token: Annotated[
        Expression | None,
        Field(
            description="Expression on the answer for the token from which the next poll goes on; a name of `headers` "
            "is in lower case.",
            examples=["next_sync_token", "headers['x-cursor']"],
        ),
    ] = None
    key: Annotated[
        Expression | None,
        Field(
            description="Expression on an item for what it is known by, together with its cursor; by default all that "
            "is in it.",
            examples=["id"],
        ),
    ] = None
    remember: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="How many items are known again: without a cursor the most that may be listed; with "
            "cursor_field the most that may have the same one.",
            examples=[50_000],
        ),
    ] = 10_000
    max_size: Annotated[
        ByteSize,
        Field(
            gt=0,
            le=1024**3,
            description="The most bytes of an answer, decompressed; it is in memory as a whole.",
            examples=["100MiB"],
        ),
    ] = 32 * 1024 * 1024

    @model_validator(mode="after")
    def _consistent(self) -> PollEndpoint:
        check_destination(self.url, self.account)
        for problem in self._problems():
            raise ValueError(problem)
        return self

    @property
    def uses_cursor(self) -> bool:
        """Whether the request says from where on items are wanted."""
        body = [] if self.body is None else [self.body]
        templates = [self.url, *self.query.values(), *self.headers.values(), *body]
        return any(_CURSOR.search(template.source) for template in templates)

    def cursor_basis(self) -> dict[str, Any]:
        """URL, and what makes a cursor of an item or answer; the query may change, and may have secrets."""
        texts = {"cursor_field": self.cursor_field, "cursor_token": self.cursor_token, "key": self.key}
        return {
            "url": self.url.source.partition("?")[0],
            **{name: text.source for name, text in texts.items() if text is not None},
        }

    def identity(self, record: Record) -> str | None:
        """What the item is known by: its `key`, and its value of `cursor_field`; None without a key.

        With `cursor_token`, an item that comes again may have been changed meanwhile.
        """
        if self.key is None or self.cursor_token is not None or record.trace is None:
            return None
        try:
            received = Record(record.raw, record.trace.body)
            value = None if self.cursor_field is None else self.cursor_field.value(received)
            return orjson.dumps([self.key.value(received), value], str).decode()
        except RecordError:
            return None

    def check(self) -> str:
        """Make the first request, and see that its answer is what was agreed on."""
        try:
            from sources.http.checking import check_endpoint
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        return check_endpoint(self)

    def poller(self, since: Any, context: WorkerContext) -> Poller:
        """What makes the requests."""
        try:
            from sources.http.poller import EndpointPoller
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        return EndpointPoller(self, HttpAccount.of(self.account), since)

    def _problems(self) -> Iterator[str]:
        if home_of(self.url.source) is None and is_whole(self.url.source):
            yield "url: the host must not depend on what is filled in"
        if self.body is not None and self.method != "POST":
            yield "body: a request with a body is a POST"
        if self.newest_first and self.pages is None:
            yield "newest_first: give 'pages' too, else there is only one"
        if self.format != "json" and self.items is not None:
            yield "items: only an answer in JSON has a list; with other formats each line or row is an item"
        if self.format != "json" and isinstance(self.pages, (NextUrl, Tokens)) and not _of_headers(self.pages):
            yield "pages: only an answer in JSON has such a field; with other formats take it from 'headers'"
        yield from self._problems_with_the_cursor()

    def _problems_with_the_cursor(self) -> Iterator[str]:
        if self.cursor_field is not None and self.cursor_token is not None:
            yield "give 'cursor_field' or 'cursor_token', not both"
        if self.cursor_field is None and self.cursor_token is None:
            if self.uses_cursor:
                yield "a template uses 'cursor': give 'cursor_field' or 'cursor_token'"
            if self.since not in ("beginning", "now"):
                yield "since: without cursor_field or cursor_token a flow begins at the 'beginning', or 'now'"
        if self.cursor_token is not None and not self.uses_cursor:
            yield "cursor_token: let a template use 'cursor', else the API is never told the token"


def _of_headers(pages: NextUrl | Tokens) -> bool:
    expression = pages.next_url if isinstance(pages, NextUrl) else pages.token
    return expression.source.startswith("headers")
