"""What an error of httpx, or an answer that is no success, means for a flow."""

from __future__ import annotations

import math
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import httpx

from flowspec.errors import FatalError, TransientError

if TYPE_CHECKING:
    from sources.http.calls import Answer

__all__ = ["classify", "classify_answer", "is_passing", "retry_after", "status_line", "told"]

_PASSING = frozenset({408, 425, 429})
"""Refusals that are about the moment, beside all answers from 500 on."""
_FIRST_SERVER_ERROR = 500
_HINTS = {
    400: "check query, headers and body",
    401: "the credentials are missing or wrong; check the account",
    403: "the account may not do this",
    404: "there is nothing at this path; check url and the account's base_url",
    405: "check method",
    410: "there is nothing at this path any more; check url",
}
_LONGEST_WAIT = 3600.0
"""Seconds that a server is believed to be away for; then it is asked again."""
_SHOWN = 500
_Error = TypeVar("_Error", bound=BaseException)
_TAGS = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def classify(error: Exception, at: str) -> TransientError | FatalError:
    """The error of a request, which `at` names, sorted by whether trying again can help."""
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return FatalError(f"{at}: the request cannot be made: {error}")
    cause = _cause(error, ssl.SSLError)
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "check ca_file, and that the URL has the name that is in the certificate"
        return FatalError(f"{at}: the server's certificate is not trusted: {cause.verify_message} ({hint})")
    if cause is not None:
        hint = "check that this is a port for https, and whether the server wants certificate_file"
        return TransientError(f"{at}: TLS failed: {cause.reason or cause} ({hint})")
    if isinstance(error, (httpx.HTTPError, OSError)):
        return TransientError(f"{at}: {_described(error)}")
    return FatalError(f"{at}: {error or repr(error)}")


def is_passing(status: int) -> bool:
    """Whether what a status says passes by itself."""
    return status in _PASSING or status >= _FIRST_SERVER_ERROR


def classify_answer(answer: Answer, at: str, hide: Callable[[str], str]) -> TransientError | FatalError:
    """An answer that is no success, sorted by whether trying again can help; `hide` takes secrets out of a text.

    One below 400, like a redirect that leads nowhere, is a mistake of a proxy that passes.
    """
    text = f"{at}: {told(answer, hide)}"
    if is_passing(answer.status) or answer.status < HTTPStatus.BAD_REQUEST:
        return TransientError(text, retry_after=retry_after(answer.headers))
    hint = _HINTS.get(answer.status)
    return FatalError(f"{text} ({hint})" if hint else text)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds for which the server wants to be left alone, an hour at most; 0 where it does not say."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return 0.0
        # RFC 9110 has dates in GMT only.
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        seconds = zoned.timestamp() - time.time()
    return min(max(0.0, seconds), _LONGEST_WAIT) if math.isfinite(seconds) else 0.0


def told(answer: Answer, hide: Callable[[str], str]) -> str:
    """What an answer says: its status, and the beginning of its text; `hide` takes secrets out of it."""
    text = hide(" ".join(_TAGS.sub(" ", answer.body[: _SHOWN * 8].decode("utf-8", "replace")).split()))
    line = status_line(answer.status)
    return f"{line}: {text[:_SHOWN]}" if text else line


def status_line(status: int) -> str:
    """A status and its name."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _cause(error: BaseException | None, kind: type[_Error]) -> _Error | None:
    """The error of a kind that is behind another one, which may be that itself."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _described(error: Exception) -> str:
    if isinstance(error, (httpx.ConnectTimeout, TimeoutError)):
        return "no connection within connect_timeout"
    if isinstance(error, httpx.TimeoutException):
        return "the server was silent for longer than read_timeout"
    if _cause(error, socket.gaierror) is not None:
        return f"the name of the host does not resolve ({error})"
    if _cause(error, ConnectionRefusedError) is not None:
        return f"the connection is refused: nothing listens at that port ({error})"
    return str(error) or type(error).__name__
