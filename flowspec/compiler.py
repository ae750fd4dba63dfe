"""The compiler: a spec becomes the Bytewax dataflow that does what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flowspec.deadletters.forward import ForwardedLetters
from flowspec.delivery.router import Router, taking
from flowspec.delivery.sink import Barrier, SinkWriter
from flowspec.delivery.source import TriggerSource
from flowspec.delivery.steps import FusedSteps, Stage
from flowspec.journal.journal import Journal
from flowspec.segments import course_of, first_stages
from flowspec.stateful.contract import JoiningStep, StatefulStep
from flowspec.stateful.operator import Passing, StatefulOperator
from flowspec.stateful.sides import of_side, side_stage
from flowspec.steps.branching import BranchingStep

if TYPE_CHECKING:
    from bytewax.dataflow import Stream

    from flowspec.delivery.router import Routed
    from flowspec.delivery.run import FlowRun
    from flowspec.parts import SinkPart
    from flowspec.policies import ErrorPolicy
    from flowspec.records import Record
    from flowspec.segments import Course
    from flowspec.spec import FlowSpec
    from flowspec.stateful.contract import Keyed, Keying
    from flowspec.steps.base import Transform

__all__ = ["compile_flow", "epoch_interval"]

_CLUSTER_EPOCH = timedelta(milliseconds=50)
"""In a cluster each epoch costs messages between all workers, and the wait for the slowest of them. Records
do not wait for the end of an epoch, only their commit does."""
_REMEMBERING_EPOCH = timedelta(milliseconds=100)
"""With a recovery store each epoch costs transactions on the disk, also when nothing comes."""


def epoch_interval(run: FlowRun, *, remembers: bool = False) -> timedelta:
    """How long Bytewax's epochs are to be for a run; on a single worker each batch is one."""
    if remembers:
        return _REMEMBERING_EPOCH
    return timedelta(0) if run.workers == 1 else _CLUSTER_EPOCH


def compile_flow(spec: FlowSpec, run: FlowRun) -> Dataflow:
    """Assemble trigger, steps and sinks into the dataflow of one worker.

    Delivery is at-least-once: the trigger's system is told of a record when every sink has it, a filter dropped it,
    a step remembers it, or the dead-letter store has it.

    Raises:
        MissingDependencyError: a connector needs a package that is not installed.
        FatalError: the format of the trigger needs what its account does not have.
    """
    # Bytewax allows no dots in names.
    flow = Dataflow(re.sub(r"[^A-Za-z0-9_-]", "-", spec.name))
    trigger = spec.trigger.for_state() if spec.remembers else spec.trigger
    sinks = spec.named_sinks()
    run.stop_after = spec.stop_after
    run.journal = Journal(run.flow, run.state_dir, run.worker, spec.journal, trigger, tally=run.tally)
    if spec.dead_letters is not None:
        run.dead_letters = ForwardedLetters(spec.dead_letters, run)
    retries = not any(action.commits_with_trigger for _, action in sinks)
    epoch = epoch_interval(run, remembers=spec.remembers)
    joins = [(part.id, part.step) for part in spec.way().all_steps() if isinstance(part.step, JoiningStep)]
    run.triggers = {"": trigger, **{name: step.other.for_state() for name, step in joins}}
    names = [name for name, _ in sinks]
    source = TriggerSource(trigger, run, names, retries=retries, alone=not joins, epoch=epoch)
    received = op.input("trigger", flow, source)
    own = op.flat_map_batch("own", received, of_side("")) if joins else received
    others = {name: _other(flow, received, name=name, step=step, spec=spec, run=run) for name, step in joins}
    _Assembler(spec, run, others).assemble(own, course_of(spec, run))
    return flow


def _other(
    flow: Dataflow, received: Stream[Record], *, name: str, step: JoiningStep, spec: FlowSpec, run: FlowRun
) -> Stream[Keyed]:
    """The records of the other trigger of a join, with their keys."""
    trigger = run.triggers[name]
    epoch = epoch_interval(run, remembers=True)
    source = TriggerSource(trigger, run, retries=False, side=name, alone=False, epoch=epoch)
    # Those that failed before are handed over by the flow's own trigger.
    again = op.flat_map_batch(f"again-{name}", received, of_side(name))
    arrived = op.merge(f"other-{name}", op.input(f"trigger-{name}", flow, source), again)
    on_error = step.on_error or spec.on_error
    first = [replace(stage, name=name, counts=False) for stage in first_stages(trigger, on_error, run)]
    stages = [side_stage(name), *first, _keying_stage(name, step.other_keying(), on_error)]
    return cast("Stream[Keyed]", op.flat_map_batch(f"key-other-{name}", arrived, FusedSteps(stages, run)))


def _keying_stage(name: str, keying: Keying, on_error: ErrorPolicy) -> Stage:
    """A stage whose records leave it with their keys: it fails like any other."""
    return Stage(name, cast("Transform", keying), on_error, counts=False)


class _Assembler:
    """Adds to a dataflow what happens to its records."""

    def __init__(self, spec: FlowSpec, run: FlowRun, others: Mapping[str, Stream[Keyed]]) -> None:
        self._others = others
        self._on_error = spec.on_error
        self._remembers = spec.remembers
        self._run = run

    def assemble(self, records: Stream[Record], course: Course, reached: Sequence[str] = ("",)) -> None:
        """Have records take a course.

        Args:
            records: What the trigger or a branching step hands over.
            course: The course of the flow, or of a branch.
            reached: The ids of the steps with a memory before it, and the empty one of the trigger.
        """
        way = course.way
        before = f"{way.id}-" if way.id else ""
        for number, segment in enumerate(course.segments, 1):
            passing = Passing(reached) if self._remembers else None
            if segment.stages:
                steps = FusedSteps(segment.stages, self._run, passing)
                records = op.flat_map_batch(f"steps-{before}{number}", records, steps)
            end = segment.end
            if end is None:
                break
            if isinstance(end.step, StatefulStep):
                records = self._remembered(records, end.id, end.step, reached, way.behind(end))
                reached = [*reached, end.id]
            elif isinstance(end.step, BranchingStep):
                router = Router(end, self._run, end.step.on_error or self._on_error, passing)
                routed = op.flat_map_batch(f"route-{end.id}", records, router)
                self._branch(routed, segment.branches, reached)
                if end.step.is_closed:
                    return
                records = op.flat_map_batch(f"go-on-{end.id}", routed, taking(None))
        self._write(records, way.sinks)

    def _remembered(
        self, records: Stream[Record], name: str, step: StatefulStep, reached: Sequence[str], later: Sequence[str]
    ) -> Stream[Record]:
        """Have records pass a step with a memory."""
        on_error = step.on_error or self._on_error
        keyer = FusedSteps([_keying_stage(name, step.keying(), on_error)], self._run, Passing(reached, keeps=False))
        keyed = cast("Stream[Keyed]", op.flat_map_batch(f"key-{name}", records, keyer))
        if name in self._others:
            keyed = op.merge(f"both-{name}", keyed, self._others[name])
        operator = StatefulOperator(name, step, self._run, on_error, later)
        past = op.flat_map_batch(f"past-{name}", records, Passing(reached).passing)
        return op.merge(f"with-{name}", operator.through(keyed), past)

    def _branch(self, routed: Stream[Routed], branches: Sequence[Course], reached: Sequence[str]) -> None:
        """Have records take the branches of a step."""
        for number, branch in enumerate(branches):
            if branch.way.ids():
                taken = op.flat_map_batch(f"take-{branch.way.id}", routed, taking(number))
                self.assemble(taken, branch, reached)

    def _write(self, records: Stream[Record], sinks: Sequence[SinkPart]) -> None:
        """Write records to each of the sinks of a way."""
        for part in sinks:
            action = part.sink.alone() if self._run.is_replay else part.sink
            others = [other.id for other in sinks if other is not part]
            writer = SinkWriter(part.id, action, self._run, part.sink.on_error or self._on_error, others)
            written = op.flat_map_batch(f"write-{part.id}", records, writer)
            op.output(f"barrier-{part.id}", written, Barrier())
