"""A child process that never outlives its parent, not even one that is killed with -9."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["end_tethered", "start_tethered"]

_END_TIMEOUT = 10.0


def start_tethered(
    command: Sequence[str], output: IO[bytes] | int, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a command as a child that ends when its standard input is closed.

    The system closes it when this process ends, however that happens.

    Args:
        command: The command line.
        output: What gets its output and its errors: a file, or `subprocess.PIPE`.
        environment: Its environment.
    """
    return subprocess.Popen(
        [sys.executable, str(Path(__file__)), *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        # A Ctrl-C on the terminal is for the parent, which ends its children in the right order.
        start_new_session=True,
    )


def end_tethered(process: subprocess.Popen[bytes]) -> int:
    """Send it a SIGTERM, after ten seconds a SIGKILL; answers its exit code."""
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    process.stdin.close()
    return process.wait()


def _main(command: Sequence[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        child.terminate()
        try:
            child.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
