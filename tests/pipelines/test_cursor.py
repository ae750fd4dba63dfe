"""`pipelines cursor`, and what a status says of polls."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flowspec.polling.store import CursorStore
from pipelines.cli import main
from sources.testing.flows import Flow, RunningFlow, eventually


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    """A flow of a table with three rows."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
        connection.commit()
    trigger = {
        "connector": "sql",
        "account": {"url": f"sqlite:///{tmp_path / 'shop.db'}"},
        "table": "orders",
        "cursor_column": "id",
        "lag": 0,
    }
    sink = {"connector": "files", "action": "append", "path": str(tmp_path / "out.jsonl")}
    return {"name": "orders", "trigger": trigger, "sink": sink}


def command(directory: Path, spec: dict[str, Any], *arguments: str) -> Result:
    (directory / "spec.json").write_text(json.dumps(spec))
    return CliRunner().invoke(
        main, ["cursor", str(directory / "spec.json"), *arguments, "--state-dir", str(directory / "state")]
    )


def run(directory: Path, spec: dict[str, Any]) -> list[int]:
    """Run the flow until it is idle; answers the rows that came."""
    output = directory / "out.jsonl"
    output.unlink(missing_ok=True)
    flow = RunningFlow(directory, spec, "--until-idle", "0.1")
    flow.start()
    assert flow.wait() == 0, flow.log.read_text()
    return [json.loads(line)["id"] for line in output.read_text().splitlines()] if output.exists() else []


def test_a_cursor_is_shown_set_and_reset(tmp_path: Path, spec: dict[str, Any]) -> None:
    assert command(tmp_path, spec).output == 'no cursor is saved; begins at "beginning", as the spec says\n'
    assert run(tmp_path, spec) == [1, 2, 3]
    shown = json.loads(command(tmp_path, spec, "show").output)
    assert shown["cursor"] == {"last": [3], "settled": [3], "since": None, "seen": []}
    assert shown["of"] == {"table": "orders", "cursor_column": ["id"], "key_column": []}
    assert Path(shown["file"]).is_file()
    assert run(tmp_path, spec) == []

    assert command(tmp_path, spec, "set", "2").output.startswith("begins at 2, as it was set at 20")
    assert run(tmp_path, spec) == [3]
    assert command(tmp_path, spec, "reset").exit_code == 0
    assert run(tmp_path, spec) == [1, 2, 3]


def test_of_a_long_cursor_the_beginning_is_shown(tmp_path: Path, spec: dict[str, Any]) -> None:
    store = CursorStore(tmp_path / "state", "orders", "sql.query-rows")
    store.lock()
    store.save({}, {"seen": [[number] for number in range(1_500)]})
    store.close()
    shown = json.loads(command(tmp_path, spec).output)["cursor"]["seen"]
    assert (shown[:2], shown[-1]) == ([[0], [1]], "... 1,480 more")


def test_a_changed_cursor_column_is_refused_and_the_way_out_works(tmp_path: Path, spec: dict[str, Any]) -> None:
    assert run(tmp_path, spec) == [1, 2, 3]
    changed = {**spec, "trigger": {**spec["trigger"], "cursor_column": "name"}}
    flow = RunningFlow(tmp_path, changed, "--until-idle", "0.1")
    flow.start()
    assert flow.wait() == 1
    assert "cursor_column was ['id'] and is ['name']" in flow.log.read_text()
    assert command(tmp_path, changed, "set", "b").exit_code == 0
    assert run(tmp_path, changed) == [3]


def test_a_spec_with_another_filter_keeps_its_cursor(tmp_path: Path, spec: dict[str, Any]) -> None:
    assert run(tmp_path, {**spec, "steps": [{"filter": "id != 2"}]}) == [1, 3]
    assert run(tmp_path, {**spec, "steps": [{"filter": "id > 0"}]}) == []


def test_a_running_flow_keeps_its_cursor_for_itself(tmp_path: Path, spec: dict[str, Any]) -> None:
    flow = RunningFlow(tmp_path, spec)
    try:
        with flow.running():
            eventually((tmp_path / "out.jsonl").exists, "it runs")
            result = command(tmp_path, spec, "reset")
        assert result.exit_code == 2
        assert f"another run of this flow, process {flow.process.pid}, has the cursor" in result.output
        assert result.output.endswith("; stop it first\n")
    finally:
        Flow.kill_all()


@pytest.mark.parametrize(
    ("arguments", "message"), [(["set"], "set needs a VALUE"), (["show", "3"], "show takes no value")]
)
def test_mistakes_are_named(tmp_path: Path, spec: dict[str, Any], arguments: list[str], message: str) -> None:
    result = command(tmp_path, spec, *arguments)
    assert (result.exit_code, message in result.output) == (2, True)


def test_a_trigger_that_does_not_poll_has_no_cursor(tmp_path: Path, spec: dict[str, Any]) -> None:
    trigger = {"connector": "amazon-sqs", "queue_url": "http://127.0.0.1:1/1/orders"}
    result = command(tmp_path, {**spec, "trigger": trigger})
    assert result.exit_code == 2
    assert "its system itself remembers what was delivered" in result.output


def test_the_status_has_the_last_query_and_how_long_it_took(tmp_path: Path, spec: dict[str, Any]) -> None:
    flow = RunningFlow(tmp_path, spec, "--until-idle", "0.1", "--status", "json")
    flow.start()
    assert flow.wait() == 0
    poll = json.loads(flow.log.read_text().splitlines()[-1])["trigger"]["last_poll"]
    assert poll["what"] == "SELECT * FROM orders WHERE id > :after_0 ORDER BY id LIMIT :param_1"
    assert poll["records"] == 3
    assert 0 < poll["seconds"] < 60
