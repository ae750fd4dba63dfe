"""Writing to a sink, and the barrier that makes Bytewax wait for it.

With a recovery store Bytewax lets a source go on when the state snapshots of an epoch are stored; it does not wait
for outputs that have no state. A record can then be committed, or passed by the stored position, before its sink has
it. So the write happens in a `flat_map_batch`, and its empty result goes into a sink with a partition that stores
nothing: the snapshot of that partition cannot be taken before the write is done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flowspec.delivery.backoff import Backoff
from flowspec.delivery.deadletters import DeadLetter
from flowspec.errors import FatalError, TransientError

if TYPE_CHECKING:
    from flowspec.connectors import Action
    from flowspec.delivery.run import FlowRun
    from flowspec.records import Failure, Record

__all__ = ["Barrier", "SinkWriter"]

_UNEXPECTED_TRIES = 3
"""How often a batch, and then each record of it, is written when its writer raises something unexpected."""


class SinkWriter:
    """A mapper for `flat_map_batch` that writes each batch and returns nothing.

    When it returns, every record of the batch is confirmed by the sink or is a dead letter. A sink that is down is
    tried again for as long as it takes; meanwhile nothing more is read, so memory stays bounded.
    """

    def __init__(self, name: str, action: Action, run: FlowRun) -> None:
        self._name = name
        self._run = run
        context = run.context(name)
        self._health = context.health
        self._writer = action.open(context)
        run.writers.append(self._writer)

    def __call__(self, records: list[Record]) -> list[Any]:
        """Write one batch; it is never answered."""
        with self._run.guard(self._name):
            self._deliver(records)
        return []

    def _deliver(self, records: Sequence[Record], attempts: int = 0, first_try: float | None = None) -> None:
        backoff = Backoff()
        first_try = first_try or time.time()
        unexpected = 0
        while records:
            attempts += 1
            try:
                failures = self._writer.write(records)
            except TransientError as error:
                self._wait(backoff, error)
            except FatalError:
                raise
            except Exception as error:  # noqa: BLE001 - a sink's bug must cost one record, not the flow
                unexpected += 1
                if unexpected < _UNEXPECTED_TRIES:
                    self._wait(backoff, error)
                elif len(records) == 1:
                    self._run.bury([DeadLetter(records[0], self._name, error, attempts, first_try)])
                    return
                else:
                    for record in records:
                        self._deliver([record], attempts, first_try)
                    return
            else:
                self._run.tally.delivered += len(records) - len(failures)
                records = self._sort_out(failures, attempts, first_try, backoff)

    def _sort_out(
        self, failures: Sequence[Failure], attempts: int, first_try: float, backoff: Backoff
    ) -> Sequence[Record]:
        transient = [
            (failure.record, failure.error) for failure in failures if isinstance(failure.error, TransientError)
        ]
        self._run.bury(
            [
                DeadLetter(failure.record, self._name, failure.error, attempts, first_try)
                for failure in failures
                if not isinstance(failure.error, TransientError)
            ]
        )
        if transient:
            self._wait(backoff, max((error for _, error in transient), key=attrgetter("retry_after")))
        else:
            self._health.up()
        return [record for record, _ in transient]

    def _wait(self, backoff: Backoff, error: Exception) -> None:
        self._health.down(error)
        self._run.wait_to_retry(backoff.after(error), error)


class _NoState(StatefulSinkPartition[Any, None]):
    def write_batch(self, values: list[Any]) -> None:
        """Nothing comes here."""

    def snapshot(self) -> None:
        return None


class Barrier(FixedPartitionedSink[Any, None]):
    """The end of every branch of a flow: Bytewax waits for its snapshot, and so for the write before it."""

    def list_parts(self) -> list[str]:
        """One partition is enough: its snapshot waits for the writes of all workers."""
        return ["barrier"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _NoState:
        """A partition that keeps nothing."""
        return _NoState()
