"""The proxy cuts, delays and stalls as it is told, and only then."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.servers.process import listens
from tests.servers.tcp_proxy import TcpProxy

PATIENCE = 60.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers what it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(client: socket.socket) -> None:
            with client:
                try:
                    while got := client.recv(65536):
                        client.sendall(got)
                except OSError:
                    return

        def serve() -> None:
            while True:
                try:
                    client = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        server.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", echo) as proxy:
        yield proxy


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)


def ask(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    answer = b""
    while len(answer) < len(text):
        got = client.recv(65536)
        assert got, "the connection has ended"
        answer += got
    return answer


def test_it_passes_on_both_ways(proxy: TcpProxy) -> None:
    much = bytes(range(256)) * 10_000
    with connect(proxy) as one, connect(proxy) as other:
        assert ask(one, b"one") == b"one"
        assert ask(other, b"other") == b"other"
        sender = threading.Thread(target=one.sendall, args=(much,), daemon=True)
        sender.start()
        received = b""
        while len(received) < len(much):
            received += one.recv(65536)
        sender.join()
        assert received == much


def test_it_passes_on_that_an_end_closes(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: client.recv(65536), b"")) == b"last"


def test_cut_connections_are_reset_and_new_ones_are_not(proxy: TcpProxy) -> None:
    with connect(proxy) as one, connect(proxy) as other:
        ask(one, b"open")
        ask(other, b"open")
        proxy.cut()
        for client in (one, other):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    with connect(proxy) as client:
        assert ask(client, b"again") == b"again"


def test_down_it_refuses_until_it_is_up(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        ask(client, b"open")
        proxy.down()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.down()
    proxy.up()
    proxy.up()
    with connect(proxy) as client:
        assert ask(client, b"again") == b"again"


def test_stalled_nothing_comes_until_it_is_resumed(proxy: TcpProxy) -> None:
    with connect(proxy) as old:
        ask(old, b"open")
        proxy.stall()
        with connect(proxy) as new:
            for client in (old, new):
                client.sendall(b"later")
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                client.settimeout(PATIENCE)
            proxy.resume()
            for client in (old, new):
                assert client.recv(5, socket.MSG_WAITALL) == b"later"


def test_delayed_each_answer_is_later(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        proxy.delay(0.1)
        started = time.monotonic()
        assert ask(client, b"slow") == b"slow"
        assert time.monotonic() - started >= 0.2
        proxy.delay(0)
        assert ask(client, b"quick") == b"quick"


def test_a_server_that_is_not_there_resets_the_client() -> None:
    # It may be reset before the client has seen that it was accepted.
    with TcpProxy("127.0.0.1", 1) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)


def test_before_and_after_it_nobody_listens(echo: int) -> None:
    proxy = TcpProxy("127.0.0.1", echo)
    assert not listens(proxy.port)
    with proxy, connect(proxy) as client:
        ask(client, b"open")
    assert not listens(proxy.port)
