from __future__ import annotations

import pytest
from pydantic import ValidationError

from flowspec.steps.rename import Rename
from tests.flowspec.steps.run import fail, run


def test_renames() -> None:
    step = Rename.model_validate({"rename": {"id": "order_id", "customer.mail": "customer.email"}})
    body = {"id": 1, "customer": {"mail": "m", "name": "Bo"}}
    assert run(step, body) == [{"order_id": 1, "customer": {"email": "m", "name": "Bo"}}]


def test_moves_between_levels() -> None:
    step = Rename.model_validate({"rename": {"customer.mail": "mail", "id": "order.id", "no": "order.no"}})
    body = {"id": 1, "no": 2, "customer": {"mail": "m"}}
    assert run(step, body) == [{"customer": {}, "mail": "m", "order": {"id": 1, "no": 2}}]


def test_two_fields_can_change_places() -> None:
    step = Rename.model_validate({"rename": {"a": "b", "b": "a"}})
    assert run(step, {"a": 1, "b": 2}) == [{"b": 1, "a": 2}]


def test_bad_records() -> None:
    step = Rename.model_validate({"rename": {"id": "order.id"}})
    assert fail(step, {"id": 1}, {"idd": 1}) == "missing field 'id'; did you mean 'idd'?"
    assert fail(step, {"id": 1, "order": {"id": 2}}) == "there is a field 'id' already"
    assert fail(step, {"id": 1, "order": "x"}) == "field 'id' cannot be put into text 'x'"
    assert fail(step, "x").startswith("the body is not an object but text 'x'")


def test_two_fields_cannot_become_one() -> None:
    with pytest.raises(ValidationError, match="two fields cannot both become 'c'"):
        Rename.model_validate({"rename": {"a": "c", "b": "c"}})
