"""The parts of a flow with their ids and places: the way to walk a flow, branches and all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowspec.steps.branching import BranchingStep

if TYPE_CHECKING:
    from flowspec.connectors import Action
    from flowspec.objects import Path
    from flowspec.steps.base import Step
    from flowspec.steps.branching import Line

__all__ = ["SinkPart", "StepPart", "Way"]


@dataclass(frozen=True)
class StepPart:
    """A step of a flow."""

    id: str
    step: Step
    path: Path
    """Where in the spec it is."""
    branches: tuple[Way, ...] = ()
    """Where its records may go, but for the next step."""


@dataclass(frozen=True)
class SinkPart:
    """A sink of a flow."""

    id: str
    sink: Action
    path: Path
    """Where in the spec it is."""


@dataclass(frozen=True)
class Way:
    """The way of records: one step after the other, and each of the sinks behind them."""

    id: str
    """That of a branch; empty for the flow itself."""
    steps: tuple[StepPart, ...]
    sinks: tuple[SinkPart, ...]

    @classmethod
    def of(cls, line: Line) -> Way:
        """The way of a flow.

        Ids that are not written are made of kind and place, as `map-2`, or connector and action, as `rabbitmq-publish`,
        in a branch behind the id of the branch.
        """
        return _way(line, "", (), set(_written_ids(line)))

    def all_steps(self) -> Iterator[StepPart]:
        """Its steps, each followed by those of its branches."""
        for part in self.steps:
            yield part
            for branch in part.branches:
                yield from branch.all_steps()

    def all_sinks(self) -> Iterator[SinkPart]:
        """Its sinks, behind those of the branches."""
        for part in self.steps:
            for branch in part.branches:
                yield from branch.all_sinks()
        yield from self.sinks

    def ids(self) -> list[str]:
        """The ids of all its steps and sinks."""
        return [*(part.id for part in self.all_steps()), *(part.id for part in self.all_sinks())]

    def behind(self, part: StepPart) -> list[str]:
        """The ids of the steps and sinks that come after one of its own steps, branches and all."""
        return Way(self.id, self.steps[self.steps.index(part) + 1 :], self.sinks).ids()

    def changed(self, step: Callable[[str, Step], Step], sink: Callable[[str, Action], Action]) -> dict[str, list[Any]]:
        """The `steps` and `sinks` of a flow that is made of others, by their ids, in the places of all its own."""
        return {
            "steps": [step(part.id, _with_changed_branches(part, step, sink)) for part in self.steps],
            "sinks": [sink(part.id, part.sink) for part in self.sinks],
        }


def _with_changed_branches(
    part: StepPart, step: Callable[[str, Step], Step], sink: Callable[[str, Action], Action]
) -> Step:
    if not isinstance(part.step, BranchingStep):
        return part.step
    branches = zip(part.step.branches(), part.branches, strict=True)
    return part.step.with_branches(
        [placed.branch.model_copy(update=way.changed(step, sink)) for placed, way in branches]
    )


def _way(line: Line, name: str, path: Path, taken: set[str]) -> Way:
    """The way of a flow or branch; `taken` are the ids that others have."""
    before = f"{name}-" if name else ""
    steps: list[StepPart] = []
    for number, step in enumerate(line.steps, 1):
        id_ = step.id or _free(f"{before}{step.kind}-{number}", taken)
        place = (*path, "steps", number - 1)
        branches = step.branches() if isinstance(step, BranchingStep) else []
        ways = [_way(each.branch, f"{id_}-{each.name}", (*place, *each.path), taken) for each in branches]
        steps.append(StepPart(id_, step, place, tuple(ways)))
    sinks = [
        SinkPart(sink.id or _free(f"{before}{sink.connector}-{sink.action}", taken), sink, (*path, "sinks", number))
        for number, sink in enumerate(line.sinks)
    ]
    return Way(name, tuple(steps), tuple(sinks))


def _written_ids(line: Line) -> Iterator[str]:
    parts: Iterable[Step | Action] = (*line.steps, *line.sinks)
    yield from (part.id for part in parts if part.id is not None)
    for step in line.steps:
        if isinstance(step, BranchingStep):
            for each in step.branches():
                yield from _written_ids(each.branch)


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number where it is taken; it is taken then."""
    free = next(each for each in _numbered(name) if each not in taken)
    taken.add(free)
    return free


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
