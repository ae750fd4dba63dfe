"""Running dead letters through the present version of their flow."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowspec.errors import FlowError
from pipelines import logs
from pipelines.outcome import STOPPING, say_error
from pipelines.running import RunError, noise_file, run_worker
from pipelines.signals import on_signals
from pipelines.stdio import drop_if_silent, keep_noise

if TYPE_CHECKING:
    from flowspec.deadletters.store import LetterStore, Search
    from flowspec.spec import FlowSpec

__all__ = ["Replayed", "replay"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replayed:
    """How a replay went."""

    taken: int
    """Letters that were run through the flow."""
    delivered: int
    """Records that sinks have confirmed; with several sinks a record counts once for each."""
    filtered: int
    failed: int
    """Those that failed again, and stay in the store."""
    error: str | None
    """What ended it before its time."""


def replay(spec: FlowSpec, store: LetterStore, search: Search, state_dir: Path) -> Replayed:
    """Run the letters that are meant through a flow; those that are delivered, or filtered now, leave the store.

    A letter that a sink refused goes to that sink only: the others have it. A sink that is down is waited for.

    Raises:
        FlowError: another replay of the flow is running.
    """
    from flowspec.deadletters.readers import StoreLock
    from flowspec.delivery.run import FlowRun

    lock = StoreLock(store.path.with_suffix(".replaying.lock"))
    if not lock.take():
        msg = f"another replay of {spec.name} is running; wait for its end"
        raise FlowError(msg)
    # The flow itself may be running.
    noise = noise_file(state_dir, f"{spec.name}.replay")
    keep_noise(noise)
    logs.set_up("text", spec.name)
    run = FlowRun(spec.name, state_dir, replay=store.find(search))
    error: str | None = None

    def stop() -> None:
        _log.info(STOPPING)
        run.stop()

    def give_up(reason: str) -> None:
        say_error(reason, "text")
        os._exit(1)

    try:
        with on_signals(stop, lambda: give_up("stopped at once; what was not delivered stays in the store")):
            try:
                run_worker(spec, run, give_up)
            except RunError as failure:
                error = str(failure)
    finally:
        lock.free()
        drop_if_silent(noise)
    tally = run.tally
    return Replayed(tally.received, tally.delivered, tally.filtered, tally.failed, error)
