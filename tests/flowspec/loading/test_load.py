from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowspec import registry
from flowspec.loading import SpecError, load, loads
from flowspec.steps.python import Python
from tests.flowspec.loading.wrong import GOOD, problems, said, spec

TEN_MISTAKES = """\
{
  "name": "my flow",
  "trigger": {
    "connector": "test-shop", "event": "listen",
    "batch_sise": 5,
    "batch_size": "many",
    "format": "jsom",
    "wait": "5 minutes"
  },
  "steps": [
    {"filter": "status = 'paid'"},
    {"map": {"id": "order_id", "cents": "rond(total * 100)"}},
    {"fliter": "total > 5"},
    {"filter": "total > 5", "drop": ["x"]},
    {"drop": "phone", "on_error": "${NOT_SET}"},
    {"id": "last", "select": ["a"]},
    {"id": "last", "select": []}
  ],
  "sink": {"connector": "test-stoer"}
}
"""


def test_ten_kinds_of_mistakes_are_all_named_at_once() -> None:
    *lines, sink, count = said(TEN_MISTAKES, "orders.json").splitlines()
    assert lines == [
        "orders.json:2: name: does not match the pattern ^[A-Za-z0-9][A-Za-z0-9._-]*$, found the text 'my flow'",
        "orders.json:3: trigger: 'queue' is missing",
        "orders.json:5: trigger.batch_sise: unknown key 'batch_sise'; did you mean 'batch_size'?",
        "orders.json:6: trigger.batch_size: expected a whole number, found the text 'many'",
        (
            "orders.json:7: trigger.format: expected 'json', 'text', 'bytes' or 'csv', found the text 'jsom'; "
            "did you mean 'json'?"
        ),
        (
            "orders.json:8: trigger.wait: '5 minutes' is not a duration; "
            "write a number of seconds, or '250ms', '5s', '10m', '1h', '7d'"
        ),
        "orders.json:11: steps[0].filter: '=' assigns (column 8); use == to compare",
        "orders.json:12: steps[1].map.cents: unknown function 'rond' (column 1); did you mean 'round'?",
        (
            "orders.json:13: steps[2].fliter: unknown step 'fliter'; did you mean 'filter'? "
            f"(steps: {', '.join(registry.steps())})"
        ),
        "orders.json:14: steps[3]: a step has one kind, this has 'filter' and 'drop'; make a step of each",
        "orders.json:15: steps[4].drop: expected a list, found the text 'phone'",
        (
            "orders.json:15: steps[4].on_error: the environment variable NOT_SET is not set; "
            "set it, or write '${NOT_SET:default}'"
        ),
        "orders.json:17: steps[6].id: the id 'last' is used twice; steps and sinks need ids of their own",
        "orders.json:17: steps[6].select: must have 1 or more items",
    ]
    assert sink.startswith(
        "orders.json:19: sink.connector: unknown connector 'test-stoer'; did you mean 'test-store'? (connectors with"
    )
    assert count == "15 problems found"


def test_yaml_says_the_same() -> None:
    text = "name: a\ntrigger:\n  connector: test-shop\n  event: lisen\nsteps:\n  - filter: |\n      a ==\nsinks: []\n"
    assert [line.split(";")[0].split(" (column")[0] for line in said(text, "a.yaml").splitlines()] == [
        "a.yaml:4: trigger.event: connector 'test-shop' has no event 'lisen'",
        "a.yaml:6: steps[0].filter: the expression cannot be read: invalid syntax",
        "a.yaml:8: sinks: must have 1 or more items",
        "3 problems found",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sinks": [GOOD["sink"]]}, "sink: a flow has 'sink' or 'sinks', not both; put it into the list"),
        ({"sink": ...}, "'sink' is missing"),
        ({"sink": None}, "sink: expected an object, found nothing"),
        ({"sink": {}}, "sink: 'connector' is missing"),
        ({"sink": {"connector": 5}}, "sink.connector: expected a text, found the number 5"),
        ({"sink": {"connector": "test-store", "paht": "x"}}, "sink.paht: unknown key 'paht'; did you mean 'path'?"),
        ({"name": ...}, "'name' is missing"),
        ({"name": 5}, "name: expected a text, found the number 5"),
        ({"setps": []}, "setps: unknown key 'setps'; did you mean 'steps'?"),
        ({"steps": {"filter": "x"}}, "steps: expected a list, found an object"),
        ({"steps": ["filter"]}, "steps[0]: expected an object, found the text 'filter'"),
        (
            {"steps": [{"filter": "x", "on_eror": 1}]},
            "steps[0].on_eror: unknown key 'on_eror'; did you mean 'on_error'?",
        ),
        ({"steps": [{"map": {}}]}, "steps[0].map: must have 1 or more items"),
        ({"steps": [{"map": {"a b": "x +"}}]}, 'steps[0].map["a b"]: the expression cannot be read: '),
        ({"steps": [{"map": {"account": "nam.lowr()"}}]}, "steps[0].map.account: unknown method 'lowr' "),
        ({"steps": [{"split": {"list": "x", "sa": "y"}}]}, "steps[0].split.sa: unknown key 'sa'; known: list, as"),
        ({"steps": [{"split": {"as": "y"}}]}, "steps[0].split: 'list' is missing"),
        ({"steps": [{"id": "x"}]}, "steps[0]: the step does not say what it does; add one of "),
        ({"steps": [{"filter": "x", "id": True}]}, "steps[0].id: expected a text, found true"),
        ({"steps": [{"python": "no_such_module:f"}]}, "steps[0].python: there is no module 'no_such_module'"),
        ({"trigger": {"event": None}}, "trigger.event: connector 'test-shop' has several events; add 'event', one of"),
        ({"trigger": {"connector": "test-store"}}, "trigger.connector: connector 'test-store' has no trigger"),
        ({"trigger": {"batch_size": 0}}, "trigger.batch_size: must be at least 1, found the number 0"),
        ({"trigger": {"batch_size": 1.5}}, "trigger.batch_size: expected a whole number, found the number 1.5"),
        ({"trigger": {"queue": "x" * 50}}, "trigger.queue: does not match the pattern ^https?://, found another text"),
        ({"trigger": {"tags": ["a", 2]}}, "trigger.tags[1]: expected a text, found the number 2"),
    ],
)
def test_what_is_said(changes: dict[str, Any], problem: str) -> None:
    (found,) = problems(spec(**changes))
    assert found.startswith(problem)


def test_two_ids_of_a_step_and_a_sink() -> None:
    text = spec(steps=[{"id": "x", "filter": "a"}], sink={"connector": "test-store", "id": "x"})
    assert problems(text) == ["sink.id: the id 'x' is used twice; steps and sinks need ids of their own"]


@pytest.mark.parametrize("text", ["", " \n", "null", "# nothing"])
def test_an_empty_file(text: str) -> None:
    assert said(text, "a.yaml") == (
        "a.yaml:1: the file is empty; a flow has at least name, trigger and sink\n1 problem found"
    )


@pytest.mark.parametrize("text", ["[1]", '"flow"', "5"])
def test_a_file_that_is_no_object(text: str) -> None:
    assert problems(text)[0].startswith("expected an object, found ")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{\n"name": "\xe4"}')
    for name, message in [
        ("gone.json", "there is no such file"),
        ("", "this is a directory; name a file in it"),
        ("latin.json", "the file is not UTF-8 text; save it as UTF-8"),
    ]:
        with pytest.raises(SpecError) as caught:
            load(tmp_path / name)
        line = ":2" if name.startswith("latin") else ""
        assert str(caught.value) == f"{tmp_path / name}{line}: {message}\n1 problem found"


def test_functions_are_found_beside_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_the_spec.py").write_text("def clean(body):\n    return body\n")
    (tmp_path / "spec.json").write_text(spec(steps=[{"python": "beside_the_spec:clean"}]), encoding="utf-8-sig")
    flow = load(tmp_path / "spec.json")
    assert isinstance(flow.steps[0], Python)
    assert str(tmp_path) in sys.path
    del sys.modules["beside_the_spec"]


@pytest.mark.parametrize("name", ["spec.json", "spec.yaml", "<spec>"])
def test_json_and_yaml_are_the_same_flow(name: str) -> None:
    flow = loads(spec(), name)
    assert flow.to_spec() == {**GOOD, "sink": {"connector": "test-store", "action": "put"}}
    assert loads(json.dumps(flow.to_spec()), name) == flow


def test_editors_may_find_the_schema_named() -> None:
    assert loads(spec(**{"$schema": "flow.schema.json"})) == loads(spec())


WORDS = [
    "name",
    "trigger",
    "steps",
    "sink",
    "sinks",
    "connector",
    "event",
    "action",
    "account",
    "id",
    "queue",
    "filter",
]
WORDS += [
    "map",
    "split",
    "list",
    "as",
    "log",
    "python",
    "rename",
    "on_error",
    "test-shop",
    "listen",
    "test-store",
    "put",
]
words = st.sampled_from([*WORDS, "${HOST}", "${NOT_SET}", "x", "http://x", "", "ä"])
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5),
    max_leaves=15,
)


@given(part=documents, place=st.sampled_from(["name", "trigger", "steps", "sink", "sinks", "account", "step", None]))
@example(part={"connector": {}}, place="sink")
@example(part=[[]], place="sinks")
def test_whatever_is_written_is_a_flow_or_named_problems(part: Any, place: str | None) -> None:
    if place is None:
        text = json.dumps(part)
    elif place == "account":
        text = spec(trigger={"account": part})
    elif place == "step":
        text = spec(steps=[{"filter": part}, {"map": part}, {"split": part}, {"log": part}, {"rename": part}])
    elif place == "trigger":
        text = json.dumps({**GOOD, "trigger": part})
    else:
        text = spec(**{place: part})
    for name in ("spec.json", "spec.yaml"):
        refusal = refused(text, name)
        if refusal is not None:
            assert refusal.problems
            assert all(problem.line for problem in refusal.problems)
            assert "hunter2" not in str(refusal)


def refused(text: str, name: str) -> SpecError | None:
    try:
        loads(text, name, environ={"HOST": "hunter2"})
    except SpecError as error:
        return error
    return None
