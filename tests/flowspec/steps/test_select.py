from __future__ import annotations

import pytest
from pydantic import ValidationError

from flowspec.steps.select import Select
from tests.flowspec.steps.run import fail, run

BODY = {"id": 1, "customer": {"name": "Bo", "email": "b", "address": {"zip": 1, "city": "X"}}, "x": 2}


def test_keeps_the_structure_and_the_order() -> None:
    step = Select.model_validate({"select": ["customer.address.zip", "id", "customer.name"]})
    assert [list(body) for body in run(step, BODY)] == [["customer", "id"]]
    assert run(step, BODY) == [{"customer": {"address": {"zip": 1}, "name": "Bo"}, "id": 1}]


def test_a_whole_field_wins_over_a_part() -> None:
    assert run(Select.model_validate({"select": ["customer", "customer.name"]}), BODY) == [
        {"customer": BODY["customer"]}
    ]
    assert run(Select.model_validate({"select": ["customer.name", "customer"]}), BODY) == [
        {"customer": BODY["customer"]}
    ]


def test_a_missing_field_is_an_error() -> None:
    step = Select.model_validate({"select": ["customer.emial"]})
    assert fail(step, BODY) == "missing field 'customer.emial'; did you mean 'email'?"
    assert fail(step, {"customer": None}) == ("field 'customer' is not an object but null, so it has no field 'emial'")
    assert fail(step, 5).startswith("the body is not an object but number 5")


@pytest.mark.parametrize("paths", [[], ["a..b"], [""], [".a"], ["a."]])
def test_bad_paths(paths: list[str]) -> None:
    with pytest.raises(ValidationError):
        Select.model_validate({"select": paths})
