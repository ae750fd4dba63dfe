"""The contract of a step that asks another system."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from flowspec.steps.base import Step

if TYPE_CHECKING:
    from flowspec.lookups import Asked
    from flowspec.records import Record

__all__ = ["Asker", "AskingStep", "Outcome"]

Outcome: TypeAlias = "Record | Exception | None"
"""What becomes of a record: it goes on, it fails, or it is dropped."""


class Asker(ABC):
    """A transform that asks another system, and has to be closed.

    A flow does not call it like others, whose failing batches are run again record by record: it asks for the
    `outcomes`, and about those that met a `TransientError` it asks again.
    """

    @abstractmethod
    def ask(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """What becomes of each record; one that fails has its old body."""

    @abstractmethod
    def close(self) -> None:
        """Free everything. Never raises."""

    def __call__(self, records: list[Record]) -> list[Record]:
        """The records that go on, or the first error."""
        outcomes = self.ask(records)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, Exception)]


class AskingStep(Step):
    """A step that asks another system; while that is down it waits, unless its `on_error` is a `retry`."""

    contract: ClassVar[type[Asked]]
    """What the step's own field has in it, of whatever connector."""

    @property
    def asked(self) -> Asked:
        """Whom it asks, and what."""
        part: Asked = getattr(self, self.kind)
        return part

    @abstractmethod
    def build(self) -> Asker:
        """The transform; nothing is connected before its first record."""
