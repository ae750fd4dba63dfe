from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowspec.loading.document import Place
from flowspec.loading.json_text import parse_json
from flowspec.loading.problems import SpecError

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=values, indent=st.sampled_from([None, 2, "\t"]), ascii_only=st.booleans())
def test_values_are_those_of_the_json_module(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    document = parse_json(text, "x")
    assert document.value == json.loads(text)
    assert document.problems == ()


def test_keys_and_values_have_places() -> None:
    document = parse_json('{\n\t"a": 1, "ä, {\\"":\n  [true,\r\n   {"c": "x\\ny"}]\n}', "x")
    name = 'ä, {"'
    assert document.value == {"a": 1, name: [True, {"c": "x\ny"}]}
    assert dict(document.keys) == {("a",): Place(2, 2), (name,): Place(2, 10), (name, 1, "c"): Place(4, 5)}
    assert document.values[()] == (1, 1)
    assert document.values[("a",)] == (2, 7)
    assert document.values[(name, 1)] == (4, 4)
    assert document.values[(name, 1, "c")] == (4, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n  "a": 1\n  "b": 2}', "x:3: not valid JSON: Expecting ',' delimiter"),
        ("{'a': 1}", "x:1: not valid JSON: .*; write texts in double quotes"),
        ('{"a": 1,\n}', "x:[12]: not valid JSON: .*; remove the comma"),
        ('{"a": [1,]}', "x:1: not valid JSON: .*; remove the comma"),
        ('{"a": 1} // done', "x:1: not valid JSON: .*; JSON has no comments; YAML has"),
        ('{"a": "x', "x:1: not valid JSON: Unterminated string"),
        ("[" * 100_000, "x:1: not usable JSON"),
        ("[" * 60 + "]" * 60, "x:1: more than 50 levels deep"),
        ("9" * 5000, "x:1: not usable JSON: Exceeds the limit"),
    ],
)
def test_what_is_not_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_json(text, "x")


def test_repeated_keys_and_strange_numbers_are_problems() -> None:
    document = parse_json('{"a": {"x": 1},\n "a": NaN,\n "b": -Infinity}', "x")
    assert [str(problem) for problem in document.problems] == [
        "x:2: a: the key is there twice, first in line 1; remove one of them",
        "x:2: a: NaN is not a number of JSON",
        "x:3: b: -Infinity is not a number of JSON",
    ]
