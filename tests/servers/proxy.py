"""An HTTP proxy in front of an SQS server, that fails as it is told."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

__all__ = ["FaultyProxy"]

_REFUSAL = b'{"__type": "ServiceUnavailable", "message": "refused by the test"}'


class FaultyProxy:
    """Passes requests on, counts them by action, and refuses what it is told to."""

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint).netloc
        self._refused: set[str] = set()
        self._down = False
        self._calls: Counter[str] = Counter()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy._handle(self)

            def log_message(self, *arguments: object) -> None:
                """Requests are counted, not logged."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is what the tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def refuse(self, action: str) -> None:
        """Answer 503 to an action from now on."""
        self._refused.add(action)

    def allow(self, action: str) -> None:
        """Pass an action on again."""
        self._refused.discard(action)

    def down(self) -> None:
        """Drop every connection that asks for something."""
        self._down = True

    def up(self) -> None:
        """Be there again."""
        self._down = False

    def calls(self, action: str) -> int:
        """How often an action was asked for."""
        return self._calls[action]

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self._calls[action] += 1
        if self._down:
            request.close_connection = True
            return
        if action in self._refused:
            status, headers, answer = 503, {"Content-Type": "application/x-amz-json-1.0"}, _REFUSAL
        else:
            status, headers, answer = self._pass_on(request, body)
        if self._down:
            request.close_connection = True
            return
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            connection.request("POST", request.path, body, {**headers, "Host": self._target})
            answer = connection.getresponse()
            dropped = {"content-length", "connection", "transfer-encoding", "date", "server"}
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
            return answer.status, kept, answer.read()
        finally:
            connection.close()
