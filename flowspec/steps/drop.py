"""The step that removes fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flowspec.steps.base import Step
from flowspec.steps.bodies import FieldPath, tree, with_bodies, without

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Drop"]


class Drop(Step):
    """Remove fields from the body; one that is not there is fine."""

    kind = "drop"

    drop: Annotated[
        list[FieldPath],
        Field(
            min_length=1,
            description="The fields to remove; `customer.phone` is a field of an object in the body.",
            examples=[["password", "customer.phone"]],
        ),
    ]

    def build(self) -> Transform:
        """The paths become a tree that is walked for each body."""
        paths = tree(self.drop)

        def drop_fields(records: list[Record]) -> list[Record]:
            return with_bodies(records, [without(record.body, paths) for record in records])

        return drop_fields
