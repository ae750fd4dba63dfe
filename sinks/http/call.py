"""http, of a step `call`: a request for each record, and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator
from typing_extensions import Self

from flowspec.errors import MissingDependencyError
from flowspec.expressions import Expression, Template
from flowspec.fields import ByteSize, Duration
from flowspec.formats import Format
from flowspec.lookups import Call, Caller
from sources.http.account import HEADER_NAME, HttpAccount, HttpAccountField
from sources.http.addresses import home_of, joined, with_query
from sources.http.destination import check_destination

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["HttpCall"]

_HeaderName: TypeAlias = Annotated[str, Field(pattern=HEADER_NAME)]

_fields = TypeAdapter[dict[str, Expression]](dict[str, Expression])


class HttpCall(Call):
    """Call an HTTP API: a request for each record, whose answer is a value if it is JSON, else a text.

    Requests are made again, for as long as it takes, when the server cannot be reached, takes too long, or answers 408,
    425, 429 or from 500 on; `Retry-After` is respected. With any other answer that is not from 200 to 299 the record
    fails, with the answer's text; but a 401, and a 403, 404, 405 or 410 that every record would get, stop the flow. The
    header `Idempotency-Key` lets a server that knows it tell a request that is made again from a new one.

    Redirects are followed where the same request goes to the same host, or to one that the account trusts.
    """

    connector: Annotated[Literal["http"], Field(description="HTTP APIs.", examples=["http"])] = "http"
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
            examples=["https://api.example.com/orders/{quote(order_id)}/risk", "/scores"],
        ),
    ]
    query: Annotated[
        dict[str, Template],
        Field(
            description="Query parameters, which are encoded as needed; one whose text is empty is left out.",
            examples=[{"customer": "{customer.id}"}],
        ),
    ] = Field(default_factory=dict)
    headers: Annotated[
        dict[_HeaderName, Template],
        Field(
            description="Headers; one whose text is empty is left out. Secrets belong in the account.",
            examples=[{"X-Source": "shop", "X-Order": "{order_id}"}],
        ),
    ] = Field(default_factory=dict)
    body: Annotated[
        dict[str, Expression] | Expression | None,
        BeforeValidator(lambda value: _fields.validate_python(value) if isinstance(value, dict) else value),
        Field(
            description="What the request says in place of the whole record: an object of expressions, or one "
            "expression.",
            examples=[{"customer": "customer_id", "cents": "int(total * 100)"}, "order.lines"],
        ),
    ] = None
    format: Annotated[
        Format,
        Field(
            description="How that becomes the body of the request, which also has its Content-Type.",
            examples=["json"],
        ),
    ] = "json"
    accept: Annotated[
        list[Annotated[int, Field(ge=300, le=599)]],
        Field(description="Statuses that are answers too, beside those from 200 to 299.", examples=[[404, 409]]),
    ] = Field(default_factory=list)
    whole: Annotated[
        bool,
        Field(
            description="Whether the field has the whole answer: an object with `status`, `headers`, whose names are "
            "in lower case, and `body`.",
            examples=[True],
        ),
    ] = False
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
    concurrency: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Requests that are made at the same time. Only with one they are made in the order of the "
            "records.",
            examples=[8],
        ),
    ] = 1
    timeout: Annotated[
        Duration,
        Field(gt=0, le=3600, description="How long a request may take, to the end of its answer.", examples=["30s"]),
    ] = 60.0
    max_size: Annotated[
        ByteSize,
        Field(ge=1, description="Bytes that an answer may have; the record of a larger one fails.", examples=["4MiB"]),
    ] = 1024 * 1024
    max_attempts: Annotated[
        int | None,
        Field(
            ge=1,
            description="How often a request is made whose answer is 500, 501, or from 505 on, before its record "
            "fails; by default for ever. Other failures say nothing about a record, and do not count.",
            examples=[5],
        ),
    ] = None

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        check_destination(self.url, self.account)
        if self.whole and self.into is None:
            msg = "'whole' is about the answer: give 'into', the field for it"
            raise ValueError(msg)
        return self

    def text(self, record: Record) -> str:
        """The URL as it is in the spec, with its query."""
        texts = {name: template.value(record) for name, template in self.query.items()}
        return with_query(self.url.value(record), {name: text for name, text in texts.items() if text})

    def answer(self, status: int, headers: dict[str, str], content: Any) -> Any:
        """What the field has of an answer."""
        return {"status": status, "headers": headers, "body": content} if self.whole else content

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

    def open(self) -> Caller:
        """A client that connects with the first record."""
        try:
            from sinks.http.caller import HttpCaller
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        return HttpCaller(self, HttpAccount.of(self.account))
