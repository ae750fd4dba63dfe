"""`pipelines sample`, on a table: what particular triggers do when they are looked at is tested with them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flowspec.preview import Preview
from flowspec.records import Record
from pipelines import samples
from pipelines.cli import main
from sources.sql import QueryRows
from tests.flowspec.parts import Listen
from tests.pipelines.commands import pipelines


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    """A flow of a table with four rows, of which one is dropped and one fails."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER, tags TEXT)")
        rows = [(1, 100, "a,b"), (2, 0, "c"), (3, 5, ""), (4, 20, "d")]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        connection.commit()
    trigger = {
        "connector": "sql",
        "account": {"url": f"sqlite:///{tmp_path / 'shop.db'}"},
        "table": "orders",
        "cursor_column": "id",
        "lag": 0,
        "external_id": "'order-' + str(id)",
    }
    steps = [
        {"id": "paid", "filter": "total > 0"},
        {"id": "cents", "set": {"total": "100 * total"}},
        {"id": "tagged", "python": "shop_steps:tagged"},
        {"split": {"list": "tags", "as": "tag"}},
        {"id": "slim", "select": ["id", "tag"]},
    ]
    (tmp_path / "shop_steps.py").write_text(
        "def tagged(body):\n"
        "    if not body['tags']:\n"
        "        raise ValueError('no tags')\n"
        "    return {**body, 'tags': body['tags'].split(',')}\n"
    )
    sink = {"connector": "files", "action": "append", "path": str(tmp_path / "out.jsonl")}
    return {"name": "orders", "trigger": trigger, "steps": steps, "sink": sink}


def sample(directory: Path, spec: dict[str, Any], *options: str) -> Result:
    (directory / "spec.json").write_text(json.dumps(spec))
    arguments = ["sample", str(directory / "spec.json"), "--state-dir", str(directory / "state"), *options]
    return CliRunner().invoke(main, arguments)


def test_records_are_shown_as_they_leave_each_step(tmp_path: Path, spec: dict[str, Any]) -> None:
    result = sample(tmp_path, spec)
    assert (result.exit_code, result.stderr) == (0, "")
    place = f"({tmp_path}/shop_steps.py, line 3)"
    assert result.stdout.replace(place, "(here)") == (
        "record 1: order-1\n"
        '  origin       {"table":"orders","cursor":{"id":1}}\n'
        '  received     {"id":1,"total":100,"tags":"a,b"}\n'
        "  decode       unchanged\n"
        '  external_id  External ID "order-1"\n'
        "  paid         unchanged\n"
        "  cents        ~ total: 100 -> 10000\n"
        '  tagged       ~ tags: "a,b" -> ["a","b"]\n'
        "  split-4      2 records\n"
        '               [1] {"id":1,"total":10000,"tags":["a","b"],"tag":"a"}\n'
        '               [2] {"id":1,"total":10000,"tags":["a","b"],"tag":"b"}\n'
        "  slim [1]     - total\n"
        "               - tags\n"
        "  slim [2]     - total\n"
        "               - tags\n"
        "\n"
        "record 2: order-2\n"
        '  origin       {"table":"orders","cursor":{"id":2}}\n'
        '  received     {"id":2,"total":0,"tags":"c"}\n'
        "  decode       unchanged\n"
        '  external_id  External ID "order-2"\n'
        "  paid         dropped\n"
        "\n"
        "record 3: order-3\n"
        '  origin       {"table":"orders","cursor":{"id":3}}\n'
        '  received     {"id":3,"total":5,"tags":""}\n'
        "  decode       unchanged\n"
        '  external_id  External ID "order-3"\n'
        "  paid         unchanged\n"
        "  cents        ~ total: 5 -> 500\n"
        "  tagged       failed: shop_steps:tagged: ValueError: no tags (here)\n"
        "\n"
        "record 4: order-4\n"
        '  origin       {"table":"orders","cursor":{"id":4}}\n'
        '  received     {"id":4,"total":20,"tags":"d"}\n'
        "  decode       unchanged\n"
        '  external_id  External ID "order-4"\n'
        "  paid         unchanged\n"
        "  cents        ~ total: 20 -> 2000\n"
        '  tagged       ~ tags: "d" -> ["d"]\n'
        '  split-4      + tag: "d"\n'
        "  slim         - total\n"
        "               - tags\n"
        "\n"
    )


def test_json_has_a_line_for_each_record(tmp_path: Path, spec: dict[str, Any]) -> None:
    result = sample(tmp_path, spec, "--json", "--through", "split-4")
    first, second, third, _ = map(json.loads, result.stdout.splitlines())
    body = {"id": 1, "total": 100, "tags": "a,b"}
    left = {"id": 1, "total": 10000, "tags": ["a", "b"]}
    both = [{"external_id": "order-1", "body": {**left, "tag": tag}} for tag in ("a", "b")]
    assert {name: value for name, value in first.items() if name != "steps"} == {
        "external_id": "order-1",
        "origin": {"table": "orders", "cursor": {"id": 1}},
        "key": None,
        "headers": {},
        "payload": {"text": '{"id":1,"total":100,"tags":"a,b"}'},
        "records": both,
    }
    assert first["steps"][0] == {
        "step": "decode",
        "outcome": "passed",
        "records": [{"external_id": None, "body": body}],
        "error": None,
    }
    assert first["steps"][-1] == {"step": "split-4", "outcome": "passed", "records": both, "error": None}
    assert second["steps"][-1] == {"step": "paid", "outcome": "dropped", "records": [], "error": None}
    failed = third["steps"][-1]
    assert (failed["step"], failed["outcome"], failed["records"], third["records"]) == ("tagged", "failed", [], [])
    assert failed["error"]["type"] == "RecordError"
    assert failed["error"]["message"].startswith("shop_steps:tagged: ValueError: no tags")


def test_it_is_shown_which_branch_a_record_takes(tmp_path: Path, spec: dict[str, Any]) -> None:
    cases = [
        {"id": "big", "when": "total > 50", "steps": [{"select": ["id"]}], "sink": spec["sink"]},
        {"id": "none", "when": "total == 0"},
    ]
    branched = {**spec, "steps": [{"id": "size", "route": {"cases": cases}}]}
    lines = sample(tmp_path, branched).stdout.splitlines()
    assert [line.split()[1:] for line in lines if line.startswith("  size ")] == [
        ["to", "size-big"],
        ["to", "size-none:", "dropped"],
        ["goes", "on"],
        ["goes", "on"],
    ]
    first, second, third, _ = map(json.loads, sample(tmp_path, branched, "--json").stdout.splitlines())
    taken = [
        [(step["step"], step.get("branch"), step["outcome"]) for step in each["steps"][2:]] for each in (first, second)
    ]
    assert taken == [
        [("size", "size-big", "passed"), ("size-big-select-1", None, "passed")],
        [("size", "size-none", "dropped")],
    ]
    assert third["steps"][2]["branch"] == ""


def test_nothing_is_consumed_or_written(tmp_path: Path, spec: dict[str, Any]) -> None:
    seen = [sample(tmp_path, spec, "--limit", "2", "--json").stdout for _ in range(2)]
    assert seen[0] == seen[1]
    assert len(seen[0].splitlines()) == 2
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "out.jsonl").exists()
    arguments = ("run", "spec.json", "--state-dir", "state", "--until-idle", "0.1")
    assert pipelines(tmp_path, *arguments).returncode == 0
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert out == [{"id": 1, "tag": "a"}, {"id": 1, "tag": "b"}, {"id": 4, "tag": "d"}]


def test_it_goes_on_where_the_flow_is_and_says_when_there_is_nothing(tmp_path: Path, spec: dict[str, Any]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    arguments = ("run", "spec.json", "--state-dir", "state", "--until-idle", "0.1")
    assert pipelines(tmp_path, *arguments).returncode == 0
    result = sample(tmp_path, spec, "--wait", "0.5")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "there is no record to look at; waited 0.5 s\n"


def test_what_looking_costs_is_said_first(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryRows, "sample_cost", "The database is asked once.")
    result = sample(tmp_path, spec, "--limit", "1")
    assert result.stderr == "note: The database is asked once.\n"


def test_steps_that_do_something_do_it(tmp_path: Path, spec: dict[str, Any]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "steps": [{"log": "Order {id}"}]}))
    answer = pipelines(tmp_path, "sample", "spec.json", "--limit", "1", "--json")
    assert "Order 1" in answer.stderr
    assert json.loads(answer.stdout)["steps"][-1]["step"] == "log-1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--through", "slam"], "the flow orders has no step 'slam'; did you mean 'slim'? (steps: decode, external_id"),
        (["--wait", "soon"], "'soon' is not a duration"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, spec: dict[str, Any], options: list[str], message: str) -> None:
    result = sample(tmp_path, spec, *options)
    assert (result.exit_code, message in result.stderr) == (2, True)
    assert result.stdout == ""


def test_a_trigger_that_cannot_be_looked_at_says_so(tmp_path: Path, spec: dict[str, Any]) -> None:
    trigger = {"connector": "test-shop", "event": Listen.model_fields["event"].default, "queue": "http://shop"}
    result = sample(tmp_path, {**spec, "trigger": trigger})
    assert result.exit_code == 2
    assert result.stderr == "error: records of test-shop / listen cannot be looked at without consuming them\n"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        (b"\x1b[31mred\nline", '"\\u001b[31mred\\nline"'),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("x" * 2001, "x" * 2000 + "... (2,001 characters)"),
    ],
)
def test_a_payload_is_shown_in_one_line_that_is_safe_for_a_terminal(raw: bytes | str, shown: str) -> None:
    lines = list(samples.as_text(1, Preview(Record(raw, external_id="\x1b[0m"), (), ())))
    assert lines == ["record 1", f"  received  {shown}"]


def test_json_has_what_bodies_have_that_json_has_not() -> None:
    line = json.loads(samples.as_json(Preview(Record(b"\xff"), (), (Record("", {"blob": b"\xff", "set": {1}}),))))
    assert line["payload"] == {"base64": "/w=="}
    assert line["records"][0]["body"] == {"blob": {"base64": "/w=="}, "set": [1]}
    odd = samples.as_json(Preview(Record(""), (), (Record("", {5: 2**70, "half": "\ud800"}),)))
    assert str(2**70) in odd
