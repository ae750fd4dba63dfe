"""Running a flow in this process."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from pipelines import logs
from pipelines.outcome import STOPPING, STOPPING_AT_ONCE, say_error
from pipelines.running import RunError, noise_file, run_worker
from pipelines.signals import on_signals
from pipelines.snapshot import Snapshot
from pipelines.status import Status
from pipelines.stdio import drop_if_silent, keep_noise

if TYPE_CHECKING:
    from flowspec.spec import FlowSpec
    from pipelines.options import RunOptions

__all__ = ["run_single"]

_log = logging.getLogger(__name__)


def run_single(options: RunOptions) -> int:
    """Run a flow until its end; answers the exit code.

    Raises:
        SpecError: the spec is wrong.
        FlowError: the state directory cannot be written, or the address for metrics and health cannot be used.
    """
    spec = options.load()
    noise = None if options.verbose else noise_file(options.state_dir, spec.name)
    keep_noise(noise)
    try:
        return _run(spec, options)
    finally:
        drop_if_silent(noise)


def _run(spec: FlowSpec, options: RunOptions) -> int:
    logs.set_up(options.log_format, spec.name, verbose=options.verbose)
    run = options.flow_run(spec)
    status = Status(options.status, lambda: Snapshot.of(run))

    def stop() -> None:
        _log.info(STOPPING)
        run.stop()

    def give_up(reason: str) -> None:
        say_error(reason, options.log_format)
        status.finish(Snapshot.of(run).ended(reason))
        sys.stderr.flush()
        os._exit(1)

    failure: str | None = None
    monitor = options.monitor(lambda: Snapshot.of(run))
    with monitor, status, on_signals(stop, lambda: give_up(STOPPING_AT_ONCE)):
        try:
            run_worker(spec, run, give_up)
        except RunError as error:
            failure = str(error)
            say_error(failure, options.log_format, error.__cause__ if options.verbose else None)
    status.finish(Snapshot.of(run).ended(failure))
    return 0 if failure is None else 1
