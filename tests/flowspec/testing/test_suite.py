"""What is said about wrong tests, and which specs have tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from flowspec.errors import FlowError
from flowspec.testing import suite
from flowspec.testing.model import SpecTest
from tests.flowspec.testing.flows import said, write

MISTAKES = """\
[
  {"name": "a", "given": [
    {"body": 1, "payload": "x"},
    {"payload": {"base64": "!"}},
    {"payload": 1},
    {"payload": "a", "heders": {}}],
   "expct": 1,
   "clock": "yesterday"},
  {"given": [],
   "expect": {"dead_leters": [],
    "dead_letters": [{"stp": "a"}],
    "filtered": -1}}
]
"""


def test_mistakes_are_all_told_with_their_places(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "orders.test.json").write_text(MISTAKES)
    assert said(path) == [
        "orders.test.json:3: tests[0].given[0]: a record has 'body' or 'payload', not both",
        "orders.test.json:4: tests[0].given[1].payload.base64: not base64",
        "orders.test.json:5: tests[0].given[2].payload: expected a text or an object, found the number 1",
        "orders.test.json:6: tests[0].given[3].heders: unknown key 'heders'; did you mean 'headers'?",
        "orders.test.json:7: tests[0].expct: unknown key 'expct'; did you mean 'expect'?",
        ("orders.test.json:8: tests[0].clock: 'yesterday' is not a date and time like '2026-01-31T12:00:00Z'"),
        "orders.test.json:9: tests[1]: 'name' is missing",
        "orders.test.json:9: tests[1].given: must have 1 or more items",
        "orders.test.json:10: tests[1].expect.dead_leters: unknown key 'dead_leters'; did you mean 'dead_letters'?",
        "orders.test.json:11: tests[1].expect.dead_letters[0].stp: unknown key 'stp'; did you mean 'step'?",
        "orders.test.json:12: tests[1].expect.filtered: must be at least 0, found the number -1",
    ]


def problem(folder: Path, given: list[Any], expect: dict[str, Any], **changes: Any) -> str:
    (found,) = said(write(folder, {"given": given, "expect": expect}, **changes))
    return found.split(": ", 1)[1]


def test_what_does_not_go_with_the_flow(tmp_path: Path) -> None:
    assert problem(tmp_path, [1], {"sinks": {"rabbitmq-publsh": []}}) == (
        "tests[0].expect.sinks.rabbitmq-publsh: the flow has no sink 'rabbitmq-publsh'; "
        "did you mean 'rabbitmq-publish'?"
    )
    assert problem(tmp_path, [1], {"dead_letters": [{"step": "zzz"}]}) == (
        "tests[0].expect.dead_letters[0].step: the flow has no step 'zzz'; steps: decode, external_id, filter-1, map-2"
    )
    assert problem(tmp_path, [1], {"sink": [], "sinks": {"rabbitmq-publish": []}}) == (
        "tests[0].expect.sink: 'sink' and 'sinks' say the same; leave one out"
    )
    two = [{"connector": "stdout"}, {"connector": "drop"}]
    assert problem(tmp_path, [1], {"sink": []}, sink=None, sinks=two) == (
        "tests[0].expect.sink: the flow has several sinks: stdout-print, drop-drop; "
        "write 'sinks', an object by their ids"
    )


def test_records_that_the_trigger_does_not_have(tmp_path: Path) -> None:
    text = {"connector": "rabbitmq", "queue": "q", "format": "text"}
    assert problem(tmp_path, ["hello"], {}, trigger=text) == (
        "tests[0].given[0]: the trigger has the format text; give the 'payload' of the record, as it is received"
    )
    avro = {"connector": "kafka", "topics": ["t"], "format": {"avro": {}}, "account": "kafka"}
    assert problem(tmp_path, [{"payload": "x"}], {}, trigger=avro) == (
        "tests[0].given[0]: the format avro needs a system to decode a payload; "
        "give the 'body', which is then not decoded"
    )
    polling = {"connector": "files", "path": "in"}
    assert problem(tmp_path, [{"payload": "x"}], {}, trigger=polling) == (
        "tests[0].given[0]: files / new-files makes the bodies of its records itself; give the 'body'"
    )


def test_what_a_flow_needs_is_not_forgiven(tmp_path: Path) -> None:
    test = {"given": [1], "expect": {"sink": []}}
    (variable,) = said(write(tmp_path, test, steps=[{"filter": "a == '${NOT_SET}'"}]))
    assert "steps[0].filter: the environment variable NOT_SET is not set" in variable
    (size,) = said(write(tmp_path, test, trigger={"connector": "amazon-sqs", "batch_size": "${NOT_SET}"}))[1:]
    assert "trigger.batch_size: the environment variable NOT_SET is not set" in size
    (unknown,) = said(write(tmp_path, test, trigger={"connector": "rabbitmq", "queue": "q", "prefech": 1}))
    assert "trigger.prefech: unknown key 'prefech'; did you mean 'prefetch'?" in unknown
    (connector,) = said(write(tmp_path, test, sink={"connector": "rabitmq", "url": "${NOT_SET}"}))
    assert "sink.connector: unknown connector 'rabitmq'; did you mean 'rabbitmq'?" in connector


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "orders.test.json:1: tests: expected a list, found an object"),
        ("", "orders.test.json: tests: expected a list, found nothing"),
        ("[{]", "orders.test.json:1: not valid JSON: Expecting property name enclosed in double quotes"),
        ("[]", "orders.json: the spec has no tests; write them in orders.test.json, or in a section 'tests'"),
    ],
)
def test_files_that_are_no_tests(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path)
    (tmp_path / "orders.test.json").write_text(text)
    assert said(path) == [message]


def test_tests_in_yaml(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "orders.test.json").unlink()
    (tmp_path / "orders.test.yaml").write_text("- name: a\n  given: [{a: 1}]\n  expect: {sink: [], filterd: 1}\n")
    assert said(path) == [
        "orders.test.yaml:3: tests[0].expect.filterd: unknown key 'filterd'; did you mean 'filtered'?"
    ]


def test_the_specs_of_a_folder_that_have_tests(tmp_path: Path) -> None:
    inner, hidden = tmp_path / "inner", tmp_path / ".hidden"
    for folder in (inner, hidden):
        folder.mkdir()
        write(folder, {"given": [1]})
    (tmp_path / "without.json").write_text(json.dumps({"name": "a", "trigger": {}}))
    (tmp_path / "package.json").write_text('{"scripts": {"tests": "// not a spec"}}')
    (tmp_path / "section.yaml").write_text("trigger: {}\ntests: []\n")
    assert suite.find_specs(tmp_path) == [inner / "orders.json", tmp_path / "section.yaml"]
    assert suite.find_specs(tmp_path / "without.json") == [tmp_path / "without.json"]
    (tmp_path / "lost.test.yaml").touch()
    with pytest.raises(FlowError, match=r"lost\.test\.yaml: there is no spec beside it"):
        suite.find_specs(tmp_path)
    with pytest.raises(FlowError, match="name the spec that they are of"):
        suite.find_specs(inner / "orders.test.json")


def test_a_folder_without_tests(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="no spec in this folder has tests"):
        suite.find_specs(tmp_path)


def test_editors_accept_what_the_model_accepts() -> None:
    schema = Draft202012Validator(TypeAdapter(list[SpecTest]).json_schema())
    given = [1, None, {"id": 1}, {"body": 2}, {"payload": {"base64": ""}}]
    test = {"name": "a", "clock": "2026-01-31T12:00:00Z", "given": given, "expect": {"sink": [1]}}
    assert list(schema.iter_errors([test])) == []
    assert list(schema.iter_errors([{**test, "expct": {}}]))


@pytest.mark.parametrize("model", ["SpecTest", "Given", "Expected", "ExpectedLetter", "Binary"])
def test_every_field_is_explained(model: str) -> None:
    from flowspec.testing import model as models

    for name, field in getattr(models, model).model_fields.items():
        assert field.description, name
        assert field.examples or field.annotation is bool, name
