"""A real HTTP server in this process, whose answers can be wrong in every way that HTTP has."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

__all__ = ["CUT", "HANG", "HttpServer", "Reply", "Seen", "Server", "json_reply"]

CUT = b"\0cut"
"""A part of a reply after which the connection is reset."""
HANG = b"\0hang"
"""A part of a reply after which nothing comes until the server ends."""
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes
    at: float
    """By the monotonic clock."""
    connection: int
    """The client's port."""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the server says to a request."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: Iterable[bytes] | None = None
    """Parts that are written as they are, after the headers, which then have no length of their own."""
    pause: float = 0.0
    """Seconds between two parts."""


Server: TypeAlias = "Callable[[Seen], Reply]"


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """A value as JSON; headers are named with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, {"Content-Type": "application/json", **named}, json.dumps(value).encode())


class HttpServer:
    """Answers each path by a function, and remembers every request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Serve http, or https with `tls`."""
        self.requests: list[Seen] = []
        """All that came, in order of their arrival."""
        self._routes: dict[str, Server] = {}
        self._first: dict[str, list[Reply]] = {}
        self._ending = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else the end of an answer waits for the acknowledgement of its beginning.
            disable_nagle_algorithm = True
            wbufsize = -1

            def handle_one_request(self) -> None:
                with suppress(ConnectionError, ssl.SSLError):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def do_GET(self) -> None:
                owner._handle(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names of the base class

            def log_message(self, *arguments: object) -> None:
                """Requests are remembered, not logged."""

        class _Listener(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is what the tests are about."""

        self._server = _Listener(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def route(self, path: str, server: Server | Reply) -> None:
        """Have a path answered by a function, or always with the same."""
        self._routes[path] = server if callable(server) else lambda _: server

    def first(self, path: str, *replies: Reply) -> None:
        """Answer the next requests for a path with these, before its function is asked again."""
        self._first.setdefault(path, []).extend(replies)

    def waiting(self, path: str) -> int:
        """How many of the replies that come first have not been given yet."""
        return len(self._first.get(path, ()))

    def seen(self, path: str) -> list[Seen]:
        """The requests for a path."""
        return [request for request in list(self.requests) if request.path == path]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        if len(body) < length:
            # The client was killed: this is no request.
            handler.close_connection = True
            return
        headers = {name.lower(): value.encode("latin-1").decode("utf-8") for name, value in handler.headers.items()}
        seen = Seen(
            handler.command, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body,
            time.monotonic(), handler.client_address[1],
        )  # fmt: skip
        self.requests.append(seen)
        waiting = self._first.get(parts.path)
        route = self._routes.get(parts.path)
        if waiting:
            reply = waiting.pop(0)
        elif route is not None:
            reply = route(seen)
        else:
            reply = Reply(404, {"Content-Type": "text/plain"}, b"nothing here")
        self._write(handler, reply)

    def _write(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.raw is None:
            if reply.status not in (204, 304):
                handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body)
            return
        handler.end_headers()
        handler.close_connection = True
        for part in reply.raw:
            if part == CUT:
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            if part == HANG:
                self._ending.wait()
                return
            handler.wfile.write(part)
            handler.wfile.flush()
            if reply.pause and self._ending.wait(reply.pause):
                return
