"""Steps that ask another system, in specs: their accounts, mistakes in them, their schema, and tests of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from flowspec import Flow, SpecError, loads, registry
from flowspec.connectors import Account
from flowspec.preview import pass_through
from flowspec.records import Record
from flowspec.schema import json_schema
from flowspec.steps.asking import AskingStep
from pipelines.cli import main
from sources.testing.flows import RunningFlow, eventually
from tests.flowspec.testing.flows import outcomes, said, write
from tests.secrets import leaks, leaks_in, planted_account, secret
from tests.servers.http_server import HttpServer, Reply, Seen, json_reply
from tests.servers.process import server_port
from tests.servers.sqlite import SqliteFile


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    RunningFlow.kill_all()


SQL = {"connector": "sql", "account": "crm", "table": "customers", "by": {"id": "customer_id"}, "into": "customer"}
HTTP = {"connector": "http", "url": "https://api.example.com/customers/{id}", "into": "customer"}
CALL = {"connector": "http", "account": "api", "url": "/scores/{id}", "body": {"id": "id"}, "into": "score"}
ACCOUNTS = f"""
[crm]
url = "postgresql://db.example.com/crm"
password = "{secret("Crm")}"

[api]
connector = "http"
base_url = "https://api.example.com"
bearer_token = "{secret("Api")}"
"""


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    file.chmod(0o600)
    return file


def spec(*steps: dict[str, Any]) -> dict[str, Any]:
    trigger = {"connector": "files", "path": "in/*.jsonl"}
    return {"name": "orders", "trigger": trigger, "steps": list(steps), "sink": {"connector": "stdout"}}


def mistakes(step: dict[str, Any], accounts: Path | None = None) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loads(json.dumps(spec(step)), accounts=accounts)
    return [str(problem).partition("steps[0].")[2] or str(problem) for problem in caught.value.problems]


def test_a_step_has_an_account_by_its_name_or_in_itself(accounts: Path) -> None:
    inline = {"url": "sqlite:///crm.db", "password": secret("Inline")}
    document = spec({"enrich": SQL}, {"enrich": {**SQL, "account": inline}}, {"call": CALL}, {"enrich": HTTP})
    flow = loads(json.dumps(document), accounts=accounts)

    names = [step.asked.account and getattr(step.asked.account, "known_as", None) for step in flow.steps
             if isinstance(step, AskingStep)]  # fmt: skip
    assert names == ["crm", None, "api", None]
    written = flow.to_spec()["steps"]
    assert written[0] == {"enrich": SQL}
    assert written[1]["enrich"]["account"].items() >= {"url": "**********", "password": "**********"}.items()
    assert written[2] == {"call": CALL}
    assert written[3] == {"enrich": HTTP}
    assert leaks_in(repr(flow) + json.dumps(flow.to_spec())) == []
    assert loads(json.dumps({**flow.to_spec(), "steps": [written[0], *written[2:]]}), accounts=accounts)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"enrich": {**SQL, "account": "cmr"}}, ["enrich.account: there is no account 'cmr'", "did you mean 'crm'"]),
        ({"enrich": {**SQL, "account": "api"}}, ["the account is for connector 'http', and used for 'sql'"]),
        ({"enrich": {**SQL, "account": {"ulr": secret("A")}}}, ["enrich.account", "unknown key 'ulr'"]),
        ({"enrich": {**SQL, "account": {"url": secret("B")}}}, ["enrich.account.url: the value does not fit here"]),
        ({"enrich": {**SQL, "account": 7}}, ["enrich.account: expected the name of an account"]),
        ({"enrich": {**SQL, "tabel": "x"}}, ["enrich.tabel: unknown key 'tabel'; did you mean 'table'"]),
        ({"enrich": {**SQL, "by": {"id": "1 +"}}}, ["enrich.by.id: the expression cannot be read"]),
        ({"enrich": {**SQL, "connector": "sqll"}}, ["enrich.connector: step 'enrich' cannot ask a connector 'sqll'"]),
        ({"enrich": {"account": {"password": secret("C")}}}, ["enrich: 'connector' is missing"]),
        ({"enrich": "crm"}, ["enrich: expected an object, found the text 'crm'"]),
        ({"call": {**CALL, "body": {"id": "1 +"}}}, ["call.body.id: the expression cannot be read"]),
        ({"call": {**CALL, "connector": "sql"}}, ["call.connector: step 'call' cannot ask a connector 'sql'"]),
        ({"call": {**CALL, "timeout": "soon"}}, ["call.timeout: 'soon' is not a duration"]),
    ],
    ids=str,
)
def test_mistakes_have_their_place(step: dict[str, Any], expected: list[str], accounts: Path) -> None:
    found = "\n".join(mistakes(step, accounts))
    assert all(text in found for text in expected), found
    assert leaks_in(found) == []


def test_editors_know_the_steps() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(spec({"enrich": SQL}, {"enrich": HTTP}, {"call": CALL}))
    without = {key: value for key, value in SQL.items() if key != "connector"}
    for wrong in (without, {**SQL, "tabel": "x"}, {**SQL, "missing": "ignore"}, {**HTTP, "table": "x"}):
        assert not validator.is_valid(spec({"enrich": wrong}))


def test_the_registry_says_who_can_be_asked() -> None:
    assert {"http", "sql"} <= set(registry.lookups())
    assert "http" in registry.calls()
    assert registry.lookup("sql").__name__ == "SqlLookup"
    with pytest.raises(registry.RegistryError, match="step 'call' cannot ask a connector 'kafka'"):
        registry.call("kafka")


def test_a_test_of_a_spec_answers_in_place_of_the_systems(tmp_path: Path) -> None:
    steps = [
        {"id": "customer", "enrich": {**SQL, "account": {"url": "${NOT_SET}"}}},
        {"enrich": {**SQL, "table": "t", "by": {"a": "id", "b": "customer_id"}, "into": "both", "missing": "null"}},
        {"enrich": {**HTTP, "query": {"v": "2"}, "missing": "drop"}},
        {"call": {**CALL, "account": "unknown"}},
    ]
    test = {
        "given": [{"id": number, "customer_id": number * 7} for number in (1, 2, 3, 4)],
        "answers": {
            "customer": {"7": {"name": "Ann"}, "14": {"name": "Bob"}, "28": {"name": "Eve"}},
            "enrich-2": {"1, 7": "both"},
            "enrich-3": {f"https://api.example.com/customers/{number}?v=2": number for number in (1, 4)},
            "call-4": {"/scores/1": 0.5},
        },
        "expect": {
            "sink": [
                {"id": 1, "customer_id": 7, "customer": 1, "both": "both", "score": 0.5},
            ],
            "dead_letters": [
                {"step": "customer", "error": "the test has no answer '21' for the step"},
                {"step": "call-4", "error": "the test has no answer '/scores/4' for the step"},
            ],
            "filtered": 1,
        },
    }
    trigger = {"connector": "amazon-sqs", "queue_url": "http://127.0.0.1:1/1/orders"}
    (result,) = outcomes(write(tmp_path, test, trigger=trigger, steps=steps))
    assert result.difference == []


def test_answers_are_for_steps_that_ask(tmp_path: Path) -> None:
    steps = [{"id": "customer", "enrich": SQL}, {"map": {"connector": "id", "account": "id"}}]
    (found,) = said(write(tmp_path, {"given": [{"id": 1}], "answers": {"custmer": {}}}, steps=steps))
    assert "the flow has no enrich or call step 'custmer'; did you mean 'customer'?" in found


def test_a_flow_in_python_is_tried_and_looked_at() -> None:
    with HttpServer() as server:
        server.route("/customers/7", json_reply({"name": "Ann"}))
        flow = (
            Flow("orders")
            .trigger("files", path="in/*.jsonl")
            .enrich({"connector": "http", "url": f"{server.url}/customers/{{id}}", "into": "customer"})
            .sink("stdout")
        )
        (preview,) = pass_through(flow.spec, [Record("", {"id": 7})])
        (failed,) = pass_through(flow.spec, [Record("", {"id": 8})])
    assert preview.left[0].body == {"id": 7, "customer": {"name": "Ann"}}
    assert str(failed.passages[-1].error) == f"there is nothing at {server.url}/customers/8"
    outcome = flow.test([{"id": 7}], answers={"enrich-1": {f"{server.url}/customers/7": "Bob"}})
    assert outcome.sinks == {"stdout-print": [{"id": 7, "customer": "Bob"}]}


def test_a_preview_does_not_wait_for_a_system_that_is_down() -> None:
    flow = loads(json.dumps(spec({"enrich": {**HTTP, "url": "http://127.0.0.1:1/{id}"}})))
    (preview,) = pass_through(flow, [Record("", {"id": 7})])
    assert "nothing listens" in str(preview.passages[-1].error)


def test_accounts_test_asks_what_the_steps_ask(tmp_path: Path) -> None:
    database = SqliteFile(tmp_path / "crm.db")
    database.execute("CREATE TABLE customers (id integer PRIMARY KEY, name text)")
    with HttpServer() as server:
        (tmp_path / "accounts.toml").write_text(
            f'[crm]\nurl = "{database.url}"\n[api]\nconnector = "http"\nbase_url = "{server.url}"\n'
            f'bearer_token = "{secret("Api")}"\n'
        )
        (tmp_path / "accounts.toml").chmod(0o600)
        (tmp_path / "in").mkdir()
        path = tmp_path / "spec.json"
        path.write_text(json.dumps(spec({"enrich": {**SQL, "by": {"idd": "x"}}}, {"id": "score", "call": CALL})))
        result = CliRunner().invoke(main, ["accounts", "test", "--spec", str(path)])
    assert "account crm (sql)" in result.output
    assert "step enrich-1 (sql)" in result.output
    assert "the rows have no column 'idd'; did you mean 'id'?" in result.output
    assert "step score (http)" in result.output
    assert f"{server.url} is reached; no request was made" in result.output
    assert leaks_in(result.output) == []


@pytest.mark.parametrize("command", [["validate"], ["graph"], ["graph", "--format", "json"]], ids=" ".join)
def test_commands_keep_the_secrets_of_steps(command: list[str], tmp_path: Path) -> None:
    account = {"url": f"postgresql://me:{secret('Url')}@127.0.0.1:1/crm", "password": secret("Password")}
    path = tmp_path / "spec.json"
    for steps in ([{"enrich": {**SQL, "account": account}}], [{"enrich": {**SQL, "account": account, "x": 1}}]):
        path.write_text(json.dumps(spec(*steps)))
        result = CliRunner().invoke(main, [*command, str(path)])
        assert result.exit_code == (0 if "x" not in steps[0]["enrich"] else 2), result.output
        assert leaks_in(result.output + repr(result.exception)) == []


@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_api_that_answers_with_what_it_was_told(status: int, tmp_path: Path) -> None:
    def echo(seen: Seen) -> Reply:
        return Reply(status, {"Content-Type": "text/plain"}, f"{seen.query} {dict(seen.headers)}".encode())

    with HttpServer() as server:
        for path in ("/customers/1", "/scores/1"):
            server.route(path, echo)
        account = planted_account("http", port=server.port)
        steps: list[dict[str, Any]] = [
            {"enrich": {**HTTP, "account": account, "url": "/customers/{id}"}},
            {"call": {**CALL, "account": account}},
        ]
        flows = [_failing(tmp_path / str(place), step) for place, step in enumerate(steps)]
        for flow in flows:
            _wait_for_trouble(flow)
        assert all(leaks_in(json.dumps(dict(seen.headers))) for seen in server.requests), "they were sent"
    assert {seen.path for seen in server.requests} == {"/customers/1", "/scores/1"}
    assert leaks(tmp_path) == []


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    account = planted_account("sql", port=server_port())
    flow = _failing(tmp_path / "sql", {"enrich": {**SQL, "account": account, "by": {"id": "id"}}})
    _wait_for_trouble(flow)
    assert leaks(tmp_path) == []


def _failing(directory: Path, step: dict[str, Any]) -> RunningFlow:
    directory.mkdir()
    (directory / "in.jsonl").write_text('{"id": 1}\n')
    document = spec({"id": "asks", **step}) | {"trigger": {"connector": "testbed", "path": str(directory / "in.jsonl")}}
    flow = RunningFlow(directory, document, "--status", "json", "-v", "--drain-timeout", "0")
    flow.start()
    return flow


def _wait_for_trouble(flow: RunningFlow) -> None:
    """Until the step is down, has failed, or has stopped the flow."""

    def is_there() -> bool:
        said = flow.log.read_text()
        return '"state":"down"' in said or '"failed":1' in said or flow.process.poll() is not None

    eventually(is_there, f"trouble of the step is in {flow.log}", checked=False)
    if flow.process.poll() is None:
        flow.terminate()


def test_steps_of_branches_ask_too(accounts: Path, tmp_path: Path) -> None:
    case = {"id": "known", "when": "customer_id is not None", "steps": [{"id": "who", "enrich": SQL}]}
    document = spec({"route": {"cases": [{**case, "sink": {"connector": "stdout", "id": "out"}}]}})
    flow = loads(json.dumps(document), accounts=accounts)
    (asking,) = [step for _, step in flow.named_steps() if isinstance(step, AskingStep)]
    assert isinstance(asking.asked.account, Account)
    assert asking.asked.account.known_as == "crm"
    assert leaks_in(repr(flow) + json.dumps(flow.to_spec())) == []

    trigger = {"connector": "amazon-sqs", "queue_url": "http://127.0.0.1:1/1/orders"}
    test = {
        "given": [{"customer_id": 7}],
        "answers": {"who": {"7": {"name": "Ann"}}},
        "expect": {"sinks": {"out": [{"customer_id": 7, "customer": {"name": "Ann"}}]}},
    }
    (result,) = outcomes(write(tmp_path, test, trigger=trigger, steps=document["steps"]))
    assert result.difference == []
