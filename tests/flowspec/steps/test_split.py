from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.records import Record
from flowspec.steps.split import Split
from tests.flowspec.steps.run import fail, run


def test_one_record_per_item() -> None:
    step = Split.model_validate({"split": "items"})
    assert run(step, {"items": [1, 2]}, {"items": []}, {"items": [{"a": 3}]}) == [1, 2, {"a": 3}]


def test_the_item_as_a_field() -> None:
    step = Split.model_validate({"split": {"list": "lines", "as": "line"}})
    body = {"id": 1, "lines": [1, 2]}
    assert run(step, body) == [{**body, "line": 1}, {**body, "line": 2}]
    assert fail(Split.model_validate({"split": {"list": "body", "as": "x"}}), [1]) == (
        "the body is not an object but list [1], so it has no room for the item; leave 'as' out"
    )


def test_what_is_no_list() -> None:
    step = Split.model_validate({"split": "items"})
    assert fail(step, {"items": [1]}, {"items": "ab"}) == "a record is split by a list, not by text 'ab'"
    assert fail(step, {}) == "missing field 'items'"


def test_the_origin_is_kept() -> None:
    record = Record(b"raw", {"items": [1]}, {"id": 1}, "key", {"h": 1}, "external")
    (made,) = Split.model_validate({"split": "items"}).build()([record])
    assert made == Record(b"raw", 1, {"id": 1}, "key", {"h": 1}, "external")


@pytest.mark.parametrize("written", ["items", {"list": "items", "as": "item"}])
def test_exported_as_written(written: Any) -> None:
    step = Split.model_validate({"split": written})
    assert step.model_dump(by_alias=True)["split"] == written
    assert Split.model_validate(step.model_dump(by_alias=True)) == step


def test_places_of_mistakes() -> None:
    for spec, place in (("1 +", ("split",)), ({"list": "1 +"}, ("split", "list")), ({}, ("split", "list"))):
        with pytest.raises(ValidationError) as error:
            Split.model_validate({"split": spec})
        assert [line["loc"] for line in error.value.errors()] == [place]


def test_the_schema_knows_both_forms() -> None:
    short, whole = Split.model_json_schema()["$defs"]["Items"]["anyOf"]
    assert short["format"] == "expression"
    assert set(whole["properties"]) == {"list", "as"}
