"""One worker process of a cluster: it takes its orders from the supervisor and reports to it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from flowspec.errors import FlowError
from pipelines import logs
from pipelines.options import RunOptions
from pipelines.running import Cause, RunError, noise_file, run_worker
from pipelines.signals import ignore_signals
from pipelines.snapshot import Snapshot
from pipelines.stdio import drop_if_silent, keep_noise, keep_uncaught

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun

__all__ = ["STOP", "Job", "Report"]

STOP = "stop"
"""The order to drain and end."""

_log = logging.getLogger(__name__)

_REPORT_EVERY = 0.25


@dataclass(frozen=True)
class Job:
    """What the supervisor sends first."""

    options: RunOptions
    worker: int
    addresses: tuple[str, ...] | None = None
    """Where all workers are, if there are several."""


@dataclass(frozen=True)
class Report:
    """What a worker says of its run, a few times per second and at the end."""

    snapshot: Snapshot
    cause: Cause = "own"
    """Why it failed, where it did."""


def main(supervisor: Connection) -> int:
    """Do the job that the supervisor sends; answers the exit code."""
    job: Job = supervisor.recv()
    try:
        return _work(job, supervisor)
    except FlowError as error:
        supervisor.send(Report(Snapshot(job.options.spec.name, worker=job.worker).ended(str(error))))
        return 1


def _work(job: Job, supervisor: Connection) -> int:
    options = job.options
    spec = options.load()
    noise = None if options.verbose else noise_file(options.state_dir, spec.name, job.worker)
    keep_noise(noise)
    keep_uncaught()
    logs.set_up(options.log_format, spec.name, job.worker, verbose=options.verbose)
    run = options.flow_run(spec, job.worker)
    reporter = _Reporter(run, supervisor)
    threading.Thread(target=_obey, args=(run, supervisor), name="orders", daemon=True).start()
    reporter.start()
    try:
        run_worker(spec, run, reporter.give_up, job.addresses)
    except RunError as error:
        if options.verbose:
            _log.error("the worker failed", exc_info=error.__cause__)
        reporter.finish(str(error), error.cause)
        return 1
    else:
        reporter.finish()
        return 0
    finally:
        drop_if_silent(noise)


def _obey(run: FlowRun, supervisor: Connection) -> None:
    """Stop when told to, and end at once when nobody is there any more who could tell."""
    while True:
        try:
            if supervisor.recv() == STOP:
                run.stop()
        except (EOFError, OSError):
            os._exit(1)


class _Reporter(threading.Thread):
    def __init__(self, run: FlowRun, supervisor: Connection) -> None:
        super().__init__(name="reports", daemon=True)
        self._run = run
        self._supervisor = supervisor
        self._ended = threading.Event()
        self._sending = threading.Lock()

    def run(self) -> None:
        while not self._ended.wait(_REPORT_EVERY):
            self._send(Report(Snapshot.of(self._run)))

    def finish(self, error: str | None = None, cause: Cause = "own") -> None:
        """Report the end; nothing is reported after it."""
        self._ended.set()
        self._send(Report(Snapshot.of(self._run).ended(error), cause))

    def give_up(self, reason: str) -> None:
        """Report the end, and end."""
        # Without a record of its own it only waited for another worker.
        self.finish(reason, "own" if self._run.tally.in_flight else "other")
        os._exit(1)

    def _send(self, report: Report) -> None:
        try:
            with self._sending:
                self._supervisor.send(report)
        except OSError:
            os._exit(1)


if __name__ == "__main__":
    ignore_signals()
    # The classes that are pickled belong to the module under its name, not to `__main__`.
    from pipelines.worker import main as work

    # After a failure Rust's threads are still there, and the interpreter cannot be taken down under them.
    os._exit(work(Connection(int(sys.argv[1]))))
