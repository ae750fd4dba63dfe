"""http / webhook on the worker that listens: the server, what it lets in, and where that waits for the flow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sources.http.account import HttpAccount
from sources.webhook.endpoint import Arrival, Endpoint
from sources.webhook.http import Answer
from sources.webhook.inbox import Accepted, Awaited, Inbox, check_left_over
from sources.webhook.security import Anybody, Gate, SharedSecret, Signature, Signed
from sources.webhook.server import Server, listen

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record
    from sources.webhook.trigger import Webhook

__all__ = ["WebhookReader"]


class WebhookReader:
    """Listens from its opening on; one port is one reader."""

    def __init__(self, trigger: Webhook, context: WorkerContext) -> None:
        """Listen.

        Raises:
            FatalError: the port or the spool cannot be used.
        """
        self._endpoint = Endpoint(trigger, _gate(trigger))
        listener = listen(trigger.host, trigger.port)
        try:
            self._inbox = self._open_inbox(trigger, context)
        except BaseException:
            listener.close()
            raise
        self._endpoint.add = self._inbox.add
        self._server = Server(listener, self._endpoint, trigger, context.health, self._inbox.unread.fail)
        # Not before it is known here: a request may come, and be answered, at once.
        self._server.start()

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over requests."""
        return self._inbox.read(most, wait)

    def position(self) -> Position:
        """The position after all that was handed over."""
        return self._inbox.position()

    def commit(self, position: Position) -> None:
        """Have the requests up to `position` answered, or removed from the spool."""
        self._inbox.commit(position)

    def stop(self) -> None:
        """Let no more requests in; those in the flow are still answered."""
        self._endpoint.stopping = True
        self._server.stop()
        self._inbox.stop()

    def close(self, timeout: float) -> None:
        """Send the last answers and free the port, in `timeout` seconds at most."""
        until = time.monotonic() + timeout
        self._endpoint.stopping = True
        self._inbox.close(timeout)
        self._server.close(max(0.0, until - time.monotonic()))

    def _open_inbox(self, trigger: Webhook, context: WorkerContext) -> Inbox:
        directory = context.state_dir / "webhook" / context.flow
        if trigger.respond == "accepted":
            return Accepted(trigger, self._settle, context, directory)
        check_left_over(directory)
        return Awaited(trigger, self._settle, context)

    def _settle(self, arrivals: list[Arrival], answer: Answer | None = None) -> None:
        if arrivals:
            self._server.call(self._endpoint.settle, arrivals, answer)


def _gate(trigger: Webhook) -> Gate:
    secret = HttpAccount.of(trigger.account).signing_secret
    if secret is None:
        return Anybody()
    if trigger.signature is None:
        return SharedSecret(trigger.secret_header or "", secret.get_secret_value())
    return Signed(Signature.of(trigger.signature), secret.get_secret_value())
