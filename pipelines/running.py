"""One worker: a flow runs on Bytewax in this process. What is particular to running Bytewax is here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from flowspec.errors import FlowError
from flowspec.execution import execute

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun
    from flowspec.spec import FlowSpec

__all__ = ["Cause", "RunError", "noise_file", "run_worker"]

Cause: TypeAlias = Literal["own", "other", "port"]
"""Why a worker failed: by itself, because another worker of the cluster did, or because its port was taken."""

_SPARE_TIME = 1.0
"""Seconds beyond its time that a drain has before the process ends."""


_PORT_IS_ANOTHERS = ("Address already in use", "incorrect timely handshake")
"""What Bytewax says when another process has the port of a worker, or calls there: a worker of a cluster that has just
died may still do so."""


class RunError(FlowError):
    """A run failed; says where and why."""

    def __init__(self, message: str, cause: Cause = "own") -> None:
        super().__init__(message)
        self.cause: Cause = cause


def noise_file(state_dir: Path, flow: str, worker: int = 0) -> Path:
    """Where that is kept which Rust prints while a flow runs on a worker."""
    return state_dir / "logs" / f"{flow}-{worker}.log"


def run_worker(
    spec: FlowSpec,
    run: FlowRun,
    give_up: Callable[[str], None],
    addresses: Sequence[str] | None = None,
) -> None:
    """Run a flow until it is stopped, idle, at its limit or at the end of its data.

    Args:
        spec: The flow.
        run: Its options; stop it, and look at it, from other threads.
        give_up: Called, on another thread, with the reason when draining takes too long; has to end the process.
        addresses: `host:port` of each worker, where there are several.

    Raises:
        RunError: the run failed.
    """
    ended = threading.Event()
    threading.Thread(target=_watch, args=(run, ended, give_up), name="drain-watchdog", daemon=True).start()
    try:
        execute(spec, run, addresses)
    except BaseException as error:  # Rust's panics are no Exceptions.
        if run.failure is not None:
            raise RunError(str(run.failure)) from run.failure.error
        if isinstance(error, FlowError):
            raise RunError(str(error)) from error
        msg = f"{type(error).__name__}: {error}"
        raise RunError(msg, _cause(run, error)) from error
    finally:
        ended.set()


def _cause(run: FlowRun, error: BaseException) -> Cause:
    if run.workers == 1:
        return "own"
    return "port" if any(sign in str(error) for sign in _PORT_IS_ANOTHERS) else "other"


def _watch(run: FlowRun, ended: threading.Event, give_up: Callable[[str], None]) -> None:
    run.stopping.wait()
    if not ended.wait(run.drain_timeout + _SPARE_TIME):
        give_up(
            f"not drained within {run.drain_timeout:g} s; "
            f"{run.tally.in_flight} records were not delivered and will come again"
        )
