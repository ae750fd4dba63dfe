"""The compiler: a spec becomes the Bytewax dataflow that does what it says."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flowspec.connectors import StreamTrigger
from flowspec.delivery.sink import Barrier, SinkWriter
from flowspec.delivery.source import TriggerSource
from flowspec.delivery.steps import FusedSteps, Stage, decode_stage, external_id_stage, step_stage, undecodable_stage
from flowspec.formats import format_name

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun
    from flowspec.spec import FlowSpec

__all__ = ["compile_flow", "epoch_interval"]

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
    received = op.input("trigger", flow, TriggerSource(spec.trigger, run))
    records = op.flat_map_batch("steps", received, FusedSteps(_stages(spec, run), run))
    for name, action in spec.named_sinks():
        written = op.flat_map_batch(f"write-{name}", records, SinkWriter(name, action, run))
        op.output(f"barrier-{name}", written, Barrier())
    return flow


def _stages(spec: FlowSpec, run: FlowRun) -> list[Stage]:
    trigger = spec.trigger
    if isinstance(trigger, StreamTrigger):
        stages = [decode_stage(trigger.decoder(), format_name(trigger.format), run)]
    else:
        stages = [undecodable_stage()]
    if trigger.external_id is not None:
        stages.append(external_id_stage(trigger.external_id))
    return stages + [step_stage(name, step) for name, step in spec.named_steps()]
