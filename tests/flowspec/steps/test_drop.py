from __future__ import annotations

from flowspec.steps.drop import Drop
from tests.flowspec.steps.run import run


def test_removes_fields() -> None:
    step = Drop.model_validate({"drop": ["password", "customer.phone", "customer.address.zip", "nothing.here"]})
    body = {"id": 1, "password": "p", "customer": {"phone": 1, "name": "Bo", "address": {"zip": 1}}}
    assert run(step, body) == [{"id": 1, "customer": {"name": "Bo", "address": {}}}]


def test_what_is_not_there_is_fine() -> None:
    step = Drop.model_validate({"drop": ["a.b", "c"]})
    assert run(step, {}, {"a": 5}, [1], None) == [{}, {"a": 5}, [1], None]


def test_a_whole_field_wins_over_a_part() -> None:
    assert run(Drop.model_validate({"drop": ["a.b", "a"]}), {"a": {"b": 1, "c": 2}}) == [{}]
