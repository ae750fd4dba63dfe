from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from flowspec.errors import RecordError
from flowspec.records import Record
from flowspec.steps.base import Step


def run(step: Step, *bodies: Any) -> list[Any]:
    """The bodies that go on; the given ones must not have been changed, the origin must be kept."""
    before = copy.deepcopy(bodies)
    records = [Record(raw=str(index), body=body, meta={"n": index}) for index, body in enumerate(bodies)]
    made = step.build()(records)
    assert list(bodies) == list(before)
    assert all(record.meta == {"n": int(record.raw)} for record in made)
    return [record.body for record in made]


def fail(step: Step, *bodies: Any) -> str:
    """The error of a batch with a bad record; no record must have been changed."""
    records = [Record(raw="", body=body) for body in bodies]
    before: Sequence[Any] = copy.deepcopy(bodies)
    with pytest.raises(RecordError) as error:
        step.build()(records)
    assert [record.body for record in records] == list(before)
    return str(error.value)
