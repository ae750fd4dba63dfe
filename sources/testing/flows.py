"""Flows that run for a test, by the real command line or in this process, and what came out of them."""
# ruff: noqa: S101 - tests are made of assertions

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flowspec import loads
from flowspec.deadletters.store import LetterStore
from flowspec.delivery.run import FlowRun
from pipelines.running import RunError, run_worker

if TYPE_CHECKING:
    from flowspec.delivery.health import Health
    from flowspec.spec import FlowSpec

__all__ = ["ENVIRONMENT", "PATIENCE", "Flow", "HostedFlow", "Output", "RunningFlow", "eventually", "steadily"]

_PLUGINS = Path(__file__).with_name("plugins")

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, [str(_PLUGINS), os.environ.get("PYTHONPATH")])),
}
"""Of a command that shall find the connector for tests, as it finds those of other packages."""

PATIENCE = 60.0
"""Seconds after which something that should have happened counts as not happening."""

_LOOK = 0.02


def eventually(
    condition: Callable[[], bool], what: str, progress: Callable[[], object] = lambda: None, *, checked: bool = True
) -> None:
    """Wait until a condition holds; fail, saying what was waited for, when it never does.

    It is worth waiting as long as `progress` answers something else each time, and, if that is to be checked, no flow
    has failed.
    """
    last, until = progress(), time.monotonic() + PATIENCE
    while not condition():
        if (now := progress()) != last:
            last, until = now, time.monotonic() + PATIENCE
        if checked:
            Flow.check_all()
        assert time.monotonic() < until, f"waited {PATIENCE:.0f} s in vain until {what}"
        time.sleep(_LOOK)


def steadily(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Look for some seconds; fail, saying what should have stayed so, when the condition does not hold once."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert condition(), f"it did not stay so that {what}"
        time.sleep(_LOOK)


class Flow:
    """A flow with a directory of its own, that is started and stopped, any number of times."""

    _all: ClassVar[list[Flow]] = []

    def __init__(self, directory: Path, spec: dict[str, Any]) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.stdout = directory / "stdout.txt"
        """What its sinks print."""
        self.spec = spec
        self._all.append(self)

    def start(self) -> None:
        """Start it, or start it again after its end."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it, whatever it does."""
        raise NotImplementedError

    def failure(self) -> str | None:
        """Why it has ended, if that was by itself and not well."""
        raise NotImplementedError

    @classmethod
    def check_all(cls) -> None:
        """Fail if a flow has failed."""
        for flow in cls._all:
            failure = flow.failure()
            assert failure is None, f"the flow failed: {failure}"

    @classmethod
    def kill_all(cls) -> None:
        """End whatever was started and still runs."""
        while cls._all:
            cls._all.pop().kill()

    def dead_letters(self) -> list[dict[str, Any]]:
        """The records that it gave up, oldest first."""
        with closing(LetterStore(self.spec["name"], self.state_dir)) as store:
            return store.envelopes()


class RunningFlow(Flow):
    """One `python -m pipelines run`."""

    def __init__(self, directory: Path, spec: dict[str, Any], *options: str) -> None:
        super().__init__(directory, spec)
        self.log = directory / "log.txt"
        self._file = directory / "spec.json"
        self._file.write_text(json.dumps(spec))
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._awaited = False

    def start(self, *more: str) -> None:
        """Start it, or start it again after its end."""
        command = [
            *(sys.executable, "-m", "pipelines", "run", str(self._file), "--state-dir", str(self.state_dir)),
            *("--status", "off", *self._options, *more),
        ]
        self._awaited = False
        with self.log.open("ab") as log, self.stdout.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=log, cwd=self.directory, env=ENVIRONMENT)

    def failure(self) -> str | None:
        """What it said at its end, if it failed and nobody has waited for that."""
        ended = None if self._process is None or self._awaited else self._process.poll()
        return self.log.read_text() if ended is not None and ended > 0 else None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the command."""
        assert self._process is not None, "not started"
        return self._process

    def workers(self) -> list[int]:
        """The process ids of its children."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def memory(self) -> int:
        """How many bytes of memory it takes at this moment, itself and its workers."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (self.process.pid, *self.workers())]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """End it by kill -9, and wait until its workers are gone as well."""
        if self._process is None or self._process.poll() is not None:
            return
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "orphaned workers end")

    def terminate(self) -> int:
        """SIGTERM, as a container's end sends it, as soon as it listens to that; answers the exit code."""
        eventually(self._listens, "the command listens to SIGTERM", checked=False)
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def _listens(self) -> bool:
        """Whether SIGTERM is caught; a Python that is still starting up would just die of it."""
        if self.process.poll() is not None:
            return True
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)

    def wait(self) -> int:
        """Wait for its end; answers the exit code."""
        self._awaited = True
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


class HostedFlow(Flow):
    """A flow on a thread of this process: it starts at once, and can be looked into."""

    def __init__(self, directory: Path, spec: dict[str, Any], *, drain_timeout: float = 8.0) -> None:
        super().__init__(directory, spec)
        self._drain_timeout = drain_timeout
        self._thread: threading.Thread | None = None
        self._run: FlowRun | None = None
        self._error: str | None = None

    def start(self) -> None:
        """Start it, or start it again after its end; what ran before is no part of the new run."""
        spec = loads(json.dumps(self.spec))
        self._error = None
        self._run = FlowRun(spec.name, self.state_dir, drain_timeout=self._drain_timeout)
        # A daemon: a test that failed may leave one behind that never ends.
        self._thread = threading.Thread(target=self._work, args=(spec, self.run), name="hosted-flow", daemon=True)
        self._thread.start()

    def failure(self) -> str | None:
        """Why it ended, if it failed and nobody has waited for that."""
        return self._error

    @property
    def run(self) -> FlowRun:
        """The run that goes on, or the last one."""
        assert self._run is not None, "not started"
        return self._run

    def health(self, end: str = "trigger") -> Health | None:
        """How the trigger, or a sink by its id, gets on; None before it is opened."""
        return next((health for health in tuple(self.run.healths) if health.name == end), None)

    def is_up(self, end: str = "trigger") -> bool:
        """Whether the trigger, or a sink by its id, reaches its system."""
        health = self.health(end)
        return health is not None and health.state == "up"

    def is_down(self, end: str = "trigger") -> bool:
        """Whether the trigger, or a sink by its id, is tried again at present."""
        health = self.health(end)
        return health is not None and health.state == "down"

    def stop(self) -> str | None:
        """Ask for a stop and wait for the end; answers what went wrong."""
        self.run.stop()
        return self.wait()

    def wait(self) -> str | None:
        """Wait for the end; answers what went wrong."""
        assert self._thread is not None, "not started"
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"the flow did not end: {self._error}"
        error, self._error = self._error, None
        return error

    def wait_or(self, condition: Callable[[], bool], what: str) -> str | None:
        """Wait until a condition holds, and stop it then, or for its end; answers what went wrong."""
        eventually(lambda: condition() or not self._is_running(), what, checked=False)
        return self.stop()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def kill(self) -> None:
        """Have it end as soon as it can."""
        if self._thread is not None and self._is_running():
            self.run.drain_timeout = 0.0
            self.run.stop()
            self._thread.join(PATIENCE)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and see at the end of the block that it stops well and in time."""
        self.start()
        yield
        error = self.stop()
        assert error is None, error

    def _work(self, spec: FlowSpec, run: FlowRun) -> None:
        with self.stdout.open("a") as out, redirect_stdout(out):
            try:
                run_worker(spec, run, self._fail)
            except RunError as error:
                self._fail(str(error))

    def _fail(self, reason: str) -> None:
        self._error = self._error or reason


class Output:
    """A file of JSON lines that grows, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._lines: list[dict[str, Any]] = []

    def lines(self) -> Sequence[dict[str, Any]]:
        """All complete lines so far."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            complete = new[: new.rfind(b"\n") + 1]
            self._read += len(complete)
            self._lines += [json.loads(line) for line in complete.splitlines()]
        return self._lines
