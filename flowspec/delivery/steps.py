"""Consecutive stateless steps, fused into one function over the batch.

Items between Bytewax operators, and a Python call for each item, cost more than most steps do. So a run of steps is
one `flat_map_batch`, and each step works on the whole batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowspec.deadletters.letter import DeadLetter
from flowspec.delivery.asking import Asking
from flowspec.delivery.backoff import Backoff
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.policies import RetryPolicy
from flowspec.records import Trace
from flowspec.steps.asking import Asker

if TYPE_CHECKING:
    from flowspec.delivery.health import Health
    from flowspec.delivery.run import FlowRun
    from flowspec.expressions import Expression
    from flowspec.formats import Decoder
    from flowspec.policies import ErrorPolicy
    from flowspec.records import Record
    from flowspec.stateful.operator import Passing
    from flowspec.steps.base import Step, Transform

__all__ = ["FusedSteps", "Stage", "decode_stage", "external_id_stage", "step_stage", "undecodable_stage"]


@dataclass(frozen=True)
class Stage:
    """One step of a fused run."""

    name: str
    transform: Transform
    on_error: ErrorPolicy = "dead_letter"
    batched: bool = True
    counts: bool = True
    """Whether what it does is counted here, and not where its records go."""


def decode_stage(decode: Decoder, name: str, run: FlowRun) -> Stage:
    """The stage that makes a body of each payload.

    A decoder that cannot tell at present, because its schema registry is down, is asked again for as long as it takes:
    the payload may be a good one.
    """

    def transform(records: list[Record]) -> list[Record]:
        try:
            for record in records:
                record.body = decode(record.raw)
        except ValueError as error:
            msg = f"payload is not {name}: {error}"
            raise RecordError(msg) from error
        return records

    return Stage("decode", _Patient(transform, run))


def undecodable_stage() -> Stage:
    """The stage that gives up records whose reader could not make a body of their payload: it left the error there."""

    def transform(records: list[Record]) -> list[Record]:
        for record in records:
            if isinstance(record.body, RecordError):
                raise record.body
        return records

    return Stage("decode", transform)


class _Patient:
    """A transform that is tried again while another system keeps it from its work; the trigger is down meanwhile."""

    def __init__(self, transform: Transform, run: FlowRun) -> None:
        self._transform = transform
        self._run = run
        self._health: Health | None = None

    def __call__(self, records: list[Record]) -> list[Record]:
        backoff = Backoff()
        while True:
            try:
                kept = self._transform(records)
            except TransientError as error:
                self._wait(backoff, error)
            except RecordError:
                self._is_back()
                raise
            else:
                self._is_back()
                return kept

    def _wait(self, backoff: Backoff, error: TransientError) -> None:
        if self._health is None:
            self._health = self._run.context("trigger").health
        self._health.down(error)
        self._run.wait_to_retry(backoff.after(error), error)

    def _is_back(self) -> None:
        if self._health is not None:
            self._health.up()


def external_id_stage(expression: Expression) -> Stage:
    """The stage that gives each record its External ID."""

    def transform(records: list[Record]) -> list[Record]:
        for record, value in zip(records, expression.values(records), strict=True):
            record.external_id = value if value is None or type(value) is str else str(value)
        return records

    return Stage("external_id", transform)


def step_stage(name: str, step: Step, on_error: ErrorPolicy, run: FlowRun) -> Stage:
    """The stage of a step of the spec, with the policy of a flow for steps that have none."""
    transform, policy = step.build(), step.on_error or on_error
    if isinstance(transform, Asker):
        transform = Asking(transform, name, run, waits=not isinstance(policy, RetryPolicy))
    return Stage(name, transform, policy, step.batched)


class FusedSteps:
    """A mapper for `flat_map_batch`: records in, the records that go on out.

    A record that fails leaves the flow the way its step's `on_error` says, and its neighbours go on. When the call
    returns, what becomes of it is settled.
    """

    def __init__(self, stages: Sequence[Stage], run: FlowRun, passing: Passing | None = None) -> None:
        """Fuse stages.

        Args:
            stages: What happens to records, in order.
            run: The run of the flow.
            passing: Tells the records that it happens to, in a flow that remembers.
        """
        self._stages = stages
        self._run = run
        self._passing = passing

    def __call__(self, records: list[Record]) -> list[Record]:
        """Run one batch through all stages."""
        with self._run.guard("steps"):
            past: list[Record] = []
            if self._passing is not None:
                records, past = self._passing.sorted(records)
            for stage in self._stages:
                if not records:
                    break
                records = self._apply(stage, records)
            return [*records, *past] if past else records

    def _apply(self, stage: Stage, records: list[Record]) -> list[Record]:
        if isinstance(stage.transform, Asking):
            return self._asked(stage, stage.transform, records)
        if stage.batched:
            try:
                kept = stage.transform(records)
            except Exception:  # noqa: BLE001 - whatever it is, it is a record's: the next line finds which
                return self._one_by_one(stage, records)
            self._count(stage, len(kept), len(records) - len(kept))
            if len(kept) < len(records):
                self._note_filtered(stage, records, kept)
            return kept
        return self._one_by_one(stage, records)

    def _one_by_one(self, stage: Stage, records: list[Record]) -> list[Record]:
        kept: list[Record] = []
        failed: list[DeadLetter] = []
        filtered: list[Record] = []
        for record in records:
            tried = time.time()
            try:
                results = stage.transform([record])
            except Exception as error:  # noqa: BLE001 - a user's function may raise anything
                letter = DeadLetter(record, stage.name, error, attempts=1, first_try=tried)
                if stage.on_error == "stop" or isinstance(error, FatalError):
                    self._run.stop_for(letter)
                failed.append(letter)
                continue
            if not results:
                filtered.append(record)
            kept += results if len(results) <= 1 else _parts(record, results)
        self._count(stage, len(kept), len(filtered))
        self._note_filtered(stage, filtered, ())
        self._run.failures.settle(failed, stage.on_error)
        return kept

    def _asked(self, stage: Stage, asking: Asking, records: list[Record]) -> list[Record]:
        tried = time.time()
        kept, failed = asking.settled(records)
        letters = [DeadLetter(record, stage.name, error, attempts=1, first_try=tried) for record, error in failed]
        for letter in letters:
            if stage.on_error == "stop" or isinstance(letter.error, FatalError):
                self._run.stop_for(letter)
        self._count(stage, len(kept), len(records) - len(kept) - len(failed))
        if len(kept) + len(failed) < len(records):
            self._note_filtered(stage, records, [*kept, *(record for record, _ in failed)])
        self._run.failures.settle(letters, stage.on_error)
        return kept

    def _note_filtered(self, stage: Stage, records: Sequence[Record], kept: Sequence[Record]) -> None:
        journal = self._run.journal
        if journal is not None and journal.keeps_all:
            stay = set(map(id, kept))
            journal.filtered([record for record in records if id(record) not in stay], stage.name)

    def _count(self, stage: Stage, passed: int, filtered: int) -> None:
        if not stage.counts:
            return
        counts = self._run.tally.places[stage.name]
        counts.passed += passed
        counts.filtered += filtered
        self._run.tally.filtered += filtered


def _parts(record: Record, results: list[Record]) -> list[Record]:
    """The records that were made of one, numbered; of one that failed before only the part that failed."""
    trace = record.trace or Trace()
    for number, result in enumerate(results):
        result.trace = replace(trace, part=(*trace.part, number))
    if trace.letter is None:
        return results
    part = trace.letter.part
    return [result for result in results if _overlap(result.trace, part)]


def _overlap(trace: Trace | None, part: tuple[int, ...]) -> bool:
    # A flow that was changed meanwhile may take apart less, or more.
    return trace is None or all(one == other for one, other in zip(trace.part, part, strict=False))
