"""Many requests side by side, each with its own answer or error."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

from flowspec.errors import FatalError, FlowError, RecordError, TransientError
from sources.http.calls import Answer, Call
from sources.http.errors import is_passing, retry_after
from sources.http.refusals import check_refusal, may_be_due_to_content, refused
from sources.http.session import Limits, Session

if TYPE_CHECKING:
    from sources.http.account import HttpAccount

__all__ = ["Exchanged", "Exchanges"]

Exchanged: TypeAlias = "Answer | FlowError"
_Request: TypeAlias = "tuple[str, str, bytes | None]"


class Exchanges:
    """Makes requests with the credentials of an account."""

    def __init__(
        self,
        account: HttpAccount,
        home: str | None,
        *,
        concurrency: int,
        timeout: float,
        max_size: int,
        max_attempts: int | None,
        is_constant: bool = False,
        strays: bool = True,
    ) -> None:
        """Nothing is connected yet.

        Args:
            account: Whose credentials they have.
            home: The host that they go to; None where records say which.
            concurrency: How many are made at the same time.
            timeout: Seconds for each.
            max_size: Bytes that an answer may have.
            max_attempts: How often one is made that the server fails on; without it for ever.
            is_constant: Whether all have the same URL.
            strays: Whether a redirect may lead to a host that gets no credentials.
        """
        # A byte more tells an answer that is too large from one that just fits.
        self._session = Session(account, home, Limits(max_size + 1, timeout, cut=True, strays=strays), concurrency)
        self._max_size = max_size
        self._max_attempts = max_attempts
        self._is_constant = is_constant
        self._is_known = account.has_credentials
        self._attempts: dict[_Request, int] = {}
        """How often those were made that the server failed on."""
        self._obstacle: FlowError | None = None
        """Why no more are made this time."""
        self._pool = ThreadPoolExecutor(concurrency, "http-exchange") if concurrency > 1 else None

    def make(self, calls: Sequence[Call], accepted: Collection[int] = ()) -> list[Exchanged]:
        """Make requests; answers, in their order, the answer of each, or its error.

        Whoever cannot be reached for one cannot be reached for the next: then the others are not made, and have the
        same error.

        Args:
            calls: The requests.
            accepted: Statuses that are answers, beside those from 200 to 299.
        """
        self._obstacle = None

        def made(call: Call) -> Exchanged:
            return self._obstacle or self._made(call, accepted)

        exchanged = list(map(made, calls) if self._pool is None else self._pool.map(made, calls))
        failed = {
            _request(call) for call, each in zip(calls, exchanged, strict=True) if isinstance(each, TransientError)
        }
        self._attempts = {request: count for request, count in self._attempts.items() if request in failed}
        return exchanged

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.shutdown()
        self._session.close()

    def _made(self, call: Call, accepted: Collection[int]) -> Exchanged:
        try:
            answer = self._session.exchange(call)
            if not (answer.is_success or answer.status in accepted):
                return self._refusal(call, answer)
        except (TransientError, FatalError) as error:
            self._obstacle = error
            return error
        if len(answer.body) > self._max_size:
            return RecordError(f"{call.at}: the answer has more than max_size, {self._max_size:,} bytes")
        return answer

    def _refusal(self, call: Call, answer: Answer) -> FlowError:
        """What an answer that is none means.

        Raises:
            TransientError: no other request would do better now.
            FatalError: no other request would ever do better.
        """
        text = refused(self._session, call, answer)
        if not is_passing(answer.status):
            check_refusal(self._session, call, answer, is_constant=self._is_constant, is_known=self._is_known)
            return RecordError(text)
        failed = TransientError(text, retry_after=retry_after(answer.headers))
        if not may_be_due_to_content(answer.status):
            raise failed
        request = _request(call)
        attempts = self._attempts[request] = self._attempts.get(request, 0) + 1
        return failed if self._max_attempts is None or attempts < self._max_attempts else RecordError(text)


def _request(call: Call) -> _Request:
    return call.method, call.url, call.content
