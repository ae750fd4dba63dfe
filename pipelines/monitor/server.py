"""The HTTP server, on threads that nothing waits for."""

from __future__ import annotations

import errno
import logging
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from flowspec.errors import FlowError
from pipelines.monitor.pages import Pages

if TYPE_CHECKING:
    from pipelines.snapshot import Snapshot

__all__ = ["Monitor"]

_log = logging.getLogger(__name__)

_MOST = 32
"""Requests at the same time; more are sent away, so that no caller fills the process with threads."""
_PATIENCE = 5.0
"""Seconds that a caller may be silent within a request."""
_LOOK = 0.1
"""Seconds between two looks whether the run has ended."""


class Monitor:
    """Serves metrics and health of a run while its block lasts."""

    def __init__(self, host: str, port: int, look: Callable[[], Snapshot]) -> None:
        """Serve a run.

        Args:
            host: The interface to listen on, by name or address.
            port: The port; 0 for one that is free.
            look: Gives the run as it is, from whatever thread.
        """
        self._host = host
        self._port = port
        self._look = look

    def __enter__(self) -> Self:
        """Begin to serve.

        Raises:
            FlowError: the address cannot be used; says why, and what to do.
        """
        self._server = _listen(self._host, self._port, Pages(self._look))
        _log.info("metrics and health are served on %s", self.url)
        threading.Thread(target=self._server.serve_forever, args=(_LOOK,), name="monitor", daemon=True).start()
        return self

    @property
    def url(self) -> str:
        """Where it is served, without a path."""
        return self._server.url

    def __exit__(self, *_: object) -> None:
        """Free the port; whoever has not got an answer gets none."""
        self._server.shutdown()
        self._server.server_close()


def _listen(host: str, port: int, pages: Pages) -> _Server:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return _Server(family, address, pages)
    except OSError as error:
        raise FlowError(_complaint(host, port, error)) from error


def _complaint(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--http: port {port} of {host} is in use: another program or run listens there; give another one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"--http: port {port} of {host} may not be used; ports below 1024 need special rights, give another one"
    return f"--http: cannot listen on port {port} of {host}: {error.strerror or error}; check the host"


class _Server(ThreadingTCPServer):
    daemon_threads = True
    # The port may be bound while old connections fade away, but never while another socket listens.
    allow_reuse_address = True
    request_queue_size = _MOST

    def __init__(self, family: socket.AddressFamily, address: Any, pages: Pages) -> None:
        self.address_family = family
        self.pages = pages
        self._free = threading.BoundedSemaphore(_MOST)
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if self.address_family == socket.AF_INET6 else f"http://{host!s}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            _log.debug("a caller went away before it was answered", exc_info=True)
        else:
            _log.exception("a request for metrics or health failed")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(message)s\n"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        page = self.server.pages.at(self.path.partition("?")[0])
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def version_string(self) -> str:
        return "pipelines"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the standard library
        _log.debug(format, *args)
