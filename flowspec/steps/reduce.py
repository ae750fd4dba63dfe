"""The step that keeps a running value for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from flowspec.expressions import Expression
from flowspec.model import SpecModel
from flowspec.stateful.contract import Memory, StatefulStep
from flowspec.stateful.remembered import Forget, keying_into
from flowspec.stateful.times import micros
from flowspec.steps.bodies import FieldPath

if TYPE_CHECKING:
    from flowspec.stateful.contract import Keying

__all__ = ["Reduce", "ReduceOptions"]


class ReduceOptions(SpecModel):
    """How the value of a key changes, and where it is put."""

    key: Annotated[
        Expression | None,
        Field(
            description="Expression by which records are told apart: each key has a value of its own. Without it there "
            "is one value, on one worker.",
            examples=["customer_id"],
        ),
    ] = None
    start: Annotated[
        Any, Field(description="The value before the first record, as it is: no expression.", examples=[0, "", {}])
    ] = 0
    expression: Annotated[
        Expression,
        Field(
            alias="with",
            description="Expression for the value after a record. In it, `state` is the value before, and `record` the "
            "body of the record.",
            examples=["state + record.amount"],
        ),
    ]
    into: Annotated[
        FieldPath,
        Field(description="The field for the value, in place of what is there; it may be nested.", examples=["total"]),
    ]
    forget: Forget = None


class Reduce(StatefulStep):
    """Put a running value into the body of each record: what an expression makes of the value before and the record.

    A record that the expression fails on leaves the value as it was. One that is tried again because a later step or
    sink failed goes on with the value as it is then. A value may have a million bytes. Values are exact where the
    trigger resumes at a position: Kafka, and polling triggers. Others may hand over records twice after a crash; a
    `dedupe` before lets only one through.
    """

    kind = "reduce"

    reduce: Annotated[
        ReduceOptions,
        Field(
            description="The value, and how it changes.",
            examples=[{"key": "customer_id", "with": "state + record.amount", "into": "total"}],
        ),
    ]

    def keying(self) -> Keying:
        """The key is all that is needed."""
        return keying_into(self.reduce.key, self.reduce.into)

    def memory(self, state: Any | None, step: str) -> Memory[Any]:
        """The value of the key."""
        from flowspec.stateful.running import Reduced

        options = self.reduce
        forget = None if options.forget is None else micros(options.forget)
        return Reduced(state, options.start, options.expression, options.into.split("."), forget)

    def basis(self) -> dict[str, Any]:
        """A value is good for what it was made by."""
        return self.reduce.model_dump(mode="json", by_alias=True, include={"key", "start", "expression"})
