"""The contract of a step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from pydantic import Field

from flowspec.model import SpecModel
from flowspec.policies import ErrorPolicy

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["Step", "Transform"]

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
        ErrorPolicy | None,
        Field(
            description="What happens to a record that the step fails on: keep it as a dead letter, skip it, stop the "
            "flow, or try it again first. By default the flow's.",
            examples=["dead_letter", {"retry": {"attempts": 5, "backoff": "1s"}}],
        ),
    ] = None

    @abstractmethod
    def build(self) -> Transform:
        """The function that the flow runs on each batch.

        It answers the records that go on, each with its new body. Where it raises it has changed nothing:
        the flow then gives it the records one by one to find the bad ones.
        """
