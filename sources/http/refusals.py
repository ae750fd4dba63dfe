"""What the refusal of one request says about others."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flowspec.errors import FatalError
from sources.http.addresses import shown
from sources.http.errors import status_line

if TYPE_CHECKING:
    from sources.http.calls import Answer, Call
    from sources.http.session import Session

__all__ = ["check_refusal", "may_be_due_to_content", "refused"]

_OF_THE_PLACE = frozenset({404, 405, 410})
"""Refusals that every record gets, where the URL is the same for all."""
_OF_THE_RECORD = frozenset({500, 501})
"""Failures of a server that may be due to what it was sent, beside those from 505 on; the others are of gateways."""
_FIRST_ODD = 505


def may_be_due_to_content(status: int) -> bool:
    """Whether a failure of the server may be due to what it was sent."""
    return status in _OF_THE_RECORD or status >= _FIRST_ODD


def check_refusal(session: Session, call: Call, answer: Answer, *, is_constant: bool, is_known: bool) -> None:
    """Stop the flow if a refusal would be the same for every record.

    Args:
        session: What made the request.
        call: The request.
        answer: The refusal.
        is_constant: Whether all records have the same URL.
        is_known: Whether requests say who makes them.

    Raises:
        FatalError: it would.
    """
    status = answer.status
    if status == HTTPStatus.UNAUTHORIZED:
        raise session.refusal(call, answer)
    if not is_constant:
        return
    if status < HTTPStatus.BAD_REQUEST or status in _OF_THE_PLACE:
        raise FatalError(refused(session, call, answer))
    if status == HTTPStatus.FORBIDDEN and is_known:
        raise session.refusal(call, answer)


def refused(session: Session, call: Call, answer: Answer) -> str:
    """What is said of a request that was refused."""
    location = answer.headers.get("location")
    if answer.status < HTTPStatus.BAD_REQUEST and location is not None:
        line = status_line(answer.status)
        return f"{call.at}: {line}: it leads to {shown(location)}; if that is right, give it as url"
    return f"{call.at}: {session.told(answer)}"
