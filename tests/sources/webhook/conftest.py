"""Endpoints, and what is said to them byte by byte, for the tests of this directory."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from typing_extensions import Self

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.records import Record
from sources.http import HttpAccount
from sources.webhook import Webhook
from sources.webhook.reader import WebhookReader
from tests.servers.process import server_port

__all__ = ["Answer", "Client", "Open", "delivering", "post", "request"]

_PATIENCE = 60.0


class Open(Protocol):
    """Opens a reader that is closed at the end of the test."""

    def __call__(self, *, secret: str | None = None, **fields: Any) -> WebhookReader: ...


@pytest.fixture
def port() -> int:
    """Where the readers of a test listen."""
    return server_port()


@pytest.fixture
def open_reader(tmp_path: Path, port: int) -> Iterator[Open]:
    """Opens readers and closes them at the end."""
    with ExitStack() as stack:

        def open_one(*, secret: str | None = None, **fields: Any) -> WebhookReader:
            account = None if secret is None else HttpAccount(signing_secret=secret)
            trigger = Webhook(account=account, **{"port": port, "path": "/hook", **fields})
            context = WorkerContext("test", 0, 1, threading.Event(), Health("trigger"), state_dir=tmp_path)
            reader = trigger.open("endpoint", None, context)
            stack.callback(reader.close, 5.0)
            return reader

        yield open_one


@contextmanager
def delivering(reader: WebhookReader) -> Iterator[list[Record]]:
    """Be the flow: what is read is delivered at once, and is in the list."""
    records: list[Record] = []
    ending = threading.Event()

    def deliver() -> None:
        while not ending.is_set():
            records.extend(reader.read(100, 0.05))
            reader.commit(reader.position())

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield records
    finally:
        ending.set()
        thread.join()


class Answer:
    """What a request was answered with."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body: dict[str, Any] = json.loads(response.read() or b"{}")


class Client:
    """A connection whose bytes the test writes itself."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more is sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "POST") -> Answer:
        """The next answer."""
        # Without a buffer it reads not a byte of the one behind.
        response = http.client.HTTPResponse(_Unbuffered(self._socket), method=method)  # type: ignore[arg-type]
        response.begin()
        return Answer(response)

    def interim(self) -> bytes:
        """The next answer that is not the last one to its request."""
        received = b""
        while not received.endswith(b"\r\n\r\n") and (byte := self._socket.recv(1)):
            received += byte
        return received

    def rest(self) -> bytes:
        """What comes until the other end closes the connection."""
        received = b""
        while chunk := self._socket.recv(4096):
            received += chunk
        return received


class _Unbuffered:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def makefile(self, _mode: str) -> Any:
        return _Lines(self._connection)


class _Lines:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def readline(self, _most: int = -1) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (byte := self._connection.recv(1)):
            line += byte
        return line

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (chunk := self._connection.recv(count - len(data))):
            data += chunk
        return data

    def flush(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """The connection stays open."""


def request(*lines: str, body: bytes = b"", path: str = "/hook", method: str = "POST") -> bytes:
    """A request as it is sent; its length is added where no header says how it is framed."""
    framed = any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines)
    length = [] if framed else [f"Content-Length: {len(body)}"]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *lines, *length, "", ""])
    return head.encode() + body


def post(port: int, *lines: str, body: bytes = b"{}", path: str = "/hook", method: str = "POST") -> Answer:
    """Send a request and wait for its answer."""
    with Client(port) as client:
        client.send(request(*lines, body=body, path=path, method=method))
        return client.answer(method)
