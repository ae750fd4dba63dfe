"""What the suite must know of webhooks: their senders keep what is not answered, and send it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sources.testing import TriggerHarness
from sources.testing.harness import FLOW
from sources.webhook.spool import entries_of
from tests.servers.process import server_port
from tests.servers.tcp_proxy import TcpProxy
from tests.sources.webhook.sender import Sender

__all__ = ["AcceptedRequests", "DeliveredRequests"]

_PATH = "/hooks/orders"


class DeliveredRequests(TriggerHarness):
    """Answered when they are delivered; until then they are the sender's, a client of Python's own library."""

    many = 5_000
    backlog = 2_000
    flood = (500, 100_000)
    keys = ("one sender",)
    """One after the other is in order."""

    def __init__(self, server: object) -> None:
        """They need no other server."""
        self._port = server_port()
        self._sender = Sender(self._port, _PATH)
        self._proxy: TcpProxy | None = None

    def close(self) -> None:
        self._sender.close()
        if self._proxy is not None:
            self._proxy.__exit__(None, None, None)

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "http",
            "event": "webhook",
            "port": self._port,
            "path": _PATH,
            "pending_size": "4MiB",
            "answer_timeout": 100,
            **fields,
        }

    def proxied(self, **fields: Any) -> dict[str, Any]:
        self._proxy = TcpProxy("127.0.0.1", self._port)
        self._proxy.__enter__()
        self._sender.port = self._proxy.port
        return self.trigger(**fields)

    def cut(self) -> None:
        assert self._proxy is not None
        self._proxy.cut()

    def missing(self) -> dict[str, Any]:
        return self.trigger(host="missing.invalid", unauthenticated=True)

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._sender.send(payloads, key=key, headers=headers)

    def left(self) -> int:
        return self._sender.unanswered()


class AcceptedRequests(DeliveredRequests):
    """Answered when they are in the spool; what is there and not delivered is left as well."""

    ack_timeout = 5.0
    """An answer waits for the disk only, so that a slow sink makes no sender impatient."""

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return super().trigger(**{"respond": "accepted", "answer_timeout": self.ack_timeout, **fields})

    def left(self) -> int:
        with self._sender.paused() as unanswered:
            return unanswered + self._undelivered()

    def _undelivered(self) -> int:
        spool = self.directory / "state" / "webhook" / FLOW
        if not (spool / "delivered").exists():
            return 0
        delivered = tuple(map(int, (spool / "delivered").read_text().split())) or (0, 0)
        left = 0
        for path in spool.glob("*.spool"):
            # One that is delivered may be removed meanwhile.
            with suppress(FileNotFoundError):
                left += sum((int(path.stem), end) > delivered for _, end in entries_of(path.read_bytes()))
        return left
