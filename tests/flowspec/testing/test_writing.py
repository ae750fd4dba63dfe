"""What is written into files of tests, and what stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowspec.errors import FlowError
from flowspec.testing import suite
from flowspec.testing.writing import add_test, write_expected
from tests.flowspec.testing.flows import write

TEXT = """\
[
    {"name": "on\\u0065 line", "given": [{"n": 1.10}, 1e3],   "expect": {"sink": [1]}},
    {
        "name": "näme",
        "given": [ 2 ]
    },
    {"name": "last", "expect": {
        "filtered": 3
    }, "given": [3]}
]
"""


def test_only_what_is_expected_is_written(tmp_path: Path) -> None:
    path = write(tmp_path)
    file = tmp_path / "orders.test.json"
    file.write_text(TEXT, encoding="utf-8")
    (loaded,) = suite.load_suites([path])
    document = loaded.cases[0].document
    write_expected(document, [(0, {"sink": []}), (2, {"filtered": 0, "sink": [{"ö": 1}]}), (1, {"filtered": 7})])
    assert file.read_text(encoding="utf-8") == (
        """\
[
    {"name": "on\\u0065 line", "given": [{"n": 1.10}, 1e3],   "expect": {
      "sink": []
    }},
    {
        "name": "näme",
        "given": [ 2 ],
        "expect": {
          "filtered": 7
        }
    },
    {"name": "last", "expect": {
      "filtered": 0,
      "sink": [
        {
          "ö": 1
        }
      ]
    }, "given": [3]}
]
"""
    )


def test_the_section_of_a_spec_is_written_as_well(tmp_path: Path) -> None:
    path = write(tmp_path, tests=[{"name": "a", "given": [1], "expect": {"filtered": 5}}])
    before = json.loads(path.read_text())
    (tmp_path / "orders.test.json").unlink()
    (loaded,) = suite.load_suites([path])
    write_expected(loaded.cases[0].document, [(0, {"filtered": 6})])
    before["tests"][0]["expect"] = {"filtered": 6}
    assert json.loads(path.read_text()) == before


def test_yaml_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "orders.test.json").unlink()
    file = tmp_path / "orders.test.yaml"
    file.write_text("- name: a # a comment\n  given: [1]\n")
    (loaded,) = suite.load_suites([path])
    with pytest.raises(FlowError, match=r"YAML is not written.* keep the tests in orders\.test\.json"):
        write_expected(loaded.cases[0].document, [(0, {"filtered": 6})])
    assert file.read_text() == "- name: a # a comment\n  given: [1]\n"


@pytest.mark.parametrize("before", [None, "[]", "[\n  1.0\n]\n", '[{"a": 1}]', '[\n  {\n    "a": 1\n  }\n]\n'])
def test_a_test_is_added_to_the_end(tmp_path: Path, before: str | None) -> None:
    file = tmp_path / "a.test.json"
    if before is not None:
        file.write_text(before)
    add_test(file, {"name": "ü"})
    assert json.loads(file.read_text(encoding="utf-8")) == [*json.loads(before or "[]"), {"name": "ü"}]
    assert file.read_text(encoding="utf-8").startswith((before or "[").rstrip("\n").rstrip("]").rstrip("\n"))


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.test.json").write_text("{}")
    with pytest.raises(FlowError, match="the tests of a flow are a list"):
        add_test(tmp_path / "a.test.json", {})
    with pytest.raises(FlowError, match="cannot be written: No such file or directory"):
        add_test(tmp_path / "nowhere" / "a.test.json", {})
