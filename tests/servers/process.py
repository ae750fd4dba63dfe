"""The process of a server that tests start, kill and start again."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from pipelines.demo.tether import end_tethered, start_tethered

__all__ = ["ServerProcess", "listens", "server_port"]

_PATIENCE = 180.0
"""Seconds until a server counts as not starting."""

_given: dict[int, IO[bytes]] = {}
"""The ports of this process, each with a lock that it holds: others on this machine take no such port."""


def server_port() -> int:
    """A port for a server that may go away and come back, as long as this process lives.

    It is below those that the system gives to clients: one that tries to reach a server which is down could be given
    the very port it calls, be connected to itself, and keep the server from coming back.
    """
    locks = Path(tempfile.gettempdir()) / "trigger-flows-ports"
    locks.mkdir(exist_ok=True)
    while True:
        port = random.randrange(20_000, 32_768)
        lock = (locks / str(port)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if port not in _given and not listens(port):
            _given[port] = lock
            return port
        lock.close()


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ServerProcess:
    """A command that runs until it is killed, at the latest when this process ends, however that happens."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool]) -> None:
        """Start it, and wait until it is ready.

        Raises:
            RuntimeError: it ended, or was not ready within three minutes.
        """
        assert self._process is None, "it runs already"
        with self._log.open("ab") as output:
            self._process = start_tethered(self._command, output, self._environment)
        until = time.monotonic() + _PATIENCE
        while not ready():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                end = self._log.read_text(errors="replace")[-2000:]
                msg = f"{self._command[0]} did not start; the end of {self._log}:\n{end}"
                raise RuntimeError(msg)
            time.sleep(0.05)

    def terminate(self) -> None:
        """SIGTERM, and wait until it has ended in good order; after three minutes kill -9."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        # The command is its tether's child, and the tether ends after it.
        with suppress(OSError, subprocess.TimeoutExpired):
            for child in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
                os.kill(int(child), how)
            self._process.wait(_PATIENCE)
        end_tethered(self._process)
        self._process = None
