"""What the suite must know of HTTP APIs; this one is a server of the tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from sinks.testing import Received, SinkHarness
from sources.testing import PollingHarness
from tests.conformance.proxied import Proxied
from tests.servers.http_server import HttpServer, Reply, Seen
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["ChangeFeed", "Resource"]

_MOST = 100
"""Items of one answer."""
_MOST_BYTES = 200_000
_LIMIT = 1_000_000


class _Api(Proxied):
    """A server, and a proxy before it."""

    def __init__(self, _: None) -> None:
        self._open = ExitStack()
        self._server = self._open.enter_context(HttpServer())
        self._proxy = self._open.enter_context(TcpProxy("127.0.0.1", self._server.port))
        self._lock = threading.Lock()

    @property
    def _proxied_url(self) -> str:
        return f"http://127.0.0.1:{self._proxy.port}"

    def close(self) -> None:
        self._open.close()


class ChangeFeed(_Api, PollingHarness):
    """A feed of lines in the order of their arrival; with each answer comes the number from which to go on."""

    event = "http.poll-endpoint"
    many = 3_000
    backlog = 1_000
    flood = (500, 100_000)
    keys = ("a", "b", "c")

    def __init__(self, _: None) -> None:
        super().__init__(None)
        self._lines: list[bytes] = []
        self._server.route("/changes", self._answer)

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "http",
            "event": "poll-endpoint",
            "url": f"{self._server.url}/changes",
            "format": "json-lines",
            "query": {"after": "{cursor}"},
            "cursor_token": "headers['x-last']",
            "interval": "50ms",
            **fields,
        }

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self.trigger(url=f"{self._proxied_url}/changes", **fields)

    def missing(self) -> dict[str, Any]:
        return self.trigger(url=f"{self._server.url}/missing")

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        with self._lock:
            self._lines.extend(payloads)

    def left(self) -> int:
        """What no saved cursor covers."""
        cursor = self.saved_cursor() or {"value": 0}
        handed_over = cursor.get("walk", {}).get("listed", ())
        return len(self._lines) - int(cursor["value"] or 0) - len(handed_over)

    def _answer(self, seen: Seen) -> Reply:
        after = end = int(seen.query.get("after", 0))
        size = 0
        while end < min(after + _MOST, len(self._lines)) and size < _MOST_BYTES:
            size += len(self._lines[end])
            end += 1
        return Reply(200, {"X-Last": str(end)}, b"".join(line + b"\n" for line in self._lines[after:end]))


class Resource(_Api, SinkHarness):
    """A collection that items are added to, or put into by their id."""

    headers_field = "headers"
    ordered: ClassVar = {"order_key": "{group}"}
    too_large = 2 * _LIMIT

    def __init__(self, _: None) -> None:
        super().__init__(None)
        self._received: dict[str, Received] = {}
        self._server.route("/orders", self._take)
        for number in range(10):
            self._server.route(f"/orders/{number}", self._take)

    def action(self, **fields: Any) -> dict[str, Any]:
        return {"connector": "http", "action": "request", "url": f"{self._server.url}/orders", **fields}

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self.action(url=f"{self._proxied_url}/orders", **fields)

    def missing(self) -> dict[str, Any]:
        return self.action(url=f"{self._server.url}/missing")

    @property
    def upserting(self) -> dict[str, Any]:
        return {"method": "PUT", "url": f"{self._server.url}/orders/{{id}}"}

    def received(self) -> Sequence[Received]:
        with self._lock:
            return list(self._received.values())

    def _take(self, seen: Seen) -> Reply:
        if len(seen.body) > _LIMIT:
            return Reply(413, body=b"too large")
        with self._lock:
            name = seen.path if seen.method == "PUT" else f"request {len(self._received)}"
            self._received[name] = Received(seen.body, seen.headers)
        return Reply(201)
