"""Machines of a network that exists for one test: network namespaces, joined by a bridge in one of their own."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

import pytest

__all__ = ["Machine", "forwarding", "network"]

_NEW_NETWORK = 0x40000000
_NETWORK = "10.88.5"
_CHUNK = 65_536

Answer = TypeVar("Answer")


class Machine:
    """A network namespace; it goes away with this process at the latest."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._file = _in_a_thread(_new_namespace)
        self.path = f"/proc/{os.getpid()}/fd/{self._file}"

    def do(self, work: Callable[[], Answer]) -> Answer:
        """Do something there: sockets and processes that it makes stay there."""

        def inside() -> Answer:
            _call("setns", self._file, _NEW_NETWORK)
            return work()

        return _in_a_thread(inside)

    def ip(self, *arguments: str) -> None:
        """Call `ip` there."""
        command = ["ip", *arguments]
        self.do(lambda: subprocess.run(command, check=True, capture_output=True, text=True))

    def close(self) -> None:
        os.close(self._file)


@contextmanager
def network(count: int) -> Iterator[list[Machine]]:
    """Machines that reach each other by addresses of their own; skipped where that is not permitted.

    The last of them has the bridge.
    """
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need iproute2: apt-get install iproute2")
    with ExitStack() as stack:
        try:
            machines = _joined(stack, count)
        except (OSError, subprocess.CalledProcessError) as error:
            why = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
            pytest.skip(f"network namespaces cannot be made here, which takes root: {why}")
        yield machines


def _joined(stack: ExitStack, count: int) -> list[Machine]:
    hub = Machine(f"{_NETWORK}.254")
    stack.callback(hub.close)
    hub.ip("link", "set", "lo", "up")
    hub.ip("link", "add", "bridge", "type", "bridge")
    hub.ip("address", "add", f"{hub.address}/24", "dev", "bridge")
    hub.ip("link", "set", "bridge", "up")
    machines = []
    for number in range(1, count + 1):
        machine = Machine(f"{_NETWORK}.{number}")
        stack.callback(machine.close)
        port = f"port{number}"
        hub.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", machine.path)
        hub.ip("link", "set", port, "master", "bridge", "up")
        machine.ip("link", "set", "lo", "up")
        machine.ip("address", "add", f"{machine.address}/24", "dev", "eth0")
        machine.ip("link", "set", "eth0", "up")
        machines.append(machine)
    return [*machines, hub]


@contextmanager
def forwarding(machine: Machine, host: str, port: int) -> Iterator[None]:
    """Have a port of this machine's loopback interface answer on a machine of the network as well."""
    listener = machine.do(lambda: socket.create_server((host, port)))
    connections: list[socket.socket] = []
    threads = [threading.Thread(target=_accept, args=(listener, port, connections), name="forwarding")]
    threads[0].start()
    try:
        yield
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        threads[0].join()
        listener.close()


def _accept(listener: socket.socket, port: int, connections: list[socket.socket]) -> None:
    threads = []
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            connections += client, server
            for ends in ((client, server), (server, client)):
                threads.append(threading.Thread(target=_pass_on, args=ends, name="forwarding"))
                threads[-1].start()
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _new_namespace() -> int:
    _call("unshare", _NEW_NETWORK)
    return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)


def _call(function: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _in_a_thread(work: Callable[[], Answer]) -> Answer:
    """A thread has a namespace of its own, and takes it along when it ends."""
    future: Future[Answer] = Future()

    def answer() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=answer)
    thread.start()
    thread.join()
    return future.result()
