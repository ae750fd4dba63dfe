"""The step that makes several records of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from flowspec.errors import RecordError
from flowspec.expressions import Expression
from flowspec.expressions.careful import describe
from flowspec.steps.base import Step
from flowspec.steps.shorthand import Shorthand

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Items", "Split"]


class Items(Shorthand):
    """The list that a record is split by."""

    main = "list"

    list: Annotated[
        Expression,
        Field(description="Expression for the list that has one item for each new record.", examples=["items"]),
    ]
    name: Annotated[
        str | None,
        Field(
            alias="as",
            min_length=1,
            description="Field that is added to the body for the item; by default the item is the whole body.",
            examples=["item"],
        ),
    ] = None


class Split(Step):
    """Make one record of each item of a list; an empty list makes none."""

    kind = "split"
    batched: ClassVar[bool] = False

    split: Annotated[
        Items,
        Field(
            description="The list, and optionally the field that each new body has for its item.",
            examples=["items", {"list": "items", "as": "item"}],
        ),
    ]

    def build(self) -> Transform:
        """Every list is looked at before the first record is made."""
        values, name = self.split.list.values, self.split.name

        def split_records(records: list[Record]) -> list[Record]:
            return [
                record.derive(item if name is None else {**_object(record.body), name: item})
                for record, items in zip(records, values(records), strict=True)
                for item in _items(items)
            ]

        return split_records


def _items(value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        msg = f"a record is split by a list, not by {describe(value)}"
        raise RecordError(msg)
    return value


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        msg = f"the body is not an object but {describe(body)}, so it has no room for the item; leave 'as' out"
        raise RecordError(msg)
    return body
