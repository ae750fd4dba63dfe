"""The step that builds new bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flowspec.expressions import Expression
from flowspec.steps.base import Step
from flowspec.steps.bodies import with_bodies

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Map"]


class Map(Step):
    """Build a new body: only the fields that are named here are in it."""

    kind = "map"

    map: Annotated[
        dict[str, Expression],
        Field(
            min_length=1,
            description="The fields of the new body, each with the expression for its value.",
            examples=[{"id": "order_id", "cents": "int(total * 100)"}],
        ),
    ]

    def build(self) -> Transform:
        """All fields are one expression."""
        fields = Expression.mapping(self.map)

        def build_bodies(records: list[Record]) -> list[Record]:
            return with_bodies(records, fields.values(records))

        return build_bodies
