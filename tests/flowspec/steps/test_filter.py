from __future__ import annotations

from flowspec.steps.filter import Filter
from tests.flowspec.steps.run import fail, run


def test_keeps_what_is_true() -> None:
    step = Filter.model_validate({"filter": "total > 2"})
    assert run(step, {"total": 1}, {"total": 3}, {"total": 5}) == [{"total": 3}, {"total": 5}]
    assert run(Filter.model_validate({"filter": "tags"}), {"tags": []}, {"tags": ["a"]}) == [{"tags": ["a"]}]
    assert run(Filter.model_validate({"filter": False}), {}) == []


def test_a_bad_record() -> None:
    assert fail(Filter.model_validate({"filter": "total > 2"}), {"total": 3}, {}) == "missing field 'total'"
