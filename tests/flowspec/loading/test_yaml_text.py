from __future__ import annotations

import re
from typing import Any

import pytest

from flowspec.loading.problems import SpecError
from flowspec.loading.yaml_text import parse_yaml

TEXT = """\
# a flow
name: orders   # the name
on: no
since: 2024-01-01
numbers: [1, 1.5, 0x10, 0o17, "5", -3, 1e3]
empty:
yes: true
text: |
  two
  lines
steps:
  - filter: total > 5
  - &map
    map: {a: b}
  - *map
"""


def test_values_are_those_of_yaml_1_2() -> None:
    document = parse_yaml(TEXT, "x")
    assert document.value == {
        "name": "orders",
        "on": "no",
        "since": "2024-01-01",
        "numbers": [1, 1.5, 16, 15, "5", -3, 1000.0],
        "empty": None,
        "yes": True,
        "text": "two\nlines\n",
        "steps": [{"filter": "total > 5"}, {"map": {"a": "b"}}, {"map": {"a": "b"}}],
    }
    assert document.problems == ()


def test_keys_and_values_have_places() -> None:
    document = parse_yaml(TEXT, "x")
    assert document.keys[("name",)] == (2, 1)
    assert document.values[("name",)] == (2, 7)
    assert document.keys[("steps", 0, "filter")] == (12, 5)
    assert document.values[("steps", 1, "map", "a")] == (14, 14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3", "x:2: not valid YAML: "),
        ("a: 1\n\tb: 2", "x:2: not valid YAML: .*tab|x:2: not valid YAML: "),
        ("a: 1\n---\nb: 2", "x:2: not valid YAML: expected a single document"),
        ("a: *b", "x:1: not valid YAML: found undefined alias"),
        ("a: &a [*a]", "x:1: more than 50 levels deep"),
        ("a: \x01", "x:1: not valid YAML: "),
        ("- " * 60 + "x", "x:1: more than 50 levels deep"),
    ],
)
def test_what_is_not_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_yaml(text, "x")


def test_a_small_text_does_not_become_a_huge_document() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SpecError, match="more than 100,000 values"):
        parse_yaml("\n".join(lines), "x")


@pytest.mark.parametrize(
    ("text", "problem", "value"),
    [
        ("a: 1\na: 2", "x:2: a: the key is there twice, first in line 1; remove one of them", {"a": 2}),
        ("1: x", "x:1: a key is a text, 1 is not; put it in quotes", {}),
        ("[a]: x", "x:1: a key is a text, lists and objects are not; put it in quotes", {}),
        ("a: !python/object:os.system x", "x:1: a: the type '.*' is not known; write a text, number", {"a": None}),
        ("a: !!int x", "x:1: a: not a whole number; put a text in quotes", {"a": 0}),
    ],
)
def test_what_json_has_not_is_a_problem(text: str, problem: str, value: Any) -> None:
    document = parse_yaml(text, "x")
    assert document.value == value
    (found,) = document.problems
    assert re.match(problem, str(found))


def test_an_empty_document_is_nothing() -> None:
    assert parse_yaml("# nothing\n", "x").value is None
