"""The command line without a server: what it says, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.commands import pipelines

HEAVY = ("boto3", "botocore", "bytewax", "confluent_kafka", "pika", "pydantic", "rich", "sqlalchemy", "structlog")
SPEC: dict[str, Any] = {
    "name": "orders",
    "trigger": {
        "connector": "amazon-sqs",
        "queue_url": "http://127.0.0.1:1/1/orders",
        "account": {"access_key_id": "me", "secret_access_key": "hush"},
    },
    "steps": [{"filter": 'status == "paid" and total > 1'}, {"id": "slim", "map": {"id": "order_id"}}],
    "sinks": [{"connector": "stdout"}, {"connector": "files", "path": "out.jsonl", "id": "copy"}],
}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_that_a_flow_needs(arguments: list[str]) -> None:
    look = (
        "import sys\n"
        "from pipelines.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print('imported:', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1].strip() == "imported:"


def test_help_names_every_command(tmp_path: Path) -> None:
    answer = pipelines(tmp_path, "--help")
    for command in ("connectors", "demo", "graph", "run", "schema", "validate"):
        assert f"\n  {command} " in answer.stdout
        assert pipelines(tmp_path, command, "--help").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.json"], "nowhere.json: there is no such file"),
        (["run", "."], "this is a directory"),
        (["run", "spec.json", "--accounts", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["run", "spec.json", "--workers", "2", "--limit", "5"], "--limit counts in each process"),
        (["run", "spec.json", "--workers", "0"], "--workers"),
        (["run", "spec.json", "--limit", "0"], "--limit"),
        (["run", "spec.json", "--until-idle", "soon"], "'soon' is not a duration"),
        (["run", "spec.json", "--drain-timeout", "-1"], "'-1' is not a duration"),
        (["run", "spec.json", "--state-dir", "spec.json/state"], "cannot write to the state directory"),
        (["run", "spec.json", "--fast"], "--fast"),
        (["run"], "SPEC"),
        (["validate"], "SPEC"),
        (["graph", "nowhere.json"], "nowhere.json: there is no such file"),
        (["connectors", "amzon-sqs"], "did you mean 'amazon-sqs'?"),
        (["rum"], "rum"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_said_with_exit_code_2(spec: Path, arguments: list[str], said: str) -> None:
    answer = pipelines(spec.parent, *arguments)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""


def test_validate_names_what_is_wrong_with_every_spec(spec: Path) -> None:
    wrong = {**SPEC, "trigger": {**SPEC["trigger"], "conector": "x"}, "stepps": []}
    (spec.parent / "wrong.json").write_text(json.dumps(wrong))

    answer = pipelines(spec.parent, "validate", "wrong.json", "spec.json", "nowhere.json")

    assert answer.returncode == 2
    assert answer.stdout == "spec.json: ok\n"
    for said in ("conector", "stepps", "nowhere.json"):
        assert said in answer.stderr
    assert pipelines(spec.parent, "validate", "spec.json").returncode == 0


def test_graph_as_text(spec: Path) -> None:
    answer = pipelines(spec.parent, "graph", "spec.json")
    assert [line.rstrip() for line in answer.stdout.splitlines()] == [
        "orders",
        "   trigger       amazon-sqs / listen-queue",
        '-> filter-1      filter status == "paid" and total > 1',
        '-> slim          map {"id": "order_id"}',
        "=> stdout-print  stdout / print",
        "=> copy          files / append",
    ]


def test_graph_as_mermaid_has_no_character_that_mermaid_reads(spec: Path) -> None:
    lines = pipelines(spec.parent, "graph", "spec.json", "--format", "mermaid").stdout.splitlines()
    assert lines[0] == "flowchart LR"
    assert '    n1["filter-1<br>filter status == #34;paid#34; and total #62; 1"]' in lines
    assert lines[-4:] == ["    n0 --> n1", "    n1 --> n2", "    n2 --> n3", "    n2 --> n4"]


def test_graph_as_json(spec: Path) -> None:
    answer = pipelines(spec.parent, "graph", "spec.json", "--format", "json")
    graph = json.loads(answer.stdout)
    assert [node["id"] for node in graph["nodes"]] == ["trigger", "filter-1", "slim", "stdout-print", "copy"]
    assert {"from": "slim", "to": "copy"} in graph["edges"]
    assert "hush" not in answer.stdout


def test_connectors_lists_what_is_installed_third_parties_as_well(tmp_path: Path) -> None:
    lines = pipelines(tmp_path, "connectors").stdout.splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert "listen-queue (stream)" in rows["amazon-sqs"]
    assert "send-message" in rows["amazon-sqs"]
    assert "flaky" in rows["testbed"]


def test_a_connector_is_shown_with_its_fields(tmp_path: Path) -> None:
    answer = pipelines(tmp_path, "connectors", "amazon-sqs").stdout
    shown = [" ".join(line.split()) for line in answer.splitlines()]
    assert "trigger listen-queue (stream)" in shown
    assert any(line.startswith("batch_size integer 500 The most records") for line in shown)
    assert any(line.startswith("batch_wait duration 0.0 ") for line in shown)
    assert any(line.startswith("external_id expression ") for line in shown)
    assert any(line.startswith("queue_url text required ") for line in shown)
    assert any(line.startswith("secret_access_key text ") for line in shown)


def test_schema_is_one_of_specs(tmp_path: Path) -> None:
    schema = json.loads(pipelines(tmp_path, "schema").stdout)
    assert {"name", "trigger", "steps", "sink", "sinks"} <= set(schema["properties"])
