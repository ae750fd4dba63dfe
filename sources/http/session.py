"""Requests to one API: credentials, redirects, and answers of a bounded size."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from flowspec.errors import FatalError, FlowError, TransientError
from sources.http.addresses import followed, origin_of, with_query
from sources.http.calls import Answer, Call
from sources.http.content import Content
from sources.http.credentials import Credentials
from sources.http.errors import classify, classify_answer, told

if TYPE_CHECKING:
    from sources.http.account import HttpAccount

__all__ = ["Limits", "Session"]

_MOST_REDIRECTS = 10
_REPEATED = frozenset({307, 308})
"""Redirects after which the same request is made elsewhere; after the others it is a GET."""
_REDIRECTS = frozenset({301, 302, 303, *_REPEATED})
_HARMLESS = frozenset({"accept", "accept-language", "content-type"})
"""Headers of a spec that a strange host gets as well: in any other somebody may have put a secret."""
_UNAUTHORIZED = 401


@dataclass(frozen=True)
class Limits:
    """Bounds of each request of a session."""

    size: int
    """Bytes of an answer, decompressed."""
    seconds: float = float("inf")
    """For all of it, from the connection to the last byte."""
    cut: bool = False
    """Whether the beginning of an answer that is larger is enough."""
    strays: bool = True
    """Whether a redirect may lead to a host that gets no credentials, or make a GET of another method; if not, such a
    redirect is the answer."""


_TOKEN_LIMITS = Limits(size=1024 * 1024, seconds=60)


class Session:
    """Makes requests with the credentials of an account; safe to use from any thread.

    Credentials go to the host that the spec names, and to those that the account trusts. Another one, where a redirect
    or a link leads, is asked without them, and without the headers of the spec.
    """

    def __init__(self, account: HttpAccount, home: str | None, limits: Limits, connections: int = 1) -> None:
        """Have requests made that are meant for the URL `home`; None where records say where they go.

        Raises:
            MissingDependencyError: httpx is not installed.
            FatalError: the account cannot be used as it is configured.
        """
        self._client = account.client(connections)
        self._limits = limits
        self._token_limits = _TOKEN_LIMITS
        self._credentials = Credentials(account, lambda call: self._request(call, self._token_limits))
        self._account = account
        self._home = home
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._cancelling = threading.Lock()
        self._cancelled = False

    def exchange(self, call: Call) -> Answer:
        """Make a request, follow its redirects, and have its answer whole.

        Raises:
            TransientError: there is no answer, or not a whole one.
            FatalError: there never will be one.
        """
        until = time.monotonic() + self._limits.seconds
        credentials = self._credentials.headers()
        answer = self._follow(call, credentials, until)
        if answer.status == _UNAUTHORIZED and self.trusts(answer.url) and self._credentials.renew(credentials):
            answer = self._follow(call, self._credentials.headers(), until)
        return answer

    def authenticate(self, seconds: float) -> None:
        """Have a token, where the account takes one, before it is needed.

        Raises:
            TransientError: none can be had within so many seconds.
            FatalError: it is refused.
        """
        self._token_limits = replace(_TOKEN_LIMITS, seconds=seconds)
        self._credentials.headers()

    def trusts(self, url: str) -> bool:
        """Whether credentials are sent there."""
        return self._account.trusts(origin_of(url), self._home)

    def refusal(self, call: Call, answer: Answer) -> TransientError | FatalError:
        """The error for an answer that is no success."""
        at = call.at if answer.url == call.url else f"{call.at}, answered by {replace(call, url=answer.url).at}"
        return classify_answer(answer, at, self.masked)

    def told(self, answer: Answer) -> str:
        """What an answer says, without secrets."""
        return told(answer, self.masked)

    def masked(self, text: str) -> str:
        """A text without any secret of the account."""
        return self._credentials.masked(text)

    def rearm(self) -> None:
        """Take requests again after a `cancel`."""
        self._cancelled = False

    def cancel(self) -> None:
        """Have the requests under way end with a `TransientError` soon, and all others until `rearm` at once."""
        with self._cancelling:
            self._cancelled = True
            for connected in list(self._sockets):
                _wake(connected)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _follow(self, call: Call, credentials: dict[str, str], until: float) -> Answer:
        for _ in range(_MOST_REDIRECTS):
            answer = self._request(self._authorized(call, credentials), self._limits, until)
            target = self._redirected(call, answer)
            if target is None:
                return answer
            call = target
        msg = f"{call.at}: more than {_MOST_REDIRECTS} redirects, one after the other"
        raise TransientError(msg)

    def _authorized(self, call: Call, credentials: dict[str, str]) -> Call:
        if self.trusts(call.url):
            url = with_query(call.url, self._credentials.query)
            return replace(call, url=url, headers={**call.headers, **credentials})
        if self._home is None and self._account.base_url is None:
            return call  # The spec gives its headers to whatever host a record names.
        return replace(call, headers={name: text for name, text in call.headers.items() if name in _HARMLESS})

    def _redirected(self, call: Call, answer: Answer) -> Call | None:
        """The request that a redirect asks for; None where the answer is to be taken as it is."""
        location = answer.headers.get("location")
        if answer.status not in _REDIRECTS or location is None:
            return None
        try:
            url = followed(call.url, location)
        except ValueError:
            return None
        repeats = answer.status in _REPEATED or call.method == "GET"
        if not self._limits.strays and not (repeats and self.trusts(url)):
            return None
        return replace(call, url=url) if repeats else Call("GET", url, call.headers)

    def _request(self, call: Call, limits: Limits, until: float = float("inf")) -> Answer:
        """Make one request."""
        at = call.at
        until = min(until, time.monotonic() + limits.seconds)
        self._check(at, until)
        try:
            request = self._client.build_request(
                call.method,
                call.url,
                headers=[(name.encode(), text.encode()) for name, text in call.headers.items()],
                content=call.content,
                extensions={**self._timeouts(until), "trace": self._traced},
            )
            response = self._client.send(request, stream=True, auth=None)
            try:
                content = Content(response.headers, at, limits.size, cut=limits.cut)
                for chunk in response.iter_raw():
                    content.feed(chunk)
                    self._check(at, until)
                    if content.is_full:
                        break
                self._check(at, until)
                return Answer(response.status_code, response.headers, content.whole(), call.url)
            finally:
                response.close()
        except FlowError:
            raise
        except Exception as error:
            self._check(at, until)
            raise classify(error, at) from error

    def _timeouts(self, until: float) -> dict[str, Any]:
        left = max(0.001, until - time.monotonic())
        bounds = self._client.timeout.as_dict()
        return {"timeout": {name: min(seconds or left, left) for name, seconds in bounds.items()}}

    def _check(self, at: str, until: float) -> None:
        if self._cancelled:
            msg = f"{at}: cancelled"
            raise TransientError(msg)
        if time.monotonic() >= until:
            msg = f"{at}: there was no whole answer in time"
            raise TransientError(msg)

    def _traced(self, event: str, info: dict[str, Any]) -> None:
        """Called by httpx at each thing that it does; keeps the sockets, so that they can be woken."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            connected: socket.socket = info["return_value"].get_extra_info("socket")
            with self._cancelling:
                self._sockets.add(connected)
                if self._cancelled:
                    _wake(connected)


def _wake(connected: socket.socket) -> None:
    """Have a thread that waits for the other end go on, which closing the socket would not."""
    # An SSLSocket's own method would do more than that.
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
