"""The contract of a step that sends records different ways."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeAlias

from pydantic import (
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticKnownError
from typing_extensions import Self

from flowspec.connectors import Action
from flowspec.model import SpecModel
from flowspec.objects import Path, made, mistake, model_of, refused, written, written_sinks
from flowspec.steps.base import Step

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["Branch", "BranchingStep", "Choosing", "Line", "PlacedBranch", "Sinks", "Steps"]

Steps: TypeAlias = list[Annotated[SerializeAsAny[Step], made(Step)]]
Sinks: TypeAlias = list[Annotated[SerializeAsAny[Action], made(Action)]]

Choosing: TypeAlias = "Callable[[list[Record]], list[int | None]]"
"""Says which branch each record takes, by its number, or None where it goes on to the next step. Where it raises, it is
asked about the records one by one, to find the bad ones."""

_LACKING = object()
"""Stands for sinks that have to be there and are not."""


class Line(SpecModel):
    """The base of what has steps, and sinks behind them: a flow, and each branch of it.

    In a document, a single sink may be written as `sink`.
    """

    if TYPE_CHECKING:
        steps: Steps
        sinks: Sinks

    @classmethod
    def needs_sinks(cls, steps: Any) -> bool:
        """Whether there have to be sinks behind `steps`, which are made already or as a document has them."""
        return not _is_closed(steps)

    @model_validator(mode="before")
    @classmethod
    def _with_sinks(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        value = dict(value)
        if "sink" in value and "sinks" not in value:
            value["sinks"] = [value.pop("sink")]
        if cls.needs_sinks(value.get("steps")):
            value.setdefault("sinks", _LACKING)
        elif value.get("sinks") == []:
            del value["sinks"]
        return value

    @field_validator("sinks", mode="before", check_fields=False)
    @classmethod
    def _sinks_are_there(cls, sinks: Any) -> Any:
        if sinks is _LACKING:
            kind: Final = "missing"
            raise PydanticKnownError(kind)
        return sinks

    @model_validator(mode="after")
    def _all_is_reached(self) -> Self:
        closed = (place for place, step in enumerate(self.steps) if isinstance(step, BranchingStep) and step.is_closed)
        place = next(closed, None)
        if place is None:
            return self
        message = f"no record comes here: {self.steps[place].kind!r} before it has 'otherwise'; leave that out, or "
        if place + 1 < len(self.steps):
            raise refused(None, mistake(f"{message}put the step into the branches", "misfit"), "steps", place + 1)
        if self.sinks:
            raise refused(None, mistake(f"{message}the sink", "misfit"), "sinks")
        return self


class Branch(Line):
    """What happens to the records that take a branch. They do not come back to the steps that follow it."""

    steps: Annotated[
        Steps,
        Field(
            description="What happens to each of them, in order, like `steps` of the flow.",
            examples=[[{"set": {"tax": "total * 0.21"}}]],
        ),
    ] = Field(default_factory=list)
    sinks: Annotated[
        Sinks,
        Field(
            min_length=1,
            description="Where they go; each sink gets every record. Without steps and sinks they are done, on "
            "purpose, as what a `filter` drops.",
            examples=[[{"connector": "stdout"}]],
        ),
    ] = Field(default_factory=list)

    @classmethod
    def needs_sinks(cls, steps: Any) -> bool:
        """Not where there is nothing at all."""
        return bool(steps) and super().needs_sinks(steps)

    @property
    def is_empty(self) -> bool:
        """Whether its records are done, on purpose."""
        return not (self.steps or self.sinks)

    @model_serializer(mode="wrap", when_used="json")
    def _written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As a spec has it."""
        document = {name: value for name, value in dump(self).items() if name not in ("steps", "sinks")}
        if self.steps:
            document["steps"] = [written(step) for step in self.steps]
        return document | written_sinks(self.sinks)


class PlacedBranch(NamedTuple):
    """A branch of a step."""

    name: str
    """What tells it from the others, as a part of ids."""
    when: str
    """Which records take it, for people."""
    path: Path
    """Where in the step it is written."""
    branch: Branch


class BranchingStep(Step):
    """A step whose records take one of several branches, or go on to the next step."""

    @abstractmethod
    def branches(self) -> list[PlacedBranch]:
        """All of them; their places in the list are their numbers."""

    @abstractmethod
    def with_branches(self, branches: Sequence[Branch]) -> Self:
        """The same step with other branches in the places of its own."""

    @abstractmethod
    def choosing(self) -> Choosing:
        """The function that says which branch a record takes."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether each record takes a branch, so that none goes on."""

    @classmethod
    @abstractmethod
    def closes(cls, content: Any) -> bool:
        """The same of a step with that content in a document, which may be wrong."""

    def build(self) -> Any:
        """There is no transform: a branching step does not change records."""
        raise NotImplementedError


def _is_closed(steps: Any) -> bool:
    """Whether no record comes through steps, which are made already or as a document has them."""
    last = steps[-1] if isinstance(steps, Sequence) and steps else None
    if not isinstance(last, dict):
        return isinstance(last, BranchingStep) and last.is_closed
    try:
        model = model_of(Step, last)
    except ValidationError:
        return False  # building it says why
    return issubclass(model, BranchingStep) and model.closes(last.get(model.kind))
