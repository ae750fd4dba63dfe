"""A step that asks another system, on one worker: it is asked again for as long as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from flowspec.delivery.backoff import Backoff
from flowspec.errors import FatalError, FlowError, TransientError

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun
    from flowspec.records import Record
    from flowspec.steps.asking import Asker, Outcome

__all__ = ["Asking"]


class Asking:
    """The transform of a step that asks.

    Where the system cannot be used at present, the step is down and asks again about the records that have no answer
    yet; nothing more is read meanwhile. About those that have one it never asks again.
    """

    def __init__(self, asker: Asker, name: str, run: FlowRun, *, waits: bool) -> None:
        """Ask for a flow.

        Args:
            asker: What asks; it is closed with the run.
            name: Id of the step.
            run: The run of the flow.
            waits: Whether it asks again; otherwise a record without an answer fails.
        """
        self._asker = asker
        self._run = run
        self._waits = waits
        self._health = run.context(name).health
        run.askers.append(asker)

    def __call__(self, records: list[Record]) -> list[Record]:
        """The records that go on, or the first error."""
        kept, failed = self.settled(records)
        if failed:
            raise failed[0][1]
        return kept

    def settled(self, records: Sequence[Record]) -> tuple[list[Record], list[tuple[Record, Exception]]]:
        """The records that go on, in order, and those that fail, with their errors."""
        outcomes: list[Outcome] = [None] * len(records)
        waiting = list(range(len(records)))
        backoff = Backoff()
        while waiting:
            answers = self._asked([records[place] for place in waiting])
            for place, answer in zip(waiting, answers, strict=True):
                outcomes[place] = answer
            waiting = [place for place in waiting if isinstance(outcomes[place], TransientError)]
            if not self._goes_on(outcomes, waiting, backoff):
                break
        failed = [
            (record, outcome)
            for record, outcome in zip(records, outcomes, strict=True)
            if isinstance(outcome, Exception)
        ]
        kept = [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, Exception)]
        return kept, failed

    def _asked(self, records: Sequence[Record]) -> Sequence[Outcome]:
        try:
            return self._asker.ask(records)
        except Exception as error:  # noqa: BLE001 - a connector's bug must cost records, not the flow
            return [error] * len(records)

    def _goes_on(self, outcomes: list[Outcome], waiting: Sequence[int], backoff: Backoff) -> bool:
        """Wait before those that are waiting are asked about again; answers whether they are to be."""
        errors = [error for place in waiting if isinstance(error := outcomes[place], TransientError)]
        if not errors:
            self._health.up()
            return False
        if any(isinstance(outcome, FatalError) for outcome in outcomes):
            return False
        error = max(errors, key=attrgetter("retry_after"))
        self._health.down(error)
        if not self._waits:
            return False
        try:
            self._run.wait_to_retry(backoff.after(error), error)
        except FlowError as over:
            outcomes[waiting[0]] = over
            return False
        return True
