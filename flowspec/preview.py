"""Looking at what a flow makes of records, without running it: nothing is consumed, written or tried again."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flowspec.delivery.run import FlowRun
from flowspec.errors import FlowError, RecordError
from flowspec.expressions.errors import nearest
from flowspec.steps.branching import BranchingStep

if TYPE_CHECKING:
    from flowspec.delivery.steps import Stage
    from flowspec.parts import StepPart
    from flowspec.records import Record
    from flowspec.segments import Course
    from flowspec.spec import FlowSpec

__all__ = ["Passage", "Preview", "pass_through", "preview"]


@dataclass(frozen=True)
class Passage:
    """One record on its way through one step."""

    step: str
    """Id of the step, or `decode` or `external_id`."""
    came: Record
    left: tuple[Record, ...]
    """What the step made of it: none if it was dropped or failed, several if it was split."""
    error: Exception | None = None
    """Why it failed."""
    branch: str | None = None
    """Where a step with branches sent it: the id of a branch, or empty for the next step. None for other steps."""


@dataclass(frozen=True)
class Preview:
    """One record of the trigger, and what the steps made of it."""

    received: Record
    passages: tuple[Passage, ...]
    """In the order of the steps. The records that come to a step are those that left the one before it, in order; the
    steps of a branch come behind the step that has the branch."""
    left: tuple[Record, ...]
    """What the sinks would be given, those of branches first."""


def preview(
    spec: FlowSpec, most: int = 10, wait: float = 2.0, *, through: str | None = None, state_dir: Path | None = None
) -> list[Preview]:
    """Look at the next records of a flow's trigger, and at what its steps make of them.

    The trigger's system keeps the records as they are for who consumes them, as far as the trigger's `sample_cost` says
    nothing else. Steps with side effects of their own have them.

    Args:
        spec: The flow.
        most: How many records, at most.
        wait: How many seconds to wait for the first one.
        through: The last step that is looked at; all of them without it.
        state_dir: Where the flow keeps its cursor; it is only read.

    Raises:
        TransientError: the trigger's system cannot be reached at present.
        FatalError: there is no looking without consuming.
        FlowError: the flow has no step `through`.
    """
    with closing(_Look(spec.name, state_dir or Path(".pipelines"))) as run:
        course, shown = _shown(spec, run, through)
        records = spec.trigger.sample(most, wait, run.context("trigger"))
        return [_Walk(shown).preview(record, course) for record in records]


def pass_through(spec: FlowSpec, records: Iterable[Record], *, through: str | None = None) -> list[Preview]:
    """Look at what the steps of a flow make of records, given as its trigger hands them over.

    Raises:
        FlowError: the flow has no step `through`.
    """
    with closing(_Look(spec.name)) as run:
        course, shown = _shown(spec, run, through)
        return [_Walk(shown).preview(record, course) for record in records]


class _Look(FlowRun):
    """A run that never starts; nothing is tried again in it."""

    def wait_to_retry(self, seconds: float, error: Exception) -> None:
        raise error


def _shown(spec: FlowSpec, run: FlowRun, through: str | None) -> tuple[Course, Collection[str]]:
    """The course of a flow, and what of it is looked at: all before the first step with a memory."""
    from flowspec.segments import course_of

    course = course_of(spec, run)
    names = list(_names(course))
    if through is None:
        return course, names
    if through not in names:
        near = nearest(through, names)
        hint = f"did you mean {near!r}? " if near else ""
        msg = f"the flow {spec.name} has no step {through!r}; {hint}(steps: {', '.join(names)})"
        raise FlowError(msg)
    return course, names[: names.index(through) + 1]


def _names(course: Course) -> Iterator[str]:
    for segment in course.segments:
        yield from (stage.name for stage in segment.stages)
        if segment.end is None or not isinstance(segment.end.step, BranchingStep):
            return
        yield segment.end.id
        for branch in segment.branches:
            yield from _names(branch)


class _Walk:
    """Takes one record through a flow, and notes what becomes of it."""

    def __init__(self, shown: Collection[str]) -> None:
        self._shown = shown
        self._passages: list[Passage] = []
        self._left: list[Record] = []

    def preview(self, record: Record, course: Course) -> Preview:
        received = _kept(record)
        self._take([record], course)
        return Preview(received, tuple(self._passages), tuple(map(_kept, self._left)))

    def _take(self, records: list[Record], course: Course) -> None:
        for segment in course.segments:
            for stage in segment.stages:
                if stage.name in self._shown:
                    records = [left for each in records for left in self._through(stage, each)]
            end = segment.end
            if end is None or end.id not in self._shown:
                break
            records = self._branched(end, segment.branches, records)
        self._left += records

    def _through(self, stage: Stage, record: Record) -> list[Record]:
        came = _kept(record)
        try:
            left = stage.transform([record])
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything, and it is to be seen
            self._passages.append(Passage(stage.name, came, (), error))
            return []
        self._passages.append(Passage(stage.name, came, tuple(map(_kept, left))))
        return left

    def _branched(self, part: StepPart, branches: Sequence[Course], records: list[Record]) -> list[Record]:
        """Send records where they belong; answers those that go on to the next step."""
        step = cast("BranchingStep", part.step)
        choose, placed = step.choosing(), step.branches()
        taken: dict[int | None, list[Record]] = {}
        for record in records:
            try:
                (number,) = choose([record])
            except RecordError as error:
                self._passages.append(Passage(part.id, _kept(record), (), error))
                continue
            branch = "" if number is None else branches[number].way.id
            is_done = number is not None and placed[number].branch.is_empty
            self._passages.append(Passage(part.id, _kept(record), () if is_done else (_kept(record),), branch=branch))
            if not is_done:
                taken.setdefault(number, []).append(record)
        for number, course in enumerate(branches):
            self._take(taken.get(number, []), course)
        return taken.get(None, [])


def _kept(record: Record) -> Record:
    """The record as it is now, whatever a later step does to it."""
    body = record.body if isinstance(record.body, Exception) else copy.deepcopy(record.body)
    return replace(record, body=body)
