"""The step that keeps fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from flowspec.expressions.careful import field_at
from flowspec.steps.base import Step
from flowspec.steps.bodies import FieldPath, Tree, tree, with_bodies

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Select"]


class Select(Step):
    """Keep some fields of the body where they are and drop all others; each of them must be there."""

    kind = "select"

    select: Annotated[
        list[FieldPath],
        Field(
            min_length=1,
            description="The fields to keep; `customer.email` is a field of an object in the body.",
            examples=[["order_id", "customer.email"]],
        ),
    ]

    def build(self) -> Transform:
        """The paths become a tree that is walked for each body."""
        order = {path.split(".")[0]: None for path in self.select}
        paths = tree(self.select)
        paths = {name: paths[name] for name in order}

        def select_fields(records: list[Record]) -> list[Record]:
            return with_bodies(records, [_selected(record.body, paths, "") for record in records])

        return select_fields


def _selected(value: Any, paths: Tree, root: str) -> dict[str, Any]:
    kept = {}
    for name, below in paths.items():
        item = field_at(value, root, (name,))
        kept[name] = _selected(item, below, f"{root}.{name}" if root else name) if below else item
    return kept
