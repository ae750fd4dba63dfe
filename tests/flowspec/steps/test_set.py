from __future__ import annotations

from flowspec.steps.set import Set
from tests.flowspec.steps.run import fail, run


def test_adds_and_replaces() -> None:
    step = Set.model_validate({"set": {"a": "a + 1", "b": "a", "c": None}})
    assert run(step, {"a": 1, "z": 0}) == [{"a": 2, "z": 0, "b": 1, "c": None}]


def test_a_body_must_be_an_object() -> None:
    step = Set.model_validate({"set": {"a": 1}})
    assert fail(step, {}, [1]) == "the body is not an object but list [1], so no field can be set"


def test_exported_as_written() -> None:
    spec = {"set": {"version": 2, "on": True, "name": "customer.name"}}
    assert Set.model_validate(spec).model_dump(exclude_defaults=True) == spec
