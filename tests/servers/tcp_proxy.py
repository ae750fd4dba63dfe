"""A TCP proxy in front of any server, that cuts, delays and stalls as it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any

from tests.servers.process import server_port

__all__ = ["TcpProxy"]

_CHUNK = 65536
_RESET, _CLOSE = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)


class TcpProxy:
    """Passes bytes on, in both directions, on a port that is known before anything listens there."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = target_host, target_port
        self.port = server_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._listener: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._delay = 0.0

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        self._do(self._up())
        self.resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every open connection."""
        self._do(self._cut())

    def down(self) -> None:
        """Refuse new connections, and reset the open ones."""
        self._do(self._down())

    def up(self) -> None:
        """Accept connections again."""
        self._do(self._up())

    def stall(self) -> None:
        """Pass nothing on from now on; connections stay open, and new ones are accepted."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        """Pass on what came meanwhile, and all that comes."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def delay(self, seconds: float) -> None:
        """Hold each chunk of at most 64 KiB so long, one after the other, from now on."""
        self._delay = seconds

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _up(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _down(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._cut()

    async def _cut(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            client, _ = listener.accept()
            connection = self._loop.create_task(self._serve(client))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)
            # One that is cut before it began to serve has nobody else who closes it.
            connection.add_done_callback(lambda _: client.close())

    async def _serve(self, client: socket.socket) -> None:
        with client, socket.socket() as target:
            ends = client, target
            for end in ends:
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Unless both ends close it in good order, each shall see a reset.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                await self._loop.sock_connect(target, self._target)
                await _both(self._pass_on(client, target), self._pass_on(target, client))
                for end in ends:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE)

    async def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        while chunk := await self._loop.sock_recv(source, _CHUNK):
            await asyncio.sleep(self._delay)
            await self._flowing.wait()
            await self._loop.sock_sendall(target, chunk)
        target.shutdown(socket.SHUT_WR)


async def _both(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them until both are done, or one of them fails."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
