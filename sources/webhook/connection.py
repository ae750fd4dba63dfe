"""One connection of a sender: requests in, answers out, in that order, and nothing that may take for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import h11

from sources.webhook.endpoint import STOPPING
from sources.webhook.http import Answer, Request, refused

if TYPE_CHECKING:
    from sources.webhook.endpoint import Endpoint

__all__ = ["Connection", "Phase"]

_HEAD_SIZE = 32 * 1024
"""Bytes that the request line and the headers may have together."""
_UNREAD_ANSWERS = 64 * 1024
"""Bytes of answers that a sender may leave unread."""

_TIMEOUT = refused(504, "not delivered in time; it may still be, or send it again")
_TOO_SLOW = refused(408, "the request did not arrive in time")


class Phase(Enum):
    """What a connection waits for; each wait has its longest time."""

    RESTING = auto()
    """The first byte of a request."""
    RECEIVING = auto()
    """The rest of a request."""
    ANSWERING = auto()
    """The flow."""
    LEAVING = auto()
    """The end: the sender reads the answer, and nothing more is read from it."""


@dataclass(slots=True, eq=False)
class _Exchange:
    """A request that is not answered yet."""

    request: Request
    refusal: Answer | None
    body: bytearray = field(default_factory=bytearray)
    """What is here of it, and counted by the endpoint."""
    size: int = 0
    """Bytes that came, with those that were thrown away."""


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 and 1.0, with h11: keep-alive, pipelining, chunked bodies, 100-continue."""

    def __init__(self, endpoint: Endpoint, patience: dict[Phase, float], ended: Callable[[Connection], None]) -> None:
        self._endpoint = endpoint
        self._patience = patience
        self._ended = ended
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_SIZE)
        self._transport: asyncio.Transport
        self._remote = ""
        self._exchange: _Exchange | None = None
        self._phase: Phase | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A sender has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_UNREAD_ANSWERS)
        self._remote = (transport.get_extra_info("peername") or ("",))[0]
        self._enter(Phase.RESTING)

    def data_received(self, data: bytes) -> None:
        """Bytes of one or several requests."""
        if self._phase is Phase.LEAVING:
            return
        self._http.receive_data(data)
        if self._phase is Phase.ANSWERING:
            # The next request: one is enough.
            self._transport.pause_reading()
            return
        self._advance()

    def eof_received(self) -> bool:
        """The sender sends no more, and may still read: what it has sent is answered."""
        self._http.receive_data(b"")
        if self._phase in (Phase.RESTING, Phase.RECEIVING):
            self._advance()
        return self._phase is Phase.ANSWERING

    def pause_writing(self) -> None:
        """The sender does not read its answers."""
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """What is in the flow stays there; what is not here as a whole is forgotten."""
        if self._timer is not None:
            self._timer.cancel()
        if self._exchange is not None:
            self._endpoint.release(len(self._exchange.body))
        self._exchange = None
        self._phase = Phase.LEAVING
        self._ended(self)

    def finish(self) -> None:
        """Answer what is in the flow and close then."""
        self._is_last = True
        if self._phase is Phase.RESTING:
            self._leave()
        elif self._phase is Phase.RECEIVING:
            self._send(STOPPING)

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def _advance(self) -> None:
        """Work off what has been received, up to a request that has to wait for its answer."""
        try:
            while self._step(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self._send(refused(error.error_status_hint, f"not a request of HTTP/1.1: {error}"), last=True)

    def _step(self, event: object) -> bool:
        """Take in one event; answers whether another may follow now."""
        if isinstance(event, h11.Request):
            self._begin(event)
        elif isinstance(event, h11.Data):
            self._receive(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self._complete()
        elif isinstance(event, h11.ConnectionClosed):
            self._leave()
        else:
            # h11 has no more events for now.
            if self._phase not in (Phase.ANSWERING, Phase.LEAVING):
                begun = self._exchange is not None or self._http.trailing_data[0]
                self._enter(Phase.RECEIVING if begun else Phase.RESTING)
            return False
        return self._phase not in (Phase.ANSWERING, Phase.LEAVING)

    def _begin(self, event: h11.Request) -> None:
        self._enter(Phase.RECEIVING)
        request = _to_request(event, self._remote)
        self._exchange = _Exchange(request, self._endpoint.begin(request))
        if self._http.they_are_waiting_for_100_continue:
            if self._exchange.refusal is None:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                self._transport.write(self._http.send(go_on))
            else:
                self._send(self._exchange.refusal)

    def _receive(self, data: bytes | bytearray) -> None:
        exchange = self._exchange
        assert exchange is not None  # noqa: S101 - h11 has no body without a request
        exchange.size += len(data)
        too_large = self._endpoint.too_large(exchange.size)
        if too_large is not None:
            self._send(exchange.refusal or too_large)
            return
        exchange.refusal = exchange.refusal or self._endpoint.take(len(data))
        if exchange.refusal is None:
            exchange.body += data
        else:
            # The rest is read and thrown away, so that the connection can be used again.
            self._endpoint.release(len(exchange.body))
            exchange.body.clear()

    def _complete(self) -> None:
        exchange = self._exchange
        assert exchange is not None  # noqa: S101 - h11 ends no message that it has not begun
        if exchange.refusal is None:
            exchange.request.body = bytes(exchange.body)
            exchange.refusal = self._endpoint.finish(exchange.request, partial(self._reply, exchange))
        if exchange.refusal is None:
            # From here on the endpoint has it.
            exchange.body.clear()
            self._enter(Phase.ANSWERING)
        else:
            self._send(exchange.refusal)

    def _reply(self, exchange: _Exchange, answer: Answer) -> None:
        if self._exchange is exchange:
            self._send(answer)
            self._transport.resume_reading()
            self._advance()

    def _send(self, answer: Answer, *, last: bool = False) -> None:
        """Answer the request that is under way, or what should have been one."""
        body = answer.body
        if self._exchange is not None:
            if self._exchange.request.method == "HEAD":
                body = b""
            self._endpoint.release(len(self._exchange.body))
            self._exchange = None
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._leave()
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer.body)),
            (b"date", formatdate(usegmt=True).encode()),
            *answer.headers,
        ]
        if last or self._is_last:
            headers.append((b"connection", b"close"))
        self._transport.write(
            self._http.send(h11.Response(status_code=answer.status, headers=headers, reason=_reason(answer.status)))
            + self._http.send(h11.Data(data=body))
            + self._http.send(h11.EndOfMessage())
        )
        self._phase = None
        if self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._http.start_next_cycle()
        else:
            self._leave()

    def _leave(self) -> None:
        self._enter(Phase.LEAVING)
        if self._http.their_state in (h11.SEND_BODY, h11.ERROR) and self._transport.can_write_eof():
            # To close with bytes unread is a reset, which may take the answer with it.
            self._transport.write_eof()
        else:
            self._transport.close()

    def _enter(self, phase: Phase) -> None:
        if phase is self._phase:
            return
        self._phase = phase
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._patience[phase], self._lose_patience)

    def _lose_patience(self) -> None:
        if self._phase is Phase.ANSWERING:
            self._send(_TIMEOUT)
            self._transport.resume_reading()
            self._advance()
        elif self._phase is Phase.RECEIVING:
            self._send(_TOO_SLOW, last=True)
        elif self._phase is Phase.RESTING:
            self._leave()
        else:
            self._transport.abort()


def _to_request(event: h11.Request, remote: str) -> Request:
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode(), _text(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    target = event.target.decode()
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        # The whole URL, as for a proxy.
        path, query = _split(target)
    return Request(event.method.decode(), unquote(path), query, headers, remote)


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, ""
    return parts.path or "/", parts.query


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _reason(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()
