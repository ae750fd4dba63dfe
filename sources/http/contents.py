"""What an answer says, as a value."""

from __future__ import annotations

import re
from email.message import Message
from typing import TYPE_CHECKING, Any

from flowspec.errors import RecordError
from flowspec.formats import decoder

if TYPE_CHECKING:
    from sources.http.calls import Answer

__all__ = ["content_of"]

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json|text/json")
_decode = decoder("json")


def content_of(answer: Answer, at: str) -> Any:
    """The value of JSON, by the answer's Content-Type or without one; else the text. Nothing is None.

    Raises:
        RecordError: it is not what it should be.
    """
    if not answer.body.strip():
        return None
    header = Message()
    header["Content-Type"] = answer.headers.get("content-type", "application/json")
    kind = header.get_content_type()
    try:
        if _JSON.fullmatch(kind):
            return _decode(answer.body)
        return answer.body.decode(header.get_content_charset("utf-8"))
    except LookupError as error:
        msg = f"{at}: the answer is in an unknown encoding: {error}"
        raise RecordError(msg) from error
    except ValueError as error:
        msg = f"{at}: the answer is not the {kind} that it should be: {error}"
        raise RecordError(msg) from error
