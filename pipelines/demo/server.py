"""An SQS-compatible server for this machine only."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from flowspec.errors import MissingDependencyError
from pipelines.demo.tether import end_tethered, start_tethered

__all__ = ["EmbeddedSqs", "free_port", "wait_for_port"]

_START_TIMEOUT = 60.0


class EmbeddedSqs:
    """Ministack with SQS only, on a free port of the loopback interface, as a child process.

    Raises:
        MissingDependencyError: ministack is not installed.
    """

    def __init__(self, directory: Path) -> None:
        """Keep its log in `directory`."""
        if importlib.util.find_spec("ministack") is None:
            raise MissingDependencyError(connector="amazon-sqs (embedded)", extra="demo")
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": "sqs",
            # It would listen on all interfaces.
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }
        directory.mkdir(parents=True, exist_ok=True)
        log = directory / "sqs-server.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "ministack"]
            self._process = start_tethered(command, output, environment)
        try:
            wait_for_port(port, lambda: self._process.poll() is None, f"the SQS server did not start, see {log}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> EmbeddedSqs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server."""
        end_tethered(self._process)


def free_port() -> int:
    """A port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, alive: Callable[[], bool], complaint: str) -> None:
    """Wait until a server accepts connections.

    Raises:
        RuntimeError: it ended, or did not within a minute; the message is `complaint`.
    """
    until = time.monotonic() + _START_TIMEOUT
    while alive() and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(complaint)
