"""The worker processes that a supervisor has on this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from pipelines.worker import STOP, Job, Report

__all__ = ["Crew", "Fault"]

_LOOK = 0.1
_SPARE_TIME = 3.0
"""Seconds beyond the time of a drain after which a worker that still runs is killed."""


@dataclass(frozen=True)
class Fault:
    """What went wrong on a worker."""

    distance: int
    """How near it is to what went wrong first, 0 for the nearest."""
    worker: int
    how: str
    """Goes on from the name of the worker."""

    @property
    def is_consequence(self) -> bool:
        """Whether something else has most likely gone wrong before."""
        return self.distance > 1

    def __str__(self) -> str:
        return f"worker {self.worker}{self.how}"


class _Worker:
    """A worker as the supervisor sees it."""

    def __init__(self, job: Job, stderr: int | None) -> None:
        self._job = job
        self.connection, theirs = Pipe()
        with theirs:
            # A session of its own: Ctrl-C in the terminal is the supervisor's to handle.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.report: Report | None = None
        self.was_killed = False
        self._say(job)

    def stop(self) -> None:
        self._say(STOP)

    def _say(self, order: object) -> None:
        # Whoever has ended cannot be told, and needs not be.
        with suppress(OSError):
            self.connection.send(order)

    def listen(self) -> bool:
        """Take one report; answers whether there may be more."""
        try:
            self.report = self.connection.recv()
        except (EOFError, OSError):
            self.connection.close()
            self.process.wait()
            return False
        return True

    def kill(self) -> None:
        self.was_killed = True
        self.process.kill()

    @property
    def had_no_port(self) -> bool:
        return self.report is not None and self.report.snapshot.error is not None and self.report.cause == "port"

    @property
    def fault(self) -> Fault | None:
        """Why it ended, if not well."""
        code, number = self.process.returncode, self._job.worker
        if code == 0:
            return None
        if self.report is not None and self.report.snapshot.error is not None:
            return Fault(0 if self.report.cause == "own" else 2, number, f": {self.report.snapshot.error}")
        if self.was_killed:
            return Fault(3, number, " did not end in time and was killed")
        if code < 0:
            return Fault(1, number, f" was killed by signal {-code} ({signal.Signals(-code).name})")
        return Fault(1, number, f" ended with exit code {code}; see {self._job.options.state_dir / 'logs'}")


class Crew:
    """Workers that were started together, and end together."""

    def __init__(self, jobs: Sequence[Job], stderr: int | None) -> None:
        """Start them.

        Args:
            jobs: What each is to do.
            stderr: Where they write what is for people; None for where this process does.
        """
        self._drain_timeout = jobs[0].options.drain_timeout
        self._workers = [_Worker(job, stderr) for job in jobs]

    @property
    def reports(self) -> list[Report]:
        """What each has reported last, from whatever thread."""
        reports = [worker.report for worker in self._workers]
        return [report for report in reports if report is not None]

    @property
    def had_no_port(self) -> bool:
        """Whether one of them has ended because it had not its port to itself."""
        return any(worker.had_no_port for worker in self._workers)

    def kill(self) -> None:
        """End all at once."""
        for worker in self._workers:
            worker.kill()

    def run(self, is_over: Callable[[], bool]) -> Fault | None:
        """Wait until all have ended; answers what went wrong first.

        Args:
            is_over: Whether they are to stop; asked several times per second.
        """
        running = {worker.connection: worker for worker in self._workers}
        failed = False
        kill_at: float | None = None
        while running:
            for connection in wait(list(running), timeout=_LOOK):
                assert isinstance(connection, Connection)  # noqa: S101 - for the type checker
                worker = running[connection]
                if not worker.listen():
                    failed = failed or worker.fault is not None
                    del running[connection]
            if kill_at is None and (failed or is_over()):
                for worker in running.values():
                    worker.stop()
                kill_at = time.monotonic() + self._drain_timeout + _SPARE_TIME
            is_late = kill_at is not None and time.monotonic() > kill_at
            # Without its port a cluster has not begun, and its other workers wait for the one for ever.
            if is_late or (failed and self.had_no_port):
                for worker in running.values():
                    worker.kill()
        faults = [worker.fault for worker in self._workers]
        return min((fault for fault in faults if fault is not None), key=lambda fault: fault.distance, default=None)
