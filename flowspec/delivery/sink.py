"""Writing to a sink, and the barrier that makes Bytewax wait for it.

With a recovery store Bytewax lets a source go on when the state snapshots of an epoch are stored; it does not wait
for outputs that have no state. A record can then be committed, or passed by the stored position, before its sink has
it. So the write happens in a `flat_map_batch`, and its empty result goes into a sink with a partition that stores
nothing: the snapshot of that partition cannot be taken before the write is done.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flowspec.deadletters.letter import DeadLetter
from flowspec.delivery.backoff import Backoff
from flowspec.errors import FatalError, TransientError
from flowspec.policies import ErrorPolicy, RetryPolicy

if TYPE_CHECKING:
    from flowspec.connectors import Action
    from flowspec.delivery.run import FlowRun
    from flowspec.records import Failure, Record

__all__ = ["Barrier", "SinkWriter"]

_UNEXPECTED_TRIES = 3
"""How often a batch, and then each record of it, is written when its writer raises something unexpected."""


class SinkWriter:
    """A mapper for `flat_map_batch` that writes each batch and returns nothing.

    When it returns, every record of the batch is confirmed by the sink, or it is settled what becomes of it. A sink
    that is down is tried again for as long as it takes, or as often as a `retry` of its policy says; meanwhile nothing
    more is read, so memory stays bounded.
    """

    def __init__(
        self,
        name: str,
        action: Action,
        run: FlowRun,
        on_error: ErrorPolicy = "dead_letter",
        others: Collection[str] = (),
    ) -> None:
        """Open the writer of a sink.

        Args:
            name: Id of the sink.
            action: The sink.
            run: The run of the flow.
            on_error: What happens to records that it refuses.
            others: The ids of the sinks that get the same records.
        """
        self._name = name
        self._others = frozenset(others)
        self._run = run
        self._policy = on_error
        self._retry = on_error.retry if isinstance(on_error, RetryPolicy) else None
        context = run.context(name)
        self._health = context.health
        self._writer = action.open(context)
        run.writers.append(self._writer)

    def __call__(self, records: list[Record]) -> list[Any]:
        """Write one batch; it is never answered."""
        with self._run.guard(self._name):
            self._deliver([record for record in records if self._is_for_us(record)])
        return []

    def _is_for_us(self, record: Record) -> bool:
        """Whether none of the others refused it: then this one has it already."""
        letter = None if record.trace is None else record.trace.letter
        return letter is None or letter.sink not in self._others

    def _deliver(self, records: Sequence[Record], attempts: int = 0, first_try: float | None = None) -> None:
        backoff = Backoff() if self._retry is None else Backoff(self._retry.backoff, self._retry.max_backoff)
        first_try = first_try or time.time()
        unexpected = 0
        while records:
            attempts += 1
            try:
                failures = self._writer.write(records)
            except TransientError as error:
                if self._retry is not None and attempts >= self._retry.attempts:
                    self._settle([(record, error) for record in records], attempts, first_try)
                    return
                self._wait(backoff, error)
            except FatalError:
                raise
            except Exception as error:  # noqa: BLE001 - a sink's bug must cost one record, not the flow
                unexpected += 1
                if unexpected < _UNEXPECTED_TRIES and self._retry is None:
                    self._wait(backoff, error)
                elif len(records) == 1:
                    self._settle([(records[0], error)], attempts, first_try)
                    return
                else:
                    # With a `retry` each attempt is one of the records, and this was none of any of them.
                    before = attempts if self._retry is None else attempts - 1
                    for record in records:
                        self._deliver([record], before, first_try)
                    return
            else:
                self._note_delivered(records, failures)
                records = self._sort_out(failures, attempts, first_try, backoff)

    def _note_delivered(self, records: Sequence[Record], failures: Sequence[Failure]) -> None:
        run, count = self._run, len(records) - len(failures)
        run.tally.delivered += count
        run.tally.places[self._name].passed += count
        if run.journal is None:
            return
        if failures:
            failed = {id(failure.record) for failure in failures}
            records = [record for record in records if id(record) not in failed]
        run.journal.delivered(records, self._name)

    def _sort_out(
        self, failures: Sequence[Failure], attempts: int, first_try: float, backoff: Backoff
    ) -> Sequence[Record]:
        """Settle failures, and answer the records that are to be written again now, after a wait."""
        passing = [
            (failure.record, failure.error)
            for failure in failures
            if self._retry is None and isinstance(failure.error, TransientError)
        ]
        final = [(failure.record, failure.error) for failure in failures]
        if passing:
            final = [(record, error) for record, error in final if not isinstance(error, TransientError)]
        self._settle(final, attempts, first_try)
        if passing:
            self._wait(backoff, max((error for _, error in passing), key=attrgetter("retry_after")))
        else:
            self._health.up()
        return [record for record, _ in passing]

    def _settle(self, failed: Sequence[tuple[Record, Exception]], attempts: int, first_try: float) -> None:
        letters = [
            DeadLetter(record, self._name, error, attempts, first_try, sink=self._name) for record, error in failed
        ]
        self._run.failures.settle(letters, self._policy)

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
