"""Dead letters that a sink of the spec gets, in place of the store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from flowspec.delivery.backoff import Backoff
from flowspec.errors import FatalError, TransientError
from flowspec.records import Record

if TYPE_CHECKING:
    from flowspec.connectors import Action
    from flowspec.deadletters.letter import DeadLetter
    from flowspec.delivery.run import FlowRun

__all__ = ["ForwardedLetters"]

NAME = "dead-letters"
"""The sink in logs and status."""


class ForwardedLetters:
    """Writes the envelopes of dead letters to a sink. A sink that is down is tried for as long as it takes."""

    def __init__(self, action: Action, run: FlowRun) -> None:
        self._run = run
        context = run.context(NAME)
        self._health = context.health
        self._writer = action.open(context)

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Write letters; when it returns the sink has confirmed them.

        Raises:
            FatalError: the sink refuses them, so nothing may be acknowledged.
        """
        records = [self._record(letter) for letter in letters]
        backoff = Backoff()
        while records:
            try:
                failures = self._writer.write(records)
                error: Exception | None = None
            except TransientError as failure:
                failures, error = [], failure
            for failed in failures:
                if not isinstance(failed.error, TransientError):
                    msg = f"the sink of the dead letters refuses one: {failed.error}"
                    raise FatalError(msg) from failed.error
                error = failed.error
            if error is None:
                self._health.up()
                return
            records = [failed.record for failed in failures] or records
            self._health.down(error)
            self._run.wait_to_retry(backoff.after(error), error)

    def close(self) -> None:
        """Close the sink."""
        self._writer.close()

    def _record(self, letter: DeadLetter) -> Record:
        envelope = letter.envelope(self._run.flow, time.time())
        received = letter.record
        return Record(orjson.dumps(envelope), envelope, received.meta, received.key, {}, received.external_id)
