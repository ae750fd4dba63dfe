"""http / request: records as requests to an HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from flowspec.connectors import Action, WorkerContext
from flowspec.errors import MissingDependencyError
from flowspec.expressions import Template
from flowspec.fields import Duration
from flowspec.formats import Format
from sources.http.account import HEADER_NAME, HttpAccount, HttpAccountField
from sources.http.addresses import home_of, joined
from sources.http.destination import check_destination

if TYPE_CHECKING:
    from sinks.http.requester import Requester

__all__ = ["Request"]

_HeaderName: TypeAlias = Annotated[str, Field(pattern=HEADER_NAME)]


class Request(Action):
    """Request: each record becomes a request to an HTTP API, or a batch of them one request with a JSON array.

    At-least-once: a record is delivered when the server has answered with a status from 200 to 299. Requests are made
    again, for as long as it takes, when the server cannot be reached, takes too long, or answers 408, 425, 429 or from
    500 on; `Retry-After` is respected. With any other answer the record is a dead letter that has the answer's text;
    but a 401, and a 403, 404, 405 or 410 that every record would get, stop the flow. The header `Idempotency-Key` lets
    a server that knows it tell a request that is made again from a new one.

    Redirects are followed where the same request goes to the same host, or to one that the account trusts. A redirect
    to anywhere else, or one that would lose the record because it asks for a GET, is an error.
    """

    connector: Annotated[Literal["http"], Field(description="HTTP APIs and webhooks.", examples=["http"])] = "http"
    action: Annotated[Literal["request"], Field(description="Make a request.", examples=["request"])] = "request"
    account: HttpAccountField = None
    method: Annotated[
        Literal["POST", "PUT", "PATCH", "DELETE", "GET"],
        Field(description="Method of the request. DELETE and GET have no body by default.", examples=["PUT"]),
    ] = "POST"
    url: Annotated[
        Template,
        Field(
            description="URL, or with the account's base_url only its path. Use quote() for what may have other "
            "characters than a path has.",
            examples=["https://api.example.com/orders/{quote(order_id)}", "/orders"],
        ),
    ]
    query: Annotated[
        dict[str, Template],
        Field(
            description="Query parameters, which are encoded as needed; one whose text is empty is left out.",
            examples=[{"notify": "true", "customer": "{customer.id}"}],
        ),
    ] = Field(default_factory=dict)
    headers: Annotated[
        dict[_HeaderName, Template],
        Field(
            description="Headers; one whose text is empty is left out. Secrets belong in the account.",
            examples=[{"X-Source": "shop", "X-Order": "{order_id}"}],
        ),
    ] = Field(default_factory=dict)
    format: Annotated[
        Format,
        Field(
            description="How a record becomes the body of a request, which also has its Content-Type.",
            examples=["json"],
        ),
    ] = "json"
    body: Annotated[
        Template | None,
        Field(
            description="Text of the body instead of the whole record; its Content-Type is that of `format`.",
            examples=["{to_json({'text': 'Order ' + order_id})}"],
        ),
    ] = None
    batch: Annotated[
        Literal["single", "array"],
        Field(
            description="Whether a request has one record, or a JSON array of those that come together. An array that "
            "is refused is sent again in halves, until the records that are to blame are found.",
            examples=["array"],
        ),
    ] = "single"
    max_items: Annotated[int, Field(ge=1, le=10_000, description="The most records of one array.", examples=[100])] = (
        100
    )
    parallel: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Requests that are made at the same time. Only with one is the order of all records kept, "
            "unless one has to wait; with more, that of records with the same `order_key`.",
            examples=[4],
        ),
    ] = 1
    order_key: Annotated[
        Template | None,
        Field(
            description="What records have in common that must arrive in order: while one is tried again, those behind "
            "it with the same text wait. By default the record's key.",
            examples=["{customer.id}"],
        ),
    ] = None
    idempotency_key: Annotated[
        Template | None,
        Field(
            description="Text by which the server knows a request that is made again. By default the External ID, or "
            "else a hash of URL and body; give one where different records may have the same External ID.",
            examples=["{order_id}-{version}"],
        ),
    ] = None
    idempotency_header: Annotated[
        _HeaderName | None,
        Field(description="Header that has the idempotency key; null for none.", examples=["X-Request-Id"]),
    ] = "Idempotency-Key"
    max_attempts: Annotated[
        int | None,
        Field(
            ge=1,
            description="How often a record is sent whose answer is 500, 501, or from 505 on, before it is a dead "
            "letter; by default for ever. Other failures say nothing about a record, and do not count.",
            examples=[5],
        ),
    ] = None
    timeout: Annotated[
        Duration,
        Field(gt=0, le=3600, description="How long a request may take, to the end of its answer.", examples=["20s"]),
    ] = 60.0

    @model_validator(mode="after")
    def _consistent(self) -> Request:
        check_destination(self.url, self.account)
        if self.batch == "array":
            if self.format != "json" or self.body is not None:
                msg = "batch 'array' is a JSON array of the records: leave format and body out"
                raise ValueError(msg)
            if self.method in ("DELETE", "GET"):
                msg = f"batch 'array' needs a method with a body, not {self.method}"
                raise ValueError(msg)
        return self

    def check(self) -> str:
        """See that the host is reached, and get a token of OAuth 2; a request could change something, and is not made.

        Where the URL alone does not say which host that is, it is not checked.
        """
        try:
            from sources.http.checking import check_host
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        account = HttpAccount.of(self.account)
        return check_host(account, home_of(joined(account.base_url, self.url.source)))

    def open(self, context: WorkerContext) -> Requester:
        """A client that connects with the first batch."""
        try:
            from sinks.http.requester import Requester
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        return Requester(self, HttpAccount.of(self.account))
