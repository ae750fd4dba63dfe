"""How formats are written in specs, what is said about wrong ones, and how they are exported again."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from flowspec import FlowSpec, SpecError, json_schema, loads
from flowspec.formats import Csv, CsvFormat, Text, TextFormat
from sinks.drop import Drop
from sources.amazon_sqs import ListenQueue

QUEUE = "http://127.0.0.1:5000/123456789012/orders"
COLUMNS = {"csv": {"columns": ["id", "name"], "delimiter": ";"}}


def document(form: Any) -> dict[str, Any]:
    trigger = {"connector": "amazon-sqs", "event": "listen-queue", "queue_url": QUEUE}
    return {
        "name": "orders",
        "trigger": trigger if form == "json" else {**trigger, "format": form},
        "sink": {"connector": "drop", "action": "drop", "format": form},
    }


@pytest.mark.parametrize(
    ("written", "loaded"),
    [
        ("json", "json"),
        ("csv", "csv"),
        (COLUMNS, CsvFormat(csv=Csv(columns=["id", "name"], delimiter=";"))),
        ({"csv": {}}, CsvFormat(csv=Csv())),
        ({"csv": {"quote": None}}, CsvFormat(csv=Csv(quote=None))),
        ({"text": {"encoding": "latin-1"}}, TextFormat(text=Text(encoding="latin-1"))),
    ],
)
def test_a_format_is_exported_as_it_was_written(written: Any, loaded: Any) -> None:
    spec = loads(json.dumps(document(written)), "orders.json")

    assert spec.model_dump()["trigger"]["format"] == (loaded if written == loaded else loaded.model_dump())
    assert spec.to_spec() == document(written)
    jsonschema.validate(document(written), json_schema())


def test_a_flow_that_is_built_in_python_has_them_too() -> None:
    given: Any = COLUMNS
    spec = FlowSpec(name="orders", trigger=ListenQueue(queue_url=QUEUE, format=given), sinks=[Drop(format=given)])

    assert spec.trigger == ListenQueue(
        queue_url=QUEUE, format=CsvFormat(csv=Csv(columns=["id", "name"], delimiter=";"))
    )
    assert spec.to_spec() == document(COLUMNS)


@pytest.mark.parametrize(
    ("written", "place", "message"),
    [
        ("jsom", "", "expected 'json', 'text', 'bytes' or 'csv', found the text 'jsom'; did you mean 'json'?"),
        (5, "", "expected 'json', 'text', 'bytes' or 'csv', found the number 5"),
        ({"cvs": {}}, "", "no format with options is called 'cvs'; did you mean 'csv'?"),
        ({"json": {}}, "", "no format with options is called 'json'; there are 'text' and 'csv'"),
        ({"avro": {}}, "", "no format with options is called 'avro'; there are 'text' and 'csv'"),
        ({}, "", "a format with options is an object with one key, its name: 'text' or 'csv'"),
        ({"csv": {}, "text": {}}, "", "a format with options is an object with one key, its name: 'text' or 'csv'"),
        ({"csv": ";"}, ".csv", "expected an object, found the text ';'"),
        ({"csv": {"colums": ["id"]}}, ".csv.colums", "unknown key 'colums'; did you mean 'columns'?"),
        ({"csv": {"columns": []}}, ".csv.columns", "must have 1 or more items"),
        ({"csv": {"columns": ["id", "id"]}}, ".csv.columns", "the column 'id' is there twice"),
        ({"csv": {"delimiter": ";;"}}, ".csv.delimiter", "must have at most 1 characters, found the text ';;'"),
        (
            {"csv": {"delimiter": "\n"}},
            ".csv.delimiter",
            "'\\n' cannot be a character between or around fields",
        ),
        ({"csv": {"quote": ","}}, ".csv", "delimiter and quote are both ','"),
        (
            {"text": {"encoding": "latim"}},
            ".text.encoding",
            "there is no encoding 'latim'; write one like 'utf-8', 'latin-1' or 'cp1252'",
        ),
        (
            {"text": {"encoding": "base64"}},
            ".text.encoding",
            "there is no encoding 'base64'; write one like 'utf-8', 'latin-1' or 'cp1252'",
        ),
    ],
)
def test_a_wrong_format_is_told_at_its_place(written: Any, place: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(json.dumps(document(written)), "orders.json")

    shown = [problem.partition(": ")[2] for problem in str(caught.value).splitlines()[:-1]]
    assert shown == [f"trigger.format{place}: {message}", f"sink.format{place}: {message}"]


@pytest.mark.parametrize("wrong", ["jsom", {"cvs": {}}, {"csv": {"colums": ["id"]}}, {"csv": {}, "text": {}}, {}])
def test_the_json_schema_refuses_what_is_refused(wrong: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document(wrong), json_schema())
