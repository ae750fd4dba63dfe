"""Sending records the ways that a branching step has for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from flowspec.delivery.steps import FusedSteps, Stage

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun
    from flowspec.parts import StepPart
    from flowspec.policies import ErrorPolicy
    from flowspec.records import Record
    from flowspec.stateful.operator import Passing
    from flowspec.steps.branching import BranchingStep

__all__ = ["Routed", "Router", "taking"]

Routed: TypeAlias = "tuple[int | None, list[Record]]"
"""The number of a branch, or None of the way to the next step, and records that take it."""


class Router:
    """A mapper for `flat_map_batch`: records in, and out each way with the records that take it.

    A record that its step fails on leaves the flow as its `on_error` says. Those that take a branch in which there is
    nothing are done.
    """

    def __init__(self, part: StepPart, run: FlowRun, on_error: ErrorPolicy, passing: Passing | None = None) -> None:
        """Make the router of a branching step.

        Args:
            part: The step, with its branches.
            run: The run of the flow.
            on_error: What happens to records that the step fails on.
            passing: Tells the records that it is asked about, in a flow that remembers.
        """
        step = cast("BranchingStep", part.step)
        self._choose = step.choosing()
        self._choosing = FusedSteps([Stage(part.id, self._sent, on_error)], run)
        self._passing = passing
        self._is_closed = step.is_closed
        self._empty = {number for number, placed in enumerate(step.branches()) if placed.branch.is_empty}
        self._home = {name: number for number, branch in enumerate(part.branches) for name in branch.ids()}
        """The branch in which each of the steps is that belong to one."""
        self._routed: dict[int | None, list[Record]] = {}

    def __call__(self, records: list[Record]) -> list[Routed]:
        """Route one batch."""
        self._routed = {}
        if self._passing is not None:
            records, past = self._passing.sorted(records)
            records = [*records, *(record for record in past if not self._is_sent_home(record))]
        if records:
            self._choosing(records)
        return list(self._routed.items())

    def _sent(self, records: list[Record]) -> list[Record]:
        """Send records where they belong; answers those that are not done by that."""
        kept: list[Record] = []
        for number, record in zip(self._choose(records), records, strict=True):
            if number not in self._empty:
                self._routed.setdefault(number, []).append(record)
                kept.append(record)
        return kept

    def _is_sent_home(self, record: Record) -> bool:
        """Send a record on that goes on behind a later step: to where that is."""
        trace = record.trace
        number = None if trace is None else self._home.get(trace.side or trace.after)
        if number is None and self._is_closed:
            # The step is gone that it was to go on behind.
            return False
        self._routed.setdefault(number, []).append(record)
        return True


def taking(way: int | None) -> Callable[[Sequence[Routed]], list[Record]]:
    """The mapper for `flat_map_batch` that goes on with the records of one way."""

    def take(routed: Sequence[Routed]) -> list[Record]:
        return [record for number, records in routed if number == way for record in records]

    return take
