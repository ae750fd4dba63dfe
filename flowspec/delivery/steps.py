"""Consecutive stateless steps, fused into one function over the batch.

Items between Bytewax operators, and a Python call for each item, cost more than most steps do. So a run of steps is
one `flat_map_batch`, and each step works on the whole batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowspec.delivery.backoff import Backoff
from flowspec.delivery.deadletters import DeadLetter
from flowspec.delivery.run import FlowFailure
from flowspec.errors import FatalError, RecordError, TransientError

if TYPE_CHECKING:
    from flowspec.delivery.health import Health
    from flowspec.delivery.run import FlowRun
    from flowspec.expressions import Expression
    from flowspec.formats import Decoder
    from flowspec.records import Record
    from flowspec.steps.base import ErrorPolicy, Step, Transform

__all__ = ["FusedSteps", "Stage", "decode_stage", "external_id_stage", "step_stage", "undecodable_stage"]


@dataclass(frozen=True)
class Stage:
    """One step of a fused run."""

    name: str
    transform: Transform
    on_error: ErrorPolicy = "dead_letter"
    batched: bool = True


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


def step_stage(name: str, step: Step) -> Stage:
    """The stage of a step of the spec."""
    return Stage(name, step.build(), step.on_error, step.batched)


class FusedSteps:
    """A mapper for `flat_map_batch`: records in, the records that go on out.

    A record that fails leaves the flow the way its step's `on_error` says, and its neighbours go on. When the call
    returns, the dead letters among them are buried.
    """

    def __init__(self, stages: Sequence[Stage], run: FlowRun) -> None:
        self._stages = stages
        self._run = run

    def __call__(self, records: list[Record]) -> list[Record]:
        """Run one batch through all stages."""
        with self._run.guard("steps"):
            for stage in self._stages:
                if not records:
                    break
                records = self._apply(stage, records)
            return records

    def _apply(self, stage: Stage, records: list[Record]) -> list[Record]:
        if stage.batched:
            try:
                kept = stage.transform(records)
            except Exception:  # noqa: BLE001 - whatever it is, it is a record's: the next line finds which
                return self._one_by_one(stage, records)
            self._run.tally.filtered += len(records) - len(kept)
            return kept
        return self._one_by_one(stage, records)

    def _one_by_one(self, stage: Stage, records: list[Record]) -> list[Record]:
        kept: list[Record] = []
        failed: list[DeadLetter] = []
        for record in records:
            tried = time.time()
            try:
                results = stage.transform([record])
            except Exception as error:  # noqa: BLE001 - a user's function may raise anything
                self._stop_if_asked(stage, record, error)
                failed.append(DeadLetter(record, stage.name, error, attempts=1, first_try=tried))
                continue
            if not results:
                self._run.tally.filtered += 1
            kept += results
        if stage.on_error == "skip":
            self._run.tally.failed += len(failed)
        else:
            self._run.bury(failed)
        return kept

    def _stop_if_asked(self, stage: Stage, record: Record, error: Exception) -> None:
        if stage.on_error == "stop" or isinstance(error, FatalError):
            self._run.fail(FlowFailure(stage.name, self._run.worker, error, record))
            raise error
