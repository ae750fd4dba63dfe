"""A child process that never outlives its parent, not even one that is killed with -9."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["start_tethered"]

_END_TIMEOUT = 5.0


def start_tethered(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a server as a child that ends when its standard input is closed.

    The system closes it when this process ends, however that happens.

    Args:
        command: The server's command line.
        log: The file that gets its output.
        environment: Its environment.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, str(Path(__file__)), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(environment),
            # A Ctrl-C on the terminal is for the flow, which needs the server until it is drained.
            start_new_session=True,
        )


def _main(command: Sequence[str]) -> int:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def watch() -> None:
        sys.stdin.buffer.read()
        server.terminate()
        try:
            server.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            server.kill()

    threading.Thread(target=watch, daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
