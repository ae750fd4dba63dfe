"""The step that renames fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from flowspec.steps.base import Step
from flowspec.steps.bodies import FieldPath, field, put, tree, with_bodies, without

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Rename"]


class Rename(Step):
    """Give fields other names or places; each of them must be there, and its new name must be free."""

    kind = "rename"

    rename: Annotated[
        dict[FieldPath, FieldPath],
        Field(
            min_length=1,
            description="The new path of a field by its old one, both from the top of the body.",
            examples=[{"id": "order_id", "customer.mail": "customer.email"}],
        ),
    ]

    @field_validator("rename")
    @classmethod
    def _targets_differ(cls, value: dict[str, str]) -> dict[str, str]:
        targets = list(value.values())
        twice = next((target for target in targets if targets.count(target) > 1), None)
        if twice is not None:
            msg = f"two fields cannot both become {twice!r}"
            raise ValueError(msg)
        return value

    def build(self) -> Transform:
        """The old fields are taken out before the first is put in, so that two can change places."""
        old = tree(self.rename)
        moves = [(source, target.split(".")) for source, target in self.rename.items()]

        def renamed(body: Any) -> Any:
            values = [field(body, source) for source, _ in moves]
            body = without(body, old)
            for (_, target), value in zip(moves, values, strict=True):
                body = put(body, target, value)
            return body

        def rename_fields(records: list[Record]) -> list[Record]:
            return with_bodies(records, [renamed(record.body) for record in records])

        return rename_fields
