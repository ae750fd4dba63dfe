"""Looking at what a flow makes of records, without running it: nothing is consumed, written or tried again."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowspec.delivery.run import FlowRun
from flowspec.errors import FlowError
from flowspec.expressions.errors import nearest

if TYPE_CHECKING:
    from flowspec.delivery.steps import Stage
    from flowspec.records import Record
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


@dataclass(frozen=True)
class Preview:
    """One record of the trigger, and what the steps made of it."""

    received: Record
    passages: tuple[Passage, ...]
    """In the order of the steps. The records that come to a step are those that left the one before it, in order."""
    left: tuple[Record, ...]
    """What the sinks would be given."""


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
    run = _Look(spec.name, state_dir or Path(".pipelines"))
    stages = _stages(spec, run, through)
    records = spec.trigger.sample(most, wait, run.context("trigger"))
    return [_passed(record, stages) for record in records]


def pass_through(spec: FlowSpec, records: Iterable[Record], *, through: str | None = None) -> list[Preview]:
    """Look at what the steps of a flow make of records, given as its trigger hands them over.

    Raises:
        FlowError: the flow has no step `through`.
    """
    stages = _stages(spec, _Look(spec.name), through)
    return [_passed(record, stages) for record in records]


class _Look(FlowRun):
    """A run that never starts; nothing is tried again in it."""

    def wait_to_retry(self, seconds: float, error: Exception) -> None:
        raise error


def _stages(spec: FlowSpec, run: FlowRun, through: str | None) -> list[Stage]:
    from flowspec.compiler import stages

    made = stages(spec, run)
    if through is None:
        return made
    names = [stage.name for stage in made]
    if through not in names:
        near = nearest(through, names)
        hint = f"did you mean {near!r}? " if near else ""
        msg = f"the flow {spec.name} has no step {through!r}; {hint}(steps: {', '.join(names)})"
        raise FlowError(msg)
    return made[: names.index(through) + 1]


def _passed(record: Record, stages: Iterable[Stage]) -> Preview:
    received, records = _kept(record), [record]
    passages: list[Passage] = []
    for stage in stages:
        made = [_through(stage, each) for each in records]
        passages += [passage for passage, _ in made]
        records = [left for _, several in made for left in several]
    return Preview(received, tuple(passages), tuple(_kept(each) for each in records))


def _through(stage: Stage, record: Record) -> tuple[Passage, list[Record]]:
    came = _kept(record)
    try:
        left = stage.transform([record])
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything, and it is to be seen
        return Passage(stage.name, came, (), error), []
    return Passage(stage.name, came, tuple(_kept(each) for each in left)), left


def _kept(record: Record) -> Record:
    """The record as it is now, whatever a later step does to it."""
    body = record.body if isinstance(record.body, Exception) else copy.deepcopy(record.body)
    return replace(record, body=body)
