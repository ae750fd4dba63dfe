"""An HTTP proxy in front of an SQS server, that fails as it is told."""

from __future__ import annotations

import http.client
import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

__all__ = ["FaultyProxy", "Refusal"]

Refusal: TypeAlias = Literal["unavailable", "cut off", "answer lost", "every second entry"]
"""How an action fails: a 503; the connection ends before the server sees the request; it ends after the server has
done what was asked; or the first, third, fifth ... entry of a batch fails."""

_REFUSAL = b'{"__type": "ServiceUnavailable", "message": "refused by the test"}'
_JSON = {"Content-Type": "application/x-amz-json-1.0"}


class _CutOffError(Exception):
    """The client shall get no answer."""


class FaultyProxy:
    """Passes requests on, remembers them by action, and refuses what it is told to."""

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint).netloc
        self._refused: dict[str, Refusal] = {}
        self._delays: dict[str, float] = {}
        self._down = False
        self._bodies: defaultdict[str, list[bytes]] = defaultdict(list)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy._handle(self)

            def log_message(self, *arguments: object) -> None:
                """Requests are remembered, not logged."""

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

    def refuse(self, action: str, how: Refusal = "unavailable") -> None:
        """Let an action fail from now on."""
        self._refused[action] = how

    def allow(self, action: str) -> None:
        """Pass an action on again."""
        self._refused.pop(action, None)

    def delay(self, action: str, seconds: float) -> None:
        """Pass an action on so much later from now on."""
        self._delays[action] = seconds

    def down(self) -> None:
        """Drop every connection that asks for something."""
        self._down = True

    def up(self) -> None:
        """Be there again."""
        self._down = False

    def calls(self, action: str) -> int:
        """How often an action was asked for."""
        return len(self.bodies(action))

    def bodies(self, action: str) -> list[bytes]:
        """The requests for an action, as they came."""
        return self._bodies.get(action, [])

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        action = _action(request, body)
        self._bodies[action].append(body)
        try:
            status, headers, answer = self._answer(request, action, body)
        except _CutOffError:
            request.close_connection = True
            return
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _answer(self, request: BaseHTTPRequestHandler, action: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        threading.Event().wait(self._delays.get(action, 0))
        how = self._refused.get(action)
        if self._down or how == "cut off":
            raise _CutOffError
        if how == "unavailable":
            return 503, _JSON, _REFUSAL
        if how == "every second entry":
            return self._pass_half_on(request, json.loads(body))
        answer = self._pass_on(request, body)
        if self._down or how == "answer lost":
            raise _CutOffError
        return answer

    def _pass_half_on(
        self, request: BaseHTTPRequestHandler, batch: dict[str, Any]
    ) -> tuple[int, dict[str, str], bytes]:
        refused, kept = batch["Entries"][::2], batch["Entries"][1::2]
        status, headers, answer = 200, _JSON, b"{}"
        if kept:
            status, headers, answer = self._pass_on(request, json.dumps({**batch, "Entries": kept}).encode())
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False, "Message": "refused by the test"}
            for entry in refused
        ]
        result = json.loads(answer)
        result["Failed"] = result.get("Failed", []) + failed
        return status, headers, json.dumps(result).encode()

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=60)
        try:
            dropped = {"host", "content-length"}
            headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
            connection.request("POST", request.path, body, {**headers, "Host": self._target})
            dropped = {"content-length", "connection", "transfer-encoding", "date", "server"}
            with connection.getresponse() as answer:
                kept = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
                return answer.status, kept, answer.read()
        finally:
            connection.close()


def _action(request: BaseHTTPRequestHandler, body: bytes) -> str:
    """The name of what is asked for, in the JSON protocol or in the older one of forms."""
    if target := request.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    return parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
