"""The listening socket and its connections, on a thread of their own."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from flowspec.delivery.background import Background
from flowspec.errors import FatalError
from sources.webhook.connection import Connection, Phase

if TYPE_CHECKING:
    from flowspec.delivery.health import Health
    from sources.webhook.endpoint import Endpoint
    from sources.webhook.trigger import Webhook

__all__ = ["Server", "check_address", "listen"]

_log = logging.getLogger(__name__)
_KEEP_ALIVE = 75.0
"""Seconds that a connection may be silent between two requests; the default of nginx."""
_GOOD_BYE = 2.0
"""Seconds that a sender has to read its last answer."""
_BACKLOG = 1024
_LOOK = 0.01
"""Seconds between two looks whether all connections have ended."""
_BREATH = 1.0
"""Seconds that nothing is accepted for when this machine has no room for a connection."""
_GRACE = 1.0
"""Seconds that the thread has for its own end."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; connections wait until it is served.

    Raises:
        FatalError: the address cannot be used.
    """
    try:
        family, address = _address(host, port)
        # It may be bound while old connections fade away, but never while another socket listens.
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise FatalError(_complaint(host, port, error)) from error


def check_address(host: str, port: int) -> None:
    """See that one could listen there; nothing does meanwhile, so that no connection is accepted and lost.

    Raises:
        FatalError: the address cannot be used.
    """
    try:
        family, address = _address(host, port)
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise FatalError(_complaint(host, port, error)) from error


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, (str(address[0]), port)


def _complaint(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use: another program, flow or run listens there; stop it, or give the "
            "trigger another 'port'"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} of {host} may not be used; ports below 1024 need special rights, give another 'port'"
    return f"cannot listen on port {port} of {host}: {error.strerror or error}; check 'host'"


class Server:
    """Serves the connections to one socket until it is closed."""

    def __init__(
        self,
        listener: socket.socket,
        endpoint: Endpoint,
        trigger: Webhook,
        health: Health,
        failed: Callable[[Exception], None],
    ) -> None:
        self._listener = listener
        self._endpoint = endpoint
        self._most = trigger.connections
        self._health = health
        self._patience = {
            Phase.RESTING: _KEEP_ALIVE,
            Phase.RECEIVING: trigger.receive_timeout,
            Phase.ANSWERING: trigger.answer_timeout,
            Phase.LEAVING: _GOOD_BYE,
        }
        self._connections: set[Connection] = set()
        self._accepted: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._close_time = 0.0
        self._stopping = threading.Event()
        self._thread = Background("webhook", health, failed)

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start(self._serve, self._stopping, "server")

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called on the server's thread; no longer after `close`."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        """Accept no more connections; what is under way on others is answered."""
        self.call(self._stop)

    def close(self, timeout: float) -> None:
        """Send the answers that are due and free the port, in `timeout` seconds at most."""
        self._close_time = timeout
        self._stopping.set()
        self.call(self._closing.set)
        self._thread.join(timeout + _GRACE)

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._stopping.set()
            self._listener.close()
            self._loop.close()

    async def _run(self) -> None:
        self._listener.setblocking(False)
        self._listen()
        self._health.up()
        await self._closing.wait()
        until = self._loop.time() + self._close_time
        self._stop()
        # What was accepted a moment ago is a connection only then.
        await asyncio.gather(*self._accepted, return_exceptions=True)
        self._stop()
        while self._connections and self._loop.time() < until:
            await asyncio.sleep(_LOOK)
        for connection in tuple(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)

    def _listen(self) -> None:
        # A server of asyncio would lose what it has accepted in the moment when it is closed.
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            _log.warning("no connection can be accepted: %s", error)
            self._loop.remove_reader(self._listener)
            self._loop.call_later(_BREATH, self._listen)
            return
        accepted.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._connection, accepted))
        self._accepted.add(task)
        task.add_done_callback(self._accepted.discard)

    def _stop(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        for connection in tuple(self._connections):
            connection.finish()

    def _connection(self) -> asyncio.Protocol:
        if len(self._connections) >= self._most:
            return _Crowded()
        connection = Connection(self._endpoint, self._patience, self._connections.discard)
        self._connections.add(connection)
        return connection


class _Crowded(asyncio.Protocol):
    """Sends a connection away that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(
            b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
        )
        transport.close()
