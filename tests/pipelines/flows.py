"""Flows run by the real command line, and what came out of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["ENVIRONMENT", "Output", "RunningFlow", "eventually"]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "plugins")}
"""Of a command that shall find the connector for tests, as it finds those of other packages."""

PATIENCE = 60.0
"""Seconds after which something that should have happened counts as not happening."""


def eventually(condition: Callable[[], bool], what: str, progress: Callable[[], object] = lambda: None) -> None:
    """Wait until a condition holds; fail, saying what was waited for, when it never does.

    As long as `progress` answers something else each time, it is worth waiting.
    """
    last, until = progress(), time.monotonic() + PATIENCE
    while not condition():
        if (now := progress()) != last:
            last, until = now, time.monotonic() + PATIENCE
        assert time.monotonic() < until, f"waited {PATIENCE:.0f} s in vain until {what}"
        time.sleep(0.02)


class RunningFlow:
    """One `python -m pipelines run` in a directory of its own."""

    _started: ClassVar[list[RunningFlow]] = []

    def __init__(self, directory: Path, spec: dict[str, Any], *options: str) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.log = directory / "log.txt"
        self._spec = directory / "spec.json"
        self._spec.write_text(json.dumps(spec))
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it, or start it again after its end."""
        command = [
            *(sys.executable, "-m", "pipelines", "run", str(self._spec), "--state-dir", str(self.state_dir)),
            *("--status", "off", *self._options, *more),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, cwd=self.directory, env=ENVIRONMENT)
        self._started.append(self)

    @classmethod
    def kill_all(cls) -> None:
        """kill -9 whatever was started and still runs."""
        while cls._started:
            if (flow := cls._started.pop()).process.poll() is None:
                flow.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the command."""
        assert self._process is not None, "not started"
        return self._process

    def workers(self) -> list[int]:
        """The process ids of its children."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        """kill -9, and wait until its workers are gone as well."""
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "orphaned workers end")

    def terminate(self) -> int:
        """SIGTERM, as a container's end sends it; answers the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; answers the exit code."""
        return self.process.wait(PATIENCE)

    @contextmanager
    def running(self, *more: str) -> Iterator[None]:
        """Start it, and stop it at the end of the block."""
        self.start(*more)
        try:
            yield
        finally:
            if self.process.poll() is None:
                self.terminate()


class Output:
    """A file of JSON lines that grows, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._lines: list[dict[str, Any]] = []

    def lines(self) -> list[dict[str, Any]]:
        """All complete lines so far."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            complete = new[: new.rfind(b"\n") + 1]
            self._read += len(complete)
            self._lines += [json.loads(line) for line in complete.splitlines()]
        return self._lines
