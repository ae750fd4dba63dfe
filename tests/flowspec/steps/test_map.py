from __future__ import annotations

import pytest
from pydantic import ValidationError

from flowspec.steps.map import Map
from tests.flowspec.steps.run import fail, run


def test_builds_a_new_body() -> None:
    step = Map.model_validate({"map": {"id": "order_id", "cents": "int(total * 100)", "version": 2}})
    assert run(step, {"order_id": 7, "total": 1.5, "x": 1}) == [{"id": 7, "cents": 150, "version": 2}]


def test_a_bad_record_names_the_field() -> None:
    step = Map.model_validate({"map": {"id": "order_id", "cents": "total * 100"}})
    assert fail(step, {"order_id": 7, "total": 1}, {"order_id": 8}) == "cents: missing field 'total'"


def test_a_bad_expression_is_an_error_of_its_field() -> None:
    with pytest.raises(ValidationError) as error:
        Map.model_validate({"map": {"id": "order_id", "cents": "itn(total)"}})
    assert [line["loc"] for line in error.value.errors()] == [("map", "cents")]
    with pytest.raises(ValidationError, match="at least 1"):
        Map.model_validate({"map": {}})
