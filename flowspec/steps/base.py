"""The contract of a step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from flowspec.connectors import SpecModel

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["ErrorPolicy", "Step", "Transform"]

ErrorPolicy: TypeAlias = Literal["dead_letter", "skip", "stop"]
Transform: TypeAlias = "Callable[[list[Record]], list[Record]]"


class Step(SpecModel):
    """One stateless transformation of records.

    The model has exactly one field of its own, named like the step's kind: `{"filter": "total > 100"}`.
    """

    kind: ClassVar[str]
    batched: ClassVar[bool] = True
    """Whether the step takes whole batches. One with side effects, or that makes several records of one, is given
    single records: a batch that failed is run again record by record, and what it drops is counted."""

    id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]+$",
            description="Name of the step in logs and dead letters; by default its kind and place.",
            examples=["only-paid"],
        ),
    ] = None
    on_error: Annotated[
        ErrorPolicy,
        Field(
            description="What happens to a record that the step fails on: keep it in the dead-letter store, "
            "skip it, or stop the flow.",
            examples=["dead_letter"],
        ),
    ] = "dead_letter"

    @abstractmethod
    def build(self) -> Transform:
        """The function that the flow runs on each batch.

        It answers the records that go on, each with its new body. Where it raises it has changed nothing:
        the flow then gives it the records one by one to find the bad ones.
        """
