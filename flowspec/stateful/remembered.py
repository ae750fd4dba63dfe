"""What steps have in common that put a remembered value into each record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flowspec.fields import Duration
from flowspec.stateful.keys import keyed
from flowspec.steps.bodies import replaced

if TYPE_CHECKING:
    from flowspec.expressions import Expression
    from flowspec.records import Record
    from flowspec.stateful.contract import Keyed, Keying
    from flowspec.steps.bodies import FieldPath

__all__ = ["Forget", "keying_into"]

Forget = Annotated[
    Duration | None,
    Field(
        gt=0,
        description="A key that had no record for so long is forgotten, and begins anew. Without it each key is "
        "remembered for ever, which takes some hundred bytes of memory.",
        examples=["30d"],
    ),
]


def keying_into(key: Expression | None, into: FieldPath) -> Keying:
    """The function that gives each record its key, and sees that a value can be put into its body."""
    path = into.split(".")

    def keying(records: list[Record]) -> list[Keyed]:
        for record in records:
            # The memory must not fail.
            replaced(record.body, path, None)
        return keyed(key, records)

    return keying
