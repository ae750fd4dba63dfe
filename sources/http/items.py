"""The items of an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import orjson

from flowspec.errors import RecordError
from flowspec.expressions import Expression
from flowspec.records import Record
from sources.contents import Content, ContentFormat, content_format
from sources.http.calls import Answer

__all__ = ["ItemsReader", "UnexpectedAnswerError"]

_NO_CONTENT = 204


class UnexpectedAnswerError(ValueError):
    """An answer is a success by its status, and not by what is in it."""


class ItemsReader:
    """Takes answers apart.

    An answer that is not what was agreed on is an error of the whole poll, which is made again: mostly it comes from a
    proxy, or says that something is wrong in spite of its status.
    """

    def __init__(self, form: str | ContentFormat, items: Expression | None, max_size: int) -> None:
        self._items = items
        self._rows: ContentFormat | None = None if form == "json" else content_format(form)
        self._max_size = max_size

    def read(self, answer: Answer) -> tuple[Record, list[Record]]:
        """A record of the whole answer, for expressions on it, and one of each item.

        Raises:
            UnexpectedAnswerError: it has no items in the sense of the spec.
        """
        whole = Record(b"", None, headers={name.lower(): text for name, text in answer.headers.items()})
        if answer.status == _NO_CONTENT:
            return whole, []
        if self._rows is not None:
            return whole, self._read_rows(self._rows, answer.body)
        whole.body = _json(answer)
        return whole, [Record(orjson.dumps(item), item) for item in self._listed(whole)]

    def _listed(self, whole: Record) -> Sequence[Any]:
        found, what = whole.body, "the answer"
        if self._items is not None:
            what = f"items: {self._items.source}"
            try:
                found = self._items.value(whole)
            except RecordError as error:
                msg = f"items: {error}"
                raise UnexpectedAnswerError(msg) from error
        if isinstance(found, (list, tuple)):
            return found
        if isinstance(found, dict):
            return [found]
        if found is None:
            return []
        msg = f"{what} is a {type(found).__name__}, and not a list or an object"
        raise UnexpectedAnswerError(msg)

    def _read_rows(self, form: ContentFormat, body: bytes) -> list[Record]:
        content = Content(lambda offset: BytesIO(body[offset:]), self._max_size)
        return [Record(row.raw, row.body) for row in form.rows(content, None)]


def _json(answer: Answer) -> Any:
    body = answer.body
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        text = _decoded(answer)
        if text is None:
            msg = f"the answer is not JSON ({error})"
            raise UnexpectedAnswerError(msg) from error
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        msg = f"the answer is not JSON ({error})"
        raise UnexpectedAnswerError(msg) from error


def _decoded(answer: Answer) -> str | None:
    """The text of an answer that is no UTF-8, or begins with a byte order mark; None where it has no other encoding."""
    named = answer.headers.get("content-type", "").lower().partition("charset=")[2]
    for encoding in (named.partition(";")[0].strip(" \"'"), json.detect_encoding(answer.body)):
        try:
            return answer.body.decode(encoding).removeprefix("\ufeff")
        except (LookupError, ValueError):
            continue
    return None
