"""The two sides of a join: whose records are whose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from flowspec.delivery.steps import Stage
from flowspec.records import Trace

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["of_side", "side_stage"]


def of_side(side: str) -> Callable[[list[Record]], list[Record]]:
    """A mapper for `flat_map_batch` that keeps the records of a side: the id of a join, or empty for the flow's own."""
    return lambda records: [record for record in records if _side_of(record) == side]


def _side_of(record: Record) -> str:
    return "" if record.trace is None else record.trace.side


def side_stage(name: str) -> Stage:
    """The stage that says of records whose they are."""

    def transform(records: list[Record]) -> list[Record]:
        for record in records:
            record.trace = replace(record.trace or Trace(), side=name)
        return records

    return Stage(name, transform, counts=False)
