from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from flowspec.loading import SpecError, loads
from flowspec.spec import FlowSpec
from flowspec.steps.mask import Mask
from tests.flowspec.steps.run import fail, run

KEY = "correct horse battery staple"


def loaded(written: Any, **environ: str) -> FlowSpec:
    """A flow with one step."""
    spec = {
        "name": "x",
        "trigger": {"connector": "schedule", "interval": "1h"},
        "steps": [{"mask": written}],
        "sink": {"connector": "stdout"},
    }
    return loads(json.dumps(spec), environ=environ)


def mask(*fields: str, **masking: Any) -> Mask:
    return Mask.model_validate({"mask": {"fields": list(fields), **masking}})


def hashed(value: Any, key: str = KEY) -> Any:
    return run(mask("a", how="hash", key=key), {"a": value})[0]["a"]


def test_a_list_of_fields_is_redacted() -> None:
    step = Mask.model_validate({"mask": ["customer.email", "card", "n"]})
    body = {"id": 1, "card": "4111", "n": 5, "customer": {"email": "bo@example.com", "name": "Bo"}}
    assert run(step, body) == [{"id": 1, "card": "***", "n": "***", "customer": {"email": "***", "name": "Bo"}}]
    assert list(run(step, body)[0]) == ["id", "card", "n", "customer"]


def test_what_is_not_there_is_fine() -> None:
    step = mask("a.b", "c")
    bodies = [{}, {"a": 5}, {"a": {}}, {"a": None}, "text", None, 5]
    assert run(step, *bodies) == bodies


@pytest.mark.parametrize("how", ["redact", "last4", "hash"])
def test_null_stays_null(how: str) -> None:
    key = {"key": KEY} if how == "hash" else {}
    assert run(mask("a", "b", how=how, **key), {"a": None, "b": [None, "long enough"]})[0]["a"] is None
    assert run(mask("b", how=how, **key), {"b": [None, "long enough"]})[0]["b"][0] is None


def test_each_item_of_a_list_is_masked() -> None:
    step = mask("lines.sku", "tags", "grid.x")
    body = {"lines": [{"sku": "A", "n": 1}, {"n": 2}, "odd"], "tags": ["x", "y"], "grid": [[{"x": 1}], []]}
    assert run(step, body) == [
        {"lines": [{"sku": "***", "n": 1}, {"n": 2}, "odd"], "tags": ["***", "***"], "grid": [[{"x": "***"}], []]}
    ]
    assert run(mask("sku"), [{"sku": "A"}], ({"sku": "B"},)) == [[{"sku": "***"}], [{"sku": "***"}]]


def test_an_object_is_masked_as_a_whole() -> None:
    assert run(mask("a"), {"a": {"b": 1}}) == [{"a": "***"}]
    assert run(mask("a", how="last4"), {"a": {"b": "long enough"}}) == [{"a": "***"}]
    assert run(mask("a", "a.b"), {"a": {"b": 1, "c": 2}}) == [{"a": "***"}]
    assert run(mask("a.b"), OrderedDict(a={"b": 1})) == [{"a": {"b": "***"}}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4111111111111234", "**** 1234"),
        (4111111111111234, "**** 1234"),
        ("12345678", "**** 5678"),
        ("1234567", "***"),
        ("", "***"),
        (1234567, "***"),
        (1234567.25, "***"),
        (True, "***"),
    ],
)
def test_last4(value: Any, shown: str) -> None:
    assert run(mask("a", how="last4"), {"a": value}) == [{"a": shown}]


def test_a_hash_is_keyed_blake2b() -> None:
    assert hashed("bo@example.com") == blake2b(b"bo@example.com", digest_size=16, key=KEY.encode()).hexdigest()
    assert len(hashed("")) == 32
    assert hashed("bo@example.com", "another key of 16") != hashed("bo@example.com")


def test_the_same_value_has_the_same_hash() -> None:
    same: list[list[Any]] = [
        [5, "5"], [True, "true"], [1.5, "1.5", Decimal("1.5")], [10**30, "1" + "0" * 30], ["é", "é".encode()],
        [UUID(int=1), "00000000-0000-0000-0000-000000000001"], [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
    ]  # fmt: skip
    hashes = [{hashed(value) for value in values} for values in same]
    assert [len(each) for each in hashes] == [1] * len(same)
    assert len(set.union(*hashes)) == len(same)
    assert hashed("\ud800") != hashed("\ud801")


def test_a_key_of_any_length() -> None:
    keys = ["k" * length for length in (16, 64, 65, 1000)]
    assert len({hashed("x", key) for key in keys}) == len(keys)


def test_what_cannot_be_hashed() -> None:
    error = fail(mask("a", how="hash", key=KEY), {"a": "fine"}, {"a": {"secret": 10**30}})
    assert error == "a field cannot be hashed: Integer exceeds 64-bit range"


def test_the_key_is_not_shown() -> None:
    step = mask("a", how="hash", key=KEY)
    assert KEY not in repr(step)
    assert KEY not in step.model_dump_json(by_alias=True)
    written = {"fields": ["a"], "how": "hash", "key": "${MASK_KEY}"}
    assert KEY not in str(loaded(written, MASK_KEY=KEY).to_spec())
    for short in ("s3cret", "key"):
        with pytest.raises(SpecError, match=r"mask\.key: the key has fewer than 16 bytes") as error:
            loaded(written, MASK_KEY=short)
        assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("written", [["a", "b.c"], {"fields": ["a"], "how": "last4"}])
def test_exported_as_written(written: Any) -> None:
    step = Mask.model_validate({"mask": written})
    assert step.model_dump(by_alias=True, exclude_defaults=True)["mask"] == written
    assert Mask.model_validate(step.model_dump(by_alias=True)) == step
    assert pickle.loads(pickle.dumps(step)) == step


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ([], "steps[0].mask: must have 1 or more items"),
        (["a..b"], "steps[0].mask[0]: does not match the pattern"),
        ("a", "steps[0].mask: expected a list of fields, or an object like"),
        ({}, "steps[0].mask: 'fields' is missing"),
        ({"fields": []}, "steps[0].mask.fields: must have 1 or more items"),
        ({"fields": ["a"], "how": "last3"}, "steps[0].mask.how: expected 'redact', 'hash' or 'last4'"),
        ({"fields": ["a"], "how": "hash"}, "steps[0].mask: 'hash' needs a key from the environment"),
        ({"fields": ["a"], "key": KEY}, "steps[0].mask.key: 'redact' has no key"),
        ({"fields": ["a"], "how": "hash", "kee": KEY}, "steps[0].mask.kee: unknown key 'kee'; did you mean 'key'?"),
    ],
)
def test_mistakes(written: Any, problem: str) -> None:
    with pytest.raises(SpecError) as error:
        loaded(written)
    assert f"<spec>:1: {problem}" in str(error.value)
    assert str(error.value).endswith("\n1 problem found")
    assert KEY not in str(error.value)


def test_from_python() -> None:
    with pytest.raises(ValidationError):
        Mask.model_validate({"mask": None})
    step = mask("a")
    assert Mask.model_validate({"mask": step.mask}) == step
