"""The step that keeps records."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flowspec.expressions import Expression
from flowspec.steps.base import Step

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Filter"]


class Filter(Step):
    """Keep the records for which an expression is true; the others are done, on purpose."""

    kind = "filter"

    filter: Annotated[
        Expression,
        Field(
            description="Expression that is true for the records that go on.",
            examples=["status == 'paid' and total > 100"],
        ),
    ]

    def build(self) -> Transform:
        """Ask for the whole batch, then keep."""
        values = self.filter.values

        def keep(records: list[Record]) -> list[Record]:
            return list(compress(records, values(records)))

        return keep
