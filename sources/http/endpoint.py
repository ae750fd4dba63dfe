"""The requests that a spec describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowspec.errors import FatalError, RecordError
from flowspec.expressions import Template
from flowspec.records import Record
from sources.http.addresses import home_of, joined, shown, with_query, without_query
from sources.http.calls import Call
from sources.http.pages import Location, Pages, Read, next_link

if TYPE_CHECKING:
    from sources.http.account import HttpAccount
    from sources.http.trigger import PollEndpoint

__all__ = ["Endpoint"]


class Endpoint:
    """Makes the request for each page of an API's list."""

    def __init__(self, trigger: PollEndpoint, account: HttpAccount) -> None:
        self._trigger = trigger
        self._account = account
        self._pages = trigger.pages
        url = joined(account.base_url, trigger.url.source)
        self.home = home_of(url)
        """The host that it is about, as a URL."""
        self.what = f"{trigger.method} {shown(url)}"
        """The request, without its query."""

    def first(self) -> Location | None:
        """Where the first page is; None for what the URL itself leads to."""
        return self._pages.first() if isinstance(self._pages, Pages) else None

    def next(self, page: Read) -> Location | None:
        """Where the next page is, without the account's key; None if this is the last.

        Raises:
            TransientError: it is nowhere.
        """
        if self._pages is None:
            return None
        found = self._pages.next(page) if isinstance(self._pages, Pages) else next_link(page)
        if found is not None and "url" in found and self._account.api_key_query:
            return {"url": without_query(found["url"], self._account.api_key_query)}
        return found

    def call(self, cursor: Any, now: str, at: Location | None) -> Call:
        """The request for a page.

        Raises:
            FatalError: a template cannot be filled in.
        """
        trigger = self._trigger
        values = Record(b"", {"cursor": "" if cursor is None else cursor, "now": now})
        headers = {} if trigger.body is None else {"content-type": "application/json"}
        headers |= {name.lower(): text for name, text in _texts("headers", trigger.headers, values).items()}
        if at is not None and "url" in at:
            url = at["url"]
        else:
            url = joined(self._account.base_url, _text("url", trigger.url, values))
            query = _texts("query", trigger.query, values)
            url = with_query(url, query | (at["query"] if at is not None else {}))
        content = None if trigger.body is None else _text("body", trigger.body, values).encode("utf-8")
        return Call(trigger.method, url, headers, content)


def _texts(field: str, templates: Mapping[str, Template], values: Record) -> dict[str, str]:
    texts = {name: _text(f"{field}.{name}", template, values) for name, template in templates.items()}
    return {name: text for name, text in texts.items() if text}


def _text(field: str, template: Template, values: Record) -> str:
    try:
        return template.value(values)
    except RecordError as error:
        msg = f"{field}: {error}"
        raise FatalError(msg) from error
