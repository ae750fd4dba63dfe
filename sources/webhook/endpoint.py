"""What a request comes to: refused at once, or let in to be answered later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sources.webhook.http import Answer, Request, accepted, refused
from sources.webhook.messages import CREDENTIALS, to_record

if TYPE_CHECKING:
    from flowspec.records import Record
    from sources.webhook.security import Gate
    from sources.webhook.trigger import Webhook

__all__ = ["STOPPING", "Arrival", "Endpoint", "Reply"]

Reply = Callable[[Answer], None]
"""Answers a request; does nothing where it has been answered already, or its connection is gone."""

STOPPING = refused(503, "the flow is being stopped; send it again")


@dataclass(slots=True, eq=False)
class Arrival:
    """A request that was let in, and holds room until it is settled."""

    record: Record
    size: int
    reply: Reply


class Endpoint:
    """The rules of one trigger, and how much it holds; everything but `stopping` is for the server's thread."""

    def __init__(self, trigger: Webhook, gate: Gate) -> None:
        self._trigger = trigger
        self._gate = gate
        self._left_out = CREDENTIALS | ({gate.header} if gate.header else set())
        self._allowed = ", ".join(trigger.methods).encode()
        self._count = 0
        self._bytes = 0
        self.add: Callable[[Arrival], Answer | None] = lambda _: STOPPING
        """Takes what is let in, or refuses it."""
        self.stopping = False
        """Whether requests are let in no more; may be set on any thread."""

    def begin(self, request: Request) -> Answer | None:
        """Refuse a request whose body is not here yet, or have it come."""
        if self.stopping:
            return STOPPING
        if request.path != self._trigger.path:
            return refused(404, "there is nothing at this path")
        if request.method not in self._trigger.methods:
            return refused(405, f"the method {request.method} is not allowed", (b"allow", self._allowed))
        if request.headers.get("content-encoding", "identity") != "identity":
            return refused(415, "the body is compressed; send it as it is", (b"accept-encoding", b"identity"))
        length = int(request.headers.get("content-length", 0))
        return self.too_large(length) or self._gate.check_head(request) or self._busy()

    def too_large(self, size: int) -> Answer | None:
        """Refuse a body of `size` bytes or more."""
        most = self._trigger.max_size
        return refused(413, f"the body is larger than {most} bytes") if size > most else None

    def take(self, size: int) -> Answer | None:
        """Hold `size` more bytes of a body, or refuse it."""
        if self._bytes + size > self._trigger.pending_size:
            return self._overloaded()
        self._bytes += size
        return None

    def release(self, size: int) -> None:
        """Hold `size` bytes no longer."""
        self._bytes -= size

    def finish(self, request: Request, reply: Reply) -> Answer | None:
        """Let a request in that is here as a whole: `reply` is called later. Or refuse it."""
        answer = STOPPING if self.stopping else self._gate.check(request) or self._busy()
        if answer is None:
            answer = self.add(Arrival(to_record(request, self._left_out), len(request.body), reply))
        if answer is None:
            self._count += 1
        return answer

    def settle(self, arrivals: list[Arrival], answer: Answer | None = None) -> None:
        """Answer requests, each with its id where there is nothing else to say, and hold them no longer."""
        for arrival in arrivals:
            self._count -= 1
            self._bytes -= arrival.size
            arrival.reply(answer or accepted(arrival.record.meta["request_id"]))

    def _busy(self) -> Answer | None:
        return self._overloaded() if self._count >= self._trigger.pending else None

    def _overloaded(self) -> Answer:
        return refused(429, "too many requests are not delivered yet; send it again later")
