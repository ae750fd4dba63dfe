"""The step that lets each key through once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from flowspec.expressions import Expression
from flowspec.expressions.clock import now
from flowspec.fields import Duration
from flowspec.stateful.contract import Memory, StatefulStep
from flowspec.stateful.keys import by_key
from flowspec.steps.shorthand import Shorthand

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.contract import Item, Keying, Outlet

__all__ = ["Dedupe", "DedupeOptions"]


class DedupeOptions(Shorthand):
    """What makes two records the same."""

    main: ClassVar[str] = "key"

    key: Annotated[
        Expression,
        Field(description="Expression for what two records have in common that are the same.", examples=["order_id"]),
    ]
    within: Annotated[
        Duration,
        Field(
            gt=0,
            description="For how long a key is remembered, from its first record on. Each key takes some hundred bytes "
            "of memory for so long.",
            examples=["1h"],
        ),
    ] = 86_400.0


class Dedupe(StatefulStep):
    """Let the first record of each key through; the others that come within a time are done, on purpose.

    A key is remembered if and only if its record is delivered (or is a dead letter): a record that comes again because
    it was not gets through.
    """

    kind = "dedupe"

    dedupe: Annotated[
        DedupeOptions,
        Field(
            description="The key by which records are the same, as an expression, or an object that also says for how "
            "long.",
            examples=["order_id", {"key": "meta.message_id", "within": "1h"}],
        ),
    ]

    def keying(self) -> Keying:
        """The key is all that is needed."""
        return by_key(self.dedupe.key)

    def memory(self, state: float | None, step: str) -> Memory[float]:
        """Until when the key is remembered."""
        return _Seen(self.dedupe.within, state or 0.0)

    def basis(self) -> dict[str, Any]:
        """A key that was remembered stays so for as long as the spec said then."""
        return {"key": self.dedupe.key.exported()}


class _Seen(Memory[float]):
    def __init__(self, within: float, until: float) -> None:
        self._within = within
        self._until = until

    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        records = [record for record, _ in items]
        moment = now().timestamp()
        if moment < self._until:
            outlet.drop(records)
            return []
        self._until = moment + self._within
        outlet.drop(records[1:])
        return records[:1]

    def due(self) -> float:
        return self._until

    def is_empty(self) -> bool:
        return now().timestamp() >= self._until

    def snapshot(self) -> float:
        return self._until
