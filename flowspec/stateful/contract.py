"""The contract of a step that remembers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from typing_extensions import Self

from flowspec.steps.base import Step

if TYPE_CHECKING:
    from flowspec.connectors import Trigger
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Item", "JoiningStep", "Keyed", "Keying", "Memory", "Outlet", "State", "StatefulStep"]

State = TypeVar("State")

Item: TypeAlias = "tuple[Record, Any]"
"""A record on its way to a memory, with what was computed of it for the memory."""
Keyed: TypeAlias = "tuple[str, Item]"
Keying: TypeAlias = "Callable[[list[Record]], list[Keyed]]"


class Outlet(Protocol):
    """What becomes of the records that came to a memory and do not go on as they are."""

    def drop(self, records: Sequence[Record]) -> None:
        """They are done, on purpose, as those that a filter drops."""
        ...

    def absorb(self, records: Sequence[Record]) -> None:
        """They are part of the state now: what comes of it goes on in their place."""
        ...

    def fail(self, record: Record, error: Exception) -> None:
        """It fails at this step, whose `on_error` decides about it."""
        ...


class Memory(ABC, Generic[State]):
    """What a step remembers under one key, on the worker that has the key. Nothing here is to raise.

    Bytewax calls it (0.21): `take` with what came for the key in a batch, `wake` when it is `due`, `snapshot` at the
    end of every epoch in which it was called. An epoch is committed when all its records are delivered, so a record is
    remembered if and only if it is delivered; after a crash state and trigger go on at the same place.
    """

    @abstractmethod
    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        """Take records in order; answers those that go on."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is nothing left to remember under the key."""

    @abstractmethod
    def snapshot(self) -> State:
        """The state, to be pickled; it is never changed later."""

    def again(self, record: Record) -> Record:
        """Have a record go on that was here before, and failed at a later step or sink."""
        return record

    def due(self) -> float | None:
        """When `wake` is to be called, in seconds since the epoch; None for no time."""
        return None

    def wake(self, outlet: Outlet) -> list[Record]:
        """The time has come; answers records that go on."""
        return []

    def end(self, outlet: Outlet) -> list[Record]:
        """There are no more records, ever; answers those that were waiting for more. A stop is no end."""
        return []


class StatefulStep(Step):
    """A step with a memory for each key.

    All records of a key go to the worker that has it, in the order in which they came from each worker before. What it
    remembers is in the recovery store, under the id of the step.
    """

    def build(self) -> Transform:
        """There is none: it is `keying` and `memory` that make the step."""
        raise NotImplementedError

    @abstractmethod
    def keying(self) -> Keying:
        """The function that says of each record its key, and computes what its memory needs.

        It fails where a step's function fails, and the memory cannot.
        """

    @abstractmethod
    def memory(self, state: Any | None, step: str) -> Memory[Any]:
        """What is remembered under a key of the step with that id, from its last snapshot on; None at the start."""

    @abstractmethod
    def basis(self) -> dict[str, Any]:
        """What a state of it is good for: with another one it cannot go on."""


class JoiningStep(StatefulStep):
    """A step whose memories are also given the records of another trigger."""

    @property
    @abstractmethod
    def other(self) -> Trigger:
        """The other trigger."""

    @abstractmethod
    def with_other(self, trigger: Trigger) -> Self:
        """The same step with another one in its place."""

    @abstractmethod
    def other_keying(self) -> Keying:
        """What `keying` is, for the records of the other trigger."""
