"""The compiler: a spec becomes the Bytewax dataflow that does what it says."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flowspec.connectors import StreamTrigger
from flowspec.deadletters.forward import ForwardedLetters
from flowspec.delivery.sink import Barrier, SinkWriter
from flowspec.delivery.source import TriggerSource
from flowspec.delivery.steps import FusedSteps, Stage, decode_stage, external_id_stage, step_stage, undecodable_stage
from flowspec.formats import format_name
from flowspec.journal.journal import Journal
from flowspec.policies import final_policy

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun
    from flowspec.spec import FlowSpec

__all__ = ["compile_flow", "epoch_interval", "stages"]

_CLUSTER_EPOCH = timedelta(milliseconds=50)
"""In a cluster each epoch costs messages between all workers, and the wait for the slowest of them. Records
do not wait for the end of an epoch, only their commit does."""


def epoch_interval(run: FlowRun) -> timedelta:
    """How long Bytewax's epochs are to be for a run; on a single worker each batch is one."""
    return timedelta(0) if run.workers == 1 else _CLUSTER_EPOCH


def compile_flow(spec: FlowSpec, run: FlowRun) -> Dataflow:
    """Assemble trigger, steps and sinks into the dataflow of one worker.

    Delivery is at-least-once: the trigger's system is told of a record when every sink has it, a filter dropped it,
    or the dead-letter store has it.

    Raises:
        MissingDependencyError: a connector needs a package that is not installed.
        FatalError: the format of the trigger needs what its account does not have.
    """
    # Bytewax allows no dots in names.
    flow = Dataflow(re.sub(r"[^A-Za-z0-9_-]", "-", spec.name))
    sinks = spec.named_sinks()
    run.identify = spec.trigger.identity
    run.stop_after = spec.stop_after
    run.journal = Journal(run.flow, run.state_dir, run.worker, spec.journal, spec.trigger, tally=run.tally)
    if spec.dead_letters is not None:
        run.dead_letters = ForwardedLetters(spec.dead_letters, run)
    retries = not any(action.commits_with_trigger for _, action in sinks)
    source = TriggerSource(spec.trigger, run, [name for name, _ in sinks], retries=retries)
    received = op.input("trigger", flow, source)
    records = op.flat_map_batch("steps", received, FusedSteps(stages(spec, run), run))
    for name, action in sinks:
        opened = action.alone() if run.is_replay else action
        writer = SinkWriter(name, opened, run, action.on_error or spec.on_error)
        written = op.flat_map_batch(f"write-{name}", records, writer)
        op.output(f"barrier-{name}", written, Barrier())
    return flow


def stages(spec: FlowSpec, run: FlowRun) -> list[Stage]:
    """What happens to each record between trigger and sinks: the steps, and before them `decode` and `external_id`.

    Raises:
        MissingDependencyError: a step or format needs a package that is not installed.
        FatalError: the format of the trigger needs what its account does not have.
    """
    trigger = spec.trigger
    if isinstance(trigger, StreamTrigger):
        made = [decode_stage(trigger.decoder(), format_name(trigger.format), run)]
    else:
        made = [undecodable_stage()]
    if trigger.external_id is not None:
        made.append(external_id_stage(trigger.external_id))
    # A payload that cannot be decoded now never can.
    made = [replace(stage, on_error=final_policy(spec.on_error)) for stage in made]
    return made + [step_stage(name, step, spec.on_error) for name, step in spec.named_steps()]
