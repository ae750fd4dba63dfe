"""The way of records as it is run: stages that are fused, and between them the steps that are more than a stage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flowspec.connectors import StreamTrigger
from flowspec.delivery.steps import Stage, decode_stage, external_id_stage, step_stage, undecodable_stage
from flowspec.formats import format_name
from flowspec.parts import StepPart, Way
from flowspec.policies import final_policy
from flowspec.stateful.contract import StatefulStep
from flowspec.steps.branching import BranchingStep

if TYPE_CHECKING:
    from flowspec.connectors import Trigger
    from flowspec.delivery.run import FlowRun
    from flowspec.policies import ErrorPolicy
    from flowspec.spec import FlowSpec

__all__ = ["Course", "Segment", "course_of", "first_stages"]


@dataclass(frozen=True)
class Segment:
    """Consecutive steps that look at each record by itself, and the one after them that remembers or branches."""

    stages: list[Stage]
    end: StepPart | None = None
    branches: list[Course] = field(default_factory=list)
    """Those of the last one."""


@dataclass(frozen=True)
class Course:
    """A way, cut into segments; the last one has no end."""

    way: Way
    segments: list[Segment]


def course_of(spec: FlowSpec, run: FlowRun) -> Course:
    """The course of a flow, with the stages `decode` and `external_id` before its steps.

    Raises:
        MissingDependencyError: a step or format needs a package that is not installed.
        FatalError: the format of the trigger needs what its account does not have.
    """
    return _course(spec.way(), first_stages(spec.trigger, spec.on_error, run), spec, run)


def _course(way: Way, stages: list[Stage], spec: FlowSpec, run: FlowRun) -> Course:
    segments: list[Segment] = []
    for part in way.steps:
        if isinstance(part.step, (StatefulStep, BranchingStep)):
            segments.append(Segment(stages, part, [_course(branch, [], spec, run) for branch in part.branches]))
            stages = []
        else:
            stages.append(step_stage(part.id, part.step, spec.on_error, run))
    return Course(way, [*segments, Segment(stages)])


def first_stages(trigger: Trigger, on_error: ErrorPolicy, run: FlowRun) -> list[Stage]:
    """What happens to each record that a trigger hands over before anything else: `decode` and `external_id`.

    Raises:
        MissingDependencyError: the format needs a package that is not installed.
        FatalError: the format needs what the account of the trigger does not have.
    """
    if isinstance(trigger, StreamTrigger):
        made = [decode_stage(trigger.decoder(), format_name(trigger.format), run)]
    else:
        made = [undecodable_stage()]
    if trigger.external_id is not None:
        made.append(external_id_stage(trigger.external_id))
    # A payload that cannot be decoded now never can.
    return [replace(stage, on_error=final_policy(on_error)) for stage in made]
