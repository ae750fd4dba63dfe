from __future__ import annotations

import json
import pickle
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flowspec.errors import MissingDependencyError, RecordError
from flowspec.loading import SpecError, loads
from flowspec.records import Record
from flowspec.steps.validate import Validate
from tests.flowspec.steps.run import fail, run

ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "total": {"type": "number", "minimum": 0},
        "customer": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}},
        "lines": {"type": "array", "items": {"required": ["sku"], "properties": {"sku": {"pattern": "^[A-Z]+$"}}}},
    },
}
OTHER = ", and no other option of 'anyOf' fits"
NO_DRAFT = "is no draft of JSON Schema that is known; the newest is 'https://json-schema.org/draft/2020-12/schema'"
NOT_FETCHED = "is another document, and none is fetched; put it under '$defs'"
DRAFTS = {
    "http://json-schema.org/draft-04/schema#": ("exclusiveMinimum", True),
    "http://json-schema.org/draft-06/schema#": ("exclusiveMinimum", 1),
    "http://json-schema.org/draft-07/schema#": ("exclusiveMinimum", 1),
    "https://json-schema.org/draft/2019-09/schema": ("exclusiveMinimum", 1),
    "https://json-schema.org/draft/2020-12/schema": ("exclusiveMinimum", 1),
}


def validate(schema: dict[str, Any]) -> Validate:
    return Validate.model_validate({"validate": {"schema": schema}})


def refused(rules: Any) -> str:
    """The problems of a spec with these rules."""
    spec = {
        "name": "x",
        "trigger": {"connector": "schedule", "interval": "1h"},
        "steps": [{"validate": rules}],
        "sink": {"connector": "stdout"},
    }
    with pytest.raises(SpecError) as error:
        loads(json.dumps(spec))
    lines = str(error.value).splitlines()
    assert all(line.startswith("<spec>:1: steps[0].validate") for line in lines[:-1])
    return "\n".join(line.removeprefix("<spec>:1: steps[0].validate") for line in lines[:-1])


def test_what_fits_goes_on_as_it_is() -> None:
    body = {"id": 1, "total": 9.5, "customer": {"email": "bo@example.com"}, "lines": [{"sku": "A"}], "more": None}
    records = [Record(raw="", body=body), Record(raw="", body={"id": 2})]
    assert validate(ORDER).build()(records) == records
    assert records[0].body is body


def test_the_first_record_that_does_not_fit() -> None:
    assert fail(validate(ORDER), {"id": 1}, {"id": "1"}, {}) == "id: text '1' is not of type \"integer\""


def test_all_failures_with_their_places() -> None:
    body = {"total": -1, "customer": {"email": "x"}, "lines": [{"sku": "A"}, {"sku": "b c"}, {}]}
    assert sorted(fail(validate(ORDER), body).split("; ")) == [
        'body: "id" is a required property',
        "customer.email: text 'x' is not a \"email\"",
        "lines[1].sku: text 'b c' does not match \"^[A-Z]+$\"",
        'lines[2]: "sku" is a required property',
        "total: number -1 is less than the minimum of 0",
    ]
    assert fail(validate(ORDER), [1]) == 'body: list [1] is not of type "object"'
    assert fail(validate(ORDER), None) == 'body: null is not of type "object"'


def test_five_failures_are_named() -> None:
    step = validate({"items": {"type": "integer"}})
    error = fail(step, list("abcdef"))
    assert error.count("is not of type") == 5
    assert error.endswith("[4]: text 'e' is not of type \"integer\"; and more")
    assert not fail(step, list("abcde")).endswith("more")


def test_long_values_are_not_quoted() -> None:
    schema = {
        "properties": {"a": {"type": "integer"}, "o": {"type": "integer"}},
        "propertyNames": {"maxLength": 2},
        "additionalProperties": {"const": "y" * 1000},
    }
    errors = fail(validate(schema), {"a": "x" * 1000, "o": {"k": "x" * 1000}, "n" * 1000: "x" * 1000}).split("; ")
    assert len(errors) == 4
    assert all(len(error) < 320 for error in errors)
    assert all("x" * 61 not in error for error in errors)


def test_the_option_that_fits_best() -> None:
    card = {"type": "object", "properties": {"by": {"const": "card"}, "number": {"type": "string"}}}
    transfer = {"type": "object", "properties": {"by": {"const": "transfer"}, "iban": {"minLength": 15}}}
    for keyword in ("anyOf", "oneOf"):
        step = validate({"properties": {"payment": {keyword: [{"type": "null"}, card, transfer]}}})
        assert run(step, {"payment": None}, {"payment": {"by": "card", "number": "1"}})
        assert fail(step, {"payment": {"by": "transfer", "iban": "DE"}}) == (
            f"payment.iban: text 'DE' is shorter than 15 characters, and no other option of '{keyword}' fits"
        )
        assert fail(step, {"payment": 5}).startswith("payment: number 5 is not of type")
    both = validate({"oneOf": [{"minimum": 1}, {"minimum": 2}]})
    assert fail(both, 2) == "body: number 2 is valid under more than one of the schemas listed in the 'oneOf' keyword"


@pytest.mark.parametrize("draft", DRAFTS)
def test_drafts(draft: str) -> None:
    keyword, value = DRAFTS[draft]
    step = validate({"$schema": draft, "minimum": 1, keyword: value})
    assert run(step, 2) == [2]
    assert fail(step, 1) == "body: number 1 is less than or equal to the minimum of 1"
    wrong = not value if isinstance(value, int) and not isinstance(value, bool) else 1
    assert ".exclusiveMinimum: " in refused({"schema": {"$schema": draft, "minimum": 1, keyword: wrong}})


def test_references_within_the_schema() -> None:
    schema = {"$defs": {"email": {"format": "email"}}, "additionalProperties": {"$ref": "#/$defs/email"}}
    assert fail(validate(schema), {"a": "bo@example.com", "b": "bo"}) == "b: text 'bo' is not a \"email\""
    embedded = {"$defs": {"e": {"$id": "https://example.com/e", "type": "null"}}, "$ref": "https://example.com/e"}
    assert run(validate(embedded), None) == [None]


def test_values_of_types_that_json_does_not_have() -> None:
    text, number = {"type": "string"}, {"type": "number"}
    schema = {
        "properties": {
            "at": {"type": "string", "format": "date-time"}, "day": {"format": "date"}, "id": {"format": "uuid"},
            "price": number, "data": text, "tags": {"items": text}, "big": {"type": "integer"},
        }
    }  # fmt: skip
    body = {
        "at": datetime(2026, 1, 2, tzinfo=timezone.utc), "day": date(2026, 1, 2), "id": UUID(int=1),
        "price": Decimal("1.50"), "data": b"text", "tags": ("a", "b"), "big": 10**30,
    }  # fmt: skip
    assert run(validate(schema), body) == [body]
    assert fail(validate({"properties": {"at": number}}), {"at": body["at"]}) == (
        "at: text '2026-01-02T00:00:00+00:00' is not of type \"number\""
    )
    assert "price: " in fail(validate({"properties": {"day": text, "price": text}}), body)


def test_what_is_no_json_at_all() -> None:
    step = validate({"properties": {"a": {"type": "string"}}})
    assert "not UTF-8" in fail(step, {"a": b"\xff"})
    assert fail(step, {"a": {1: 2}}).startswith("the body cannot be written as JSON: ")
    assert fail(validate({"pattern": "a"}), "\ud800").startswith("the body cannot be written as JSON: ")


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    assert fail(validate({"pattern": "^(a|a)+(?!b)$"}), "a" * 60 + "!").startswith("body: ")


def test_a_schema_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "order.schema.json").write_text(json.dumps(ORDER))
    step = Validate.model_validate({"validate": {"file": "order.schema.json"}})
    assert step.model_dump(by_alias=True, exclude_defaults=True) == {"validate": {"file": "order.schema.json"}}
    copied = pickle.loads(pickle.dumps(step))
    assert copied == step
    (tmp_path / "order.schema.json").unlink()
    for each in (step, copied):
        assert run(each, {"id": 1}) == [{"id": 1}]
        assert fail(each, {}) == 'body: "id" is a required property'


def test_files_that_are_no_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused({"file": "none.json"}) == (
        f": there is no file none.json; make it, or correct the path, which begins at {tmp_path}"
    )
    assert refused({"file": str(tmp_path)}).startswith(f": the file {tmp_path} cannot be read: ")
    Path("a.json").write_text('{\n  "type": }')
    assert refused({"file": "a.json"}).startswith(": a.json:2: this is not JSON: ")
    Path("a.json").write_text("[1]")
    assert refused({"file": "a.json"}) == ": a.json is not a JSON Schema but list [1]"
    Path("a.json").write_text('{"type": 1, "properties": {"a": {"minimum": "x"}}}')
    assert refused({"file": "a.json"}).startswith(
        ": a.json is not a JSON Schema: properties.a.minimum: text 'x' is not of type \"number\"; type: number 1 is not"
    )


def test_all_mistakes_of_a_schema_with_their_places() -> None:
    schema = {"required": "id", "properties": {"a": {"type": "strin"}, "b": {"items": {"pattern": "("}}}}
    assert refused({"schema": schema}).splitlines() == [
        ".schema.required: text 'id' is not of type \"array\"",
        '.schema.properties.a.type: text \'strin\' is not one of "array", "boolean" or 5 other candidates' + OTHER,
        ".schema.properties.b.items.pattern: text '(' is not a \"regex\"",
    ]


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (
            {"properties": {"a": {"$ref": "http://127.0.0.1:9/a.json#/b"}}},
            f".schema.properties.a.$ref: 'http://127.0.0.1:9/a.json#/b' {NOT_FETCHED}",
        ),
        ({"$ref": "b.json"}, f".schema.$ref: 'b.json' {NOT_FETCHED}"),
        ({"items": {"$ref": "#/$defs/x"}}, ".schema.items.$ref: the schema has no '#/$defs/x'"),
        ({"items": {"$ref": "#x"}}, ".schema.items.$ref: the schema has no '#x'"),
        ({"$schema": "http://127.0.0.1:9/draft"}, f".schema.$schema: text 'http://127.0.0.1:9/draft' {NO_DRAFT}"),
        ({"$schema": 5}, f".schema.$schema: number 5 {NO_DRAFT}"),
    ],
)
def test_references_that_lead_nowhere(schema: dict[str, Any], problem: str) -> None:
    assert refused({"schema": schema}) == problem


def test_a_local_file_is_not_read_by_reference(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert "none is fetched" in refused({"schema": {"$ref": (tmp_path / "a.json").as_uri()}})


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({}, ": write either 'schema', with the JSON Schema itself, or 'file'"),
        ({"schema": {}, "file": "a.json"}, ": write either 'schema', with the JSON Schema itself, or 'file'"),
        ({"schema": []}, ".schema: expected an object, found a list"),
        ({"file": ""}, ".file: must have 1 or more characters, found the text ''"),
        ({"shema": {}}, ".shema: unknown key 'shema'; did you mean 'schema'?"),
        ("order.json", ": expected an object, found the text 'order.json'"),
    ],
)
def test_mistakes(rules: Any, problem: str) -> None:
    assert refused(rules) == problem


def test_exported_as_written() -> None:
    step = validate(ORDER)
    written = step.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert written == {"validate": {"schema": ORDER}}
    assert Validate.model_validate(written) == step


def test_the_package_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'trigger-flows\[validate\]'"):
        validate({})


def test_a_batch_fails_with_a_record_error_only() -> None:
    transform = validate(ORDER).build()
    with pytest.raises(RecordError):
        transform([Record(raw="", body={"id": 1}), Record(raw="", body=object())])
