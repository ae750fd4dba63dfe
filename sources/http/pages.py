"""How an API's list goes on: the `pages` of a trigger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from flowspec.errors import RecordError, TransientError
from flowspec.expressions import Expression
from flowspec.model import SpecModel
from flowspec.records import Record
from sources.http.addresses import followed
from sources.http.calls import Answer

__all__ = ["Location", "NextUrl", "Offsets", "PageNumbers", "Pages", "PagesField", "Read", "Tokens", "next_link"]

Location: TypeAlias = "dict[str, Any]"
"""Where a page is: its `url`, or what is set in the `query` of the first one's."""


@dataclass(frozen=True)
class Read:
    """A page that was read."""

    answer: Answer
    body: Record
    """A record of the whole answer, for expressions."""
    count: int
    """How many items it has."""
    location: Location | None
    """Where it is; None for what the spec's own URL leads to."""


class Pages(SpecModel, ABC):
    """A way to get from a page to the next."""

    def first(self) -> Location | None:
        """Where the first page is; None for what the spec's own URL leads to."""
        return None

    @abstractmethod
    def next(self, page: Read) -> Location | None:
        """Where the next page is; None if this is the last."""


class NextUrl(Pages):
    """The answer has the URL of the next page."""

    next_url: Annotated[
        Expression,
        Field(
            description="Expression on the answer for the URL of the next page; where it is missing, null or empty, "
            "this is the last one.",
            examples=["paging.next"],
        ),
    ]

    def next(self, page: Read) -> Location | None:
        """The page that the answer names."""
        url = _found(self.next_url, page.body)
        return None if url is None else _link(page.answer, url)


class Tokens(Pages):
    """The answer has a token, which a query parameter of the next request has."""

    token: Annotated[
        Expression,
        Field(
            description="Expression on the answer for the token of the next page; where it is missing, null or empty, "
            "this is the last one.",
            examples=["next_page_token"],
        ),
    ]
    query: Annotated[
        str, Field(min_length=1, description="Query parameter that takes the token.", examples=["page_token"])
    ]

    def next(self, page: Read) -> Location | None:
        """The first page's URL with the token."""
        token = _found(self.token, page.body)
        return None if token is None else {"query": {self.query: str(token)}}


class _Counted(Pages):
    """The list is cut by number."""

    size: Annotated[
        int | None,
        Field(
            ge=1,
            description="How many items a full page has: a shorter one is the last. Without it, an empty one is.",
            examples=[100],
        ),
    ] = None

    def _is_last(self, page: Read) -> bool:
        return page.count == 0 or (self.size is not None and page.count < self.size)


class PageNumbers(_Counted):
    """A query parameter has the number of the page."""

    page: Annotated[
        str, Field(min_length=1, description="Query parameter that takes the number of a page.", examples=["page"])
    ]
    start: Annotated[int, Field(ge=0, description="Number of the first page.", examples=[0])] = 1

    def first(self) -> Location:
        """The page with the first number."""
        return {"query": {self.page: str(self.start)}}

    def next(self, page: Read) -> Location | None:
        """The page with the next number."""
        number = int((page.location or self.first())["query"][self.page])
        return None if self._is_last(page) else {"query": {self.page: str(number + 1)}}


class Offsets(_Counted):
    """A query parameter has how many items come before the page."""

    offset: Annotated[
        str, Field(min_length=1, description="Query parameter that takes how many items to skip.", examples=["offset"])
    ]

    def first(self) -> Location:
        """The page behind no item."""
        return {"query": {self.offset: "0"}}

    def next(self, page: Read) -> Location | None:
        """The page behind the items of this one."""
        before = int((page.location or self.first())["query"][self.offset])
        return None if self._is_last(page) else {"query": {self.offset: str(before + page.count)}}


_MODELS: dict[str, type[Pages]] = {"next_url": NextUrl, "token": Tokens, "page": PageNumbers, "offset": Offsets}


def _chosen(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    model = next((model for name, model in _MODELS.items() if name in value), None)
    if model is None:
        msg = f"'pages' is 'link_header', or an object with {', '.join(map(repr, _MODELS))}"
        raise ValueError(msg)
    return model.model_validate(value)


PagesField: TypeAlias = Annotated[
    Literal["link_header"] | NextUrl | Tokens | PageNumbers | Offsets | None,
    BeforeValidator(_chosen),
    Field(
        description="How the list goes on: by the header `Link`, by a URL in the answer, by a token of the answer, by "
        "page number, or by offset. Without it there is one page.",
        examples=[
            "link_header",
            {"next_url": "paging.next"},
            {"token": "next_page_token", "query": "page_token"},
            {"page": "page", "start": 1},
            {"offset": "offset", "size": 100},
        ],
    ),
]
"""The field of a trigger."""


def next_link(page: Read) -> Location | None:
    """Where the next page is, by the header `Link` (RFC 8288)."""
    import httpx

    links = httpx.Response(200, headers={"link": page.answer.headers.get("link", "")}).links
    url = links.get("next", {}).get("url")
    return _link(page.answer, url) if url else None


def _found(expression: Expression, body: Record) -> Any:
    """What an expression on the answer has; None for all that says that there is no more."""
    try:
        value = expression.value(body)
    except RecordError:
        return None
    return None if value in ("", None, False) else value


def _link(answer: Answer, url: Any) -> Location:
    try:
        return {"url": followed(answer.url, url)}
    except (TypeError, ValueError, AttributeError) as error:
        msg = "what the answer has for the URL of the next page is no URL of HTTP"
        raise TransientError(msg) from error
