"""Running a flow in several processes of this machine: one Bytewax cluster on loopback, and its supervisor."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from pipelines import logs
from pipelines.outcome import STOPPING, STOPPING_AT_ONCE, say_error
from pipelines.signals import on_signals
from pipelines.snapshot import Snapshot
from pipelines.status import Status
from pipelines.worker import STOP, Job, Report

if TYPE_CHECKING:
    from pipelines.options import RunOptions

__all__ = ["run_cluster"]

_log = logging.getLogger(__name__)

_STARTS = 5
"""How often other ports are tried: a port that was free may be taken when a worker opens it."""
_SPARE_TIME = 3.0
"""Seconds beyond the time of a drain after which a worker that still runs is killed."""


def run_cluster(options: RunOptions) -> int:
    """Run a flow in several processes until its end; answers the exit code.

    Raises:
        SpecError: the spec is wrong.
        FlowError: the address for metrics and health cannot be used.
    """
    spec = options.load()
    logs.set_up(options.log_format, spec.name, verbose=options.verbose)
    cluster = _Cluster(options, spec.name)
    status = Status(options.status, cluster.snapshot)

    def stop() -> None:
        _log.info(STOPPING)
        cluster.stopping.set()

    def stop_at_once() -> None:
        cluster.kill()
        say_error(STOPPING_AT_ONCE, options.log_format)
        status.finish(cluster.snapshot().ended(STOPPING_AT_ONCE))
        sys.stderr.flush()
        os._exit(1)

    with options.monitor(cluster.snapshot), status, on_signals(stop, stop_at_once):
        failure = cluster.run(relay=status.is_live)
        if failure is not None:
            say_error(failure, options.log_format)
    status.finish(cluster.snapshot().ended(failure))
    return 0 if failure is None else 1


class _Worker:
    """A worker as the supervisor sees it."""

    def __init__(self, job: Job, stderr: int | None) -> None:
        self.name = f"worker {job.worker}"
        self._logs = job.options.state_dir / "logs"
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
    def failed(self) -> bool:
        return self.process.returncode != 0

    @property
    def failure(self) -> tuple[int, str]:
        """How near it is to what went wrong, 0 for the nearest, and what it says."""
        code = self.process.returncode
        if self.report is not None and self.report.snapshot.error is not None:
            return (0 if self.report.cause == "own" else 2), f"{self.name}: {self.report.snapshot.error}"
        if self.was_killed:
            return 3, f"{self.name} did not end in time and was killed"
        if code < 0:
            return 1, f"{self.name} was killed by signal {-code} ({signal.Signals(-code).name})"
        return 1, f"{self.name} ended with exit code {code}; see {self._logs}"


class _Cluster:
    def __init__(self, options: RunOptions, flow: str) -> None:
        self._options = options
        self._flow = flow
        self._workers: list[_Worker] = []
        self.stopping = threading.Event()
        """Set it to have all workers drain and end."""

    def snapshot(self) -> Snapshot:
        """The whole run at this moment, from whatever thread."""
        reports = [worker.report for worker in self._workers]
        parts = [report.snapshot for report in reports if report is not None]
        whole = Snapshot.together(self._flow, self._options.workers, parts)
        return replace(whole, state="stopping") if self.stopping.is_set() else whole

    def run(self, *, relay: bool) -> str | None:
        """Run until all workers have ended; answers what failed first.

        Args:
            relay: Whether what the workers write to stderr is written by this process, above a live status.
        """
        for _ in range(_STARTS):
            with ExitStack() as stack:
                stderr = stack.enter_context(_Relay()).descriptor if relay else None
                ended = self._run_once(stderr)
            failures = sorted((worker.failure for worker in ended if worker.failed), key=lambda failure: failure[0])
            if not any(_had_no_port(worker) for worker in ended) or self.stopping.is_set():
                break
        return failures[0][1] if failures else None

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.kill()

    def _run_once(self, stderr: int | None) -> list[_Worker]:
        """Start the workers and wait for their ends; answers them in the order of these."""
        addresses = _free_addresses(self._options.workers)
        self._workers = [
            _Worker(Job(self._options, number, addresses), stderr) for number in range(self._options.workers)
        ]
        running = {worker.connection: worker for worker in self._workers}
        ended: list[_Worker] = []
        kill_at: float | None = None
        while running:
            for connection in wait(list(running), timeout=0.1):
                assert isinstance(connection, Connection)  # noqa: S101 - for the type checker
                worker = running[connection]
                if not worker.listen():
                    ended.append(running.pop(connection))
            failed = any(worker.failed for worker in ended)
            if kill_at is None and (failed or self.stopping.is_set()):
                for worker in running.values():
                    worker.stop()
                kill_at = time.monotonic() + self._options.drain_timeout + _SPARE_TIME
            # Without its port a cluster has not begun, and its other workers wait for the one for ever.
            if kill_at is not None and (time.monotonic() > kill_at or any(map(_had_no_port, ended))):
                for worker in running.values():
                    worker.kill()
        return ended


def _had_no_port(worker: _Worker) -> bool:
    return worker.report is not None and worker.report.snapshot.error is not None and worker.report.cause == "port"


def _free_addresses(count: int) -> tuple[str, ...]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)


class _Relay:
    """A pipe whose lines are written to this process's stderr."""

    def __enter__(self) -> _Relay:
        receiving, self.descriptor = os.pipe()
        self._thread = threading.Thread(target=self._relay, args=(receiving,), name="relay", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self._thread.join()

    def _relay(self, receiving: int) -> None:
        with open(receiving, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                sys.stderr.write(line)
