"""Making the request of each record, for its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowspec.errors import FlowError, RecordError
from flowspec.expressions import Expression
from flowspec.formats import encoder, format_name
from sinks.http.keys import idempotency_key
from sinks.http.requester import CONTENT_TYPES
from sources.http.addresses import home_of, joined
from sources.http.calls import Call
from sources.http.contents import content_of
from sources.http.exchanges import Exchanged, Exchanges
from sources.http.filled import filled_headers, filled_url

if TYPE_CHECKING:
    from flowspec.expressions import Template
    from flowspec.records import Record
    from sinks.http.call import HttpCall
    from sources.http.account import HttpAccount

__all__ = ["HttpCaller"]


class HttpCaller:
    """Makes requests side by side."""

    def __init__(self, call: HttpCall, account: HttpAccount) -> None:
        self._call = call
        self._base_url = account.base_url
        self._body = Expression.mapping(call.body) if isinstance(call.body, dict) else call.body
        self._has_body = call.body is not None or call.method not in ("DELETE", "GET")
        self._encode = encoder(call.format)
        self._content_type = CONTENT_TYPES.get(format_name(call.format))
        self._exchanges = Exchanges(
            account,
            home_of(joined(account.base_url, call.url.source)),
            concurrency=call.concurrency,
            timeout=call.timeout,
            max_size=call.max_size,
            max_attempts=call.max_attempts,
            is_constant="{" not in call.url.source,
            strays=False,
        )

    def ask(self, records: Sequence[Record]) -> Sequence[Any]:
        """The answer for each record."""
        requests = [self._request(record) for record in records]
        made = [request for request in requests if not isinstance(request, RecordError)]
        exchanged = iter(self._exchanges.make(made, self._call.accept))
        return [
            request if isinstance(request, RecordError) else self._answer(request, next(exchanged))
            for request in requests
        ]

    def close(self) -> None:
        """Close the connections."""
        self._exchanges.close()

    def _request(self, record: Record) -> Call | RecordError:
        call = self._call
        try:
            content = self._content(record)
            url = filled_url(self._base_url, call.url.value(record), _texts(call.query, record))
            headers = {"accept": "application/json, */*;q=0.5"}
            if content is not None and self._content_type is not None:
                headers["content-type"] = self._content_type
            headers |= filled_headers(_texts(call.headers, record))
            key = idempotency_key(call.idempotency_key, record, url, content or b"")
        except RecordError as error:
            return error
        if call.idempotency_header is not None:
            headers.setdefault(call.idempotency_header.lower(), key)
        return Call(call.method, url, headers, content)

    def _content(self, record: Record) -> bytes | None:
        if not self._has_body:
            return None
        said = record.body if self._body is None else self._body.value(record)
        try:
            return self._encode(said)
        except (TypeError, ValueError) as error:
            msg = f"body: it cannot be written as {format_name(self._call.format)}: {error.__cause__ or error}"
            raise RecordError(msg) from error

    def _answer(self, request: Call, exchanged: Exchanged) -> Any:
        if isinstance(exchanged, FlowError) or self._call.into is None:
            return exchanged
        try:
            content = content_of(exchanged, request.at)
        except RecordError as error:
            return error
        headers = {name.lower(): text for name, text in exchanged.headers.items()}
        return self._call.answer(exchanged.status, headers, content)


def _texts(templates: dict[str, Template], record: Record) -> dict[str, str]:
    return {name: template.value(record) for name, template in templates.items()}
