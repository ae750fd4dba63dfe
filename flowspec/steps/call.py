"""The step that makes a request of each record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, SerializeAsAny

from flowspec.errors import RecordError
from flowspec.lookups import Call as CallOf
from flowspec.objects import made
from flowspec.steps.asking import Asker, AskingStep
from flowspec.steps.bodies import replaced

if TYPE_CHECKING:
    from typing import Any

    from flowspec.lookups import Caller
    from flowspec.records import Record
    from flowspec.steps.asking import Outcome

__all__ = ["Call", "Calling"]


class Call(AskingStep):
    """Ask another system something about each record, and put the answer into the body; records keep their order.

    At-least-once: after a crash, or where a later step or sink fails, a call is made again. While the system cannot be
    reached the flow waits, and nothing is lost; with a `retry` as `on_error` the records are set aside instead.
    """

    kind = "call"
    contract = CallOf

    call: Annotated[
        SerializeAsAny[CallOf],
        made(CallOf),
        Field(
            description="Who is asked what, and the field for the answer.",
            examples=[
                {
                    "connector": "http",
                    "account": "scores",
                    "url": "/scores",
                    "body": {"customer": "customer_id", "amount": "total"},
                    "into": "score",
                }
            ],
        ),
    ]

    def build(self) -> Calling:
        """Nothing is connected before the first record."""
        return Calling(self.call, self.call.open())


class Calling(Asker):
    """Makes the calls, and hands their answers to the records."""

    def __init__(self, call: CallOf, caller: Caller) -> None:
        self._path = None if call.into is None else call.into.split(".")
        self._caller = caller

    def ask(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """Each record with its answer."""
        # What has no room for an answer is not asked about: the call could not be undone.
        failures = [self._misfit(record) for record in records]
        answers = iter(self._caller.ask([each for each, why in zip(records, failures, strict=True) if why is None]))
        return [
            self._outcome(record, next(answers)) if why is None else why
            for record, why in zip(records, failures, strict=True)
        ]

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()

    def _misfit(self, record: Record) -> RecordError | None:
        try:
            if self._path is not None:
                replaced(record.body, self._path, None)
        except RecordError as error:
            return error
        return None

    def _outcome(self, record: Record, answer: Any) -> Outcome:
        if isinstance(answer, Exception):
            return answer
        if self._path is not None:
            record.body = replaced(record.body, self._path, answer)
        return record
