"""The process of a server starts, is killed, starts again, and never outlives the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.flows import eventually
from tests.servers.process import ServerProcess, listens, server_port


def server(port: int, log: Path) -> ServerProcess:
    return ServerProcess([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], log, os.environ)


def test_it_is_killed_and_starts_again(tmp_path: Path) -> None:
    port = server_port()
    process = server(port, tmp_path / "log")
    for _ in range(2):
        process.start(lambda: listens(port))
        process.kill()
        process.kill()
        assert not listens(port)
    process.terminate()


def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    process = ServerProcess([sys.executable, "-c", "raise SystemExit('no such disk')"], tmp_path / "log", os.environ)

    with pytest.raises(RuntimeError, match="no such disk"):
        process.start(lambda: False)


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    port = server_port()
    code = f"""
import pathlib
from tests.servers.process import listens
from tests.servers.test_process import server
server({port}, pathlib.Path({str(tmp_path / "log")!r})).start(lambda: listens({port}))
print("started", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        assert listens(port)
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not listens(port), "it has ended")


def test_ports_are_not_those_of_clients() -> None:
    ports = {server_port() for _ in range(100)}

    assert len(ports) == 100
    assert max(ports) < 32_768
