"""The step that counts the records of each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from flowspec.expressions import Expression
from flowspec.stateful.contract import Memory, StatefulStep
from flowspec.stateful.remembered import Forget, keying_into
from flowspec.stateful.times import micros
from flowspec.steps.bodies import FieldPath
from flowspec.steps.shorthand import Shorthand

if TYPE_CHECKING:
    from flowspec.stateful.contract import Keying

__all__ = ["CountBy", "CountOptions"]


class CountOptions(Shorthand):
    """What is counted, and where the count is put."""

    main: ClassVar[str] = "key"

    key: Annotated[
        Expression,
        Field(description="Expression for what records have in common that are counted together.", examples=["sku"]),
    ]
    into: Annotated[
        FieldPath,
        Field(description="The field for the count, in place of what is there; it may be nested.", examples=["orders"]),
    ] = "count"
    forget: Forget = None


class CountBy(StatefulStep):
    """Put into the body of each record how many of its key there were, with itself.

    A record that is tried again because a later step or sink failed is not counted again: it goes on with the count as
    it is then. Counts are exact where the trigger resumes at a position: Kafka, and polling triggers. Others may hand
    over records twice after a crash; a `dedupe` before lets only one through.
    """

    kind = "count_by"

    count_by: Annotated[
        CountOptions,
        Field(
            description="The key by which records are counted, as an expression, or an object that also says where the "
            "count is put.",
            examples=["customer_id", {"key": "customer_id", "into": "orders", "forget": "30d"}],
        ),
    ]

    def keying(self) -> Keying:
        """The key is all that is needed."""
        return keying_into(self.count_by.key, self.count_by.into)

    def memory(self, state: Any | None, step: str) -> Memory[Any]:
        """The count of the key."""
        from flowspec.stateful.running import Counted

        options = self.count_by
        return Counted(state, options.into.split("."), None if options.forget is None else micros(options.forget))

    def basis(self) -> dict[str, Any]:
        """A count is good for a key."""
        return {"key": self.count_by.key.exported()}
