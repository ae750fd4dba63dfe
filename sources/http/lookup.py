"""http, of a step `enrich`: the answer to a GET for each key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias, cast

from pydantic import Field, model_validator
from typing_extensions import Self

from flowspec.errors import FlowError, MissingDependencyError, RecordError
from flowspec.expressions import Template
from flowspec.fields import ByteSize, Duration
from flowspec.lookups import MISSING, Finder, Key, Lookup, evaluated
from sources.http.account import HEADER_NAME, HttpAccount, HttpAccountField
from sources.http.addresses import home_of, joined, shown, with_query
from sources.http.destination import check_destination

if TYPE_CHECKING:
    from flowspec.records import Record
    from sources.http.calls import Answer, Call

__all__ = ["HttpLookup"]

_HeaderName: TypeAlias = Annotated[str, Field(pattern=HEADER_NAME)]
_ABSENT = (404, 410)
_NO_CONTENT = 204


class _Get(NamedTuple):
    """A request, as far as records say what is in it."""

    url: str
    query: tuple[str, ...]
    headers: tuple[str, ...]


class HttpLookup(Lookup):
    """Look up in an HTTP API: one GET for each key, which is the URL with its query and headers.

    What is found is the answer: a value if it is JSON, else a text. An answer 404, 410 or 204 means that there is
    nothing. Requests are made again, for as long as it takes, when the server cannot be reached, takes too long, or
    answers 408, 425, 429 or from 500 on; `Retry-After` is respected. 401 stops the flow, and with any other answer the
    records with that key fail.
    """

    connector: Annotated[Literal["http"], Field(description="HTTP APIs.", examples=["http"])] = "http"
    account: HttpAccountField = None
    url: Annotated[
        Template,
        Field(
            description="URL, or with the account's base_url only its path. Use quote() for what may have other "
            "characters than a path has.",
            examples=["https://api.example.com/customers/{quote(customer_id)}", "/customers"],
        ),
    ]
    query: Annotated[
        dict[str, Template],
        Field(
            description="Query parameters, which are encoded as needed; one whose text is empty is left out.",
            examples=[{"email": "{customer.email}"}],
        ),
    ] = Field(default_factory=dict)
    headers: Annotated[
        dict[_HeaderName, Template],
        Field(
            description="Headers; one whose text is empty is left out. Secrets belong in the account.",
            examples=[{"Accept-Language": "{language}"}],
        ),
    ] = Field(default_factory=dict)
    concurrency: Annotated[
        int, Field(ge=1, le=64, description="Requests that are made at the same time.", examples=[16])
    ] = 8
    timeout: Annotated[
        Duration,
        Field(gt=0, le=3600, description="How long a request may take, to the end of its answer.", examples=["5s"]),
    ] = 30.0
    max_size: Annotated[
        ByteSize,
        Field(ge=1, description="Bytes that an answer may have; the records of a larger one fail.", examples=["4MiB"]),
    ] = 1024 * 1024
    max_attempts: Annotated[
        int | None,
        Field(
            ge=1,
            description="How often a request is made whose answer is 500, 501, or from 505 on, before its records "
            "fail; by default for ever. Other failures say nothing about a record, and do not count.",
            examples=[5],
        ),
    ] = None

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        check_destination(self.url, self.account)
        return self

    def keys(self, records: Sequence[Record]) -> Sequence[Key | RecordError]:
        """What a record fills in."""
        templates = [self.url, *self.query.values(), *self.headers.values()]
        columns = zip(*(evaluated(template, records) for template in templates), strict=True)
        return [self._key(texts) for texts in columns]

    def _key(self, texts: tuple[Any, ...]) -> Key | RecordError:
        for text in texts:
            if isinstance(text, FlowError):
                return cast("RecordError", text)
        queried = 1 + len(self.query)
        return _Get(texts[0], texts[1:queried], texts[queried:])

    def text(self, key: Key) -> str:
        """The URL as it is in the spec, with its query."""
        get = cast("_Get", key)
        query = zip(self.query, get.query, strict=True)
        return with_query(get.url, {name: text for name, text in query if text})

    def absence(self, key: Key) -> str:
        """The path only, in which there should be no secret."""
        account = self.account if isinstance(self.account, HttpAccount) else HttpAccount()
        return f"there is nothing at {shown(joined(account.base_url, cast('_Get', key).url))}"

    def check(self) -> str:
        """See that the host is reached, and get a token of OAuth 2; no request is made.

        Where the URL alone does not say which host that is, it is not checked.
        """
        try:
            from sources.http.checking import check_host
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        account = HttpAccount.of(self.account)
        return check_host(account, home_of(joined(account.base_url, self.url.source)))

    def open(self) -> Finder:
        """A client that connects with the first key."""
        return _HttpFinder(self)


class _HttpFinder:
    def __init__(self, lookup: HttpLookup) -> None:
        account = HttpAccount.of(lookup.account)
        try:
            from sources.http.exchanges import Exchanges
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        self._lookup = lookup
        self._base_url = account.base_url
        self._exchanges = Exchanges(
            account,
            home_of(joined(account.base_url, lookup.url.source)),
            concurrency=lookup.concurrency,
            timeout=lookup.timeout,
            max_size=lookup.max_size,
            max_attempts=lookup.max_attempts,
        )

    def find(self, keys: Sequence[Key]) -> Sequence[Any]:
        calls = [self._call(cast("_Get", key)) for key in keys]
        made = [call for call in calls if not isinstance(call, RecordError)]
        exchanged = iter(self._exchanges.make(made, _ABSENT))
        return [call if isinstance(call, RecordError) else _found(call, next(exchanged)) for call in calls]

    def close(self) -> None:
        self._exchanges.close()

    def _call(self, get: _Get) -> Call | RecordError:
        from sources.http.calls import Call
        from sources.http.filled import filled_headers, filled_url

        lookup = self._lookup
        try:
            url = filled_url(self._base_url, get.url, dict(zip(lookup.query, get.query, strict=True)))
            headers = filled_headers(dict(zip(lookup.headers, get.headers, strict=True)))
        except RecordError as error:
            return error
        return Call("GET", url, {"accept": "application/json, */*;q=0.5", **headers})


def _found(call: Call, exchanged: Answer | FlowError) -> Any:
    from sources.http.contents import content_of

    if isinstance(exchanged, FlowError):
        return exchanged
    if exchanged.status in (*_ABSENT, _NO_CONTENT):
        return MISSING
    try:
        return content_of(exchanged, call.at)
    except RecordError as error:
        return error
