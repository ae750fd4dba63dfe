"""The step that adds fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flowspec.expressions import Expression
from flowspec.steps.base import Step
from flowspec.steps.bodies import with_bodies

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Set"]


class Set(Step):
    """Add fields to the body, or replace them; all expressions see the body as it was before."""

    kind = "set"

    set: Annotated[
        dict[str, Expression],
        Field(
            min_length=1,
            description="The fields to add or replace, each with the expression for its value.",
            examples=[{"total": "round(price * quantity, 2)", "version": 2}],
        ),
    ]

    def build(self) -> Transform:
        """All fields are one expression."""
        fields = Expression.mapping(self.set, onto_body=True)

        def set_fields(records: list[Record]) -> list[Record]:
            return with_bodies(records, fields.values(records))

        return set_fields
