"""Secrets are found nowhere: not in logs, output, errors, status and state of flows that fail, nor in tracebacks."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, SecretStr

from flowspec import registry
from flowspec.loading.document import texts
from flowspec.loading.problems import Path as FieldPath
from flowspec.loading.secret_fields import is_secret
from pipelines import logs
from pipelines.accounts.editing import with_table
from pipelines.accounts.models import model_for
from pipelines.cli import main
from sources.testing.flows import RunningFlow, eventually
from tests.secrets import STEM, leaks, leaks_in, planted_account, secret
from tests.servers.http_server import HttpServer, Reply, Seen
from tests.servers.process import server_port

TRIGGERS: dict[str, dict[str, Any]] = {
    "amazon-s3": {"bucket": "orders"},
    "amazon-sqs": {"queue_url": "http://127.0.0.1:1/1/orders"},
    "http": {"event": "poll-endpoint", "url": "/orders"},
    "kafka": {"topics": ["orders"]},
    "rabbitmq": {"queue": "orders"},
    "sql": {"table": "orders", "cursor_column": "id"},
}
SINKS: dict[str, dict[str, Any]] = {
    "amazon-s3": {"bucket": "orders"},
    "amazon-sqs": {"queue_url": "http://127.0.0.1:1/1/orders"},
    "http": {"url": "/orders"},
    "kafka": {"topic": "orders"},
    "rabbitmq": {"routing_key": "orders"},
    "sql": {"table": "orders"},
}
DROP = {"connector": "drop"}


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    RunningFlow.kill_all()


def reading(connector: str, account: Any) -> dict[str, Any]:
    """A flow that reads from a system."""
    trigger = {"connector": connector, "account": account, **TRIGGERS[connector]}
    return {"name": f"from-{connector}", "trigger": trigger, "sink": DROP}


def writing(connector: str, account: Any, directory: Path) -> dict[str, Any]:
    """A flow that has a record for a system."""
    (directory / "in.jsonl").write_text('{"id": 1}\n')
    trigger = {"connector": "testbed", "path": str(directory / "in.jsonl")}
    sink = {"connector": connector, "account": account, **SINKS[connector], "id": "out"}
    return {"name": f"to-{connector}", "trigger": trigger, "sink": sink}


def log_as_verbose(caplog: pytest.LogCaptureFixture) -> None:
    """Log what a run logs that is verbose."""
    caplog.set_level(logging.DEBUG)
    for name, level in logs.TALKATIVE.items():
        logging.getLogger(name).setLevel(level)


def started(directory: Path, spec: dict[str, Any], *options: str) -> RunningFlow:
    flow = RunningFlow(directory, spec, "--status", "json", "-v", "--drain-timeout", "0", *options)
    flow.start()
    return flow


def has_failed(flow: RunningFlow) -> bool:
    return '"state":"down"' in flow.log.read_text() or flow.process.poll() is not None


@pytest.mark.parametrize("direction", ["from", "to"])
def test_flows_whose_systems_do_not_answer(tmp_path: Path, direction: str) -> None:
    flows, port = [], server_port()
    for connector in TRIGGERS:
        directory = tmp_path / connector
        directory.mkdir()
        account = planted_account(connector, port=port)
        if direction == "from":
            (directory / "accounts.toml").write_text(with_table("", "planted", account))
            flows.append(started(directory, reading(connector, "planted")))
        else:
            flows.append(started(directory, writing(connector, account, directory), "--log-format", "json"))
    for flow in flows:
        eventually(lambda flow=flow: has_failed(flow), f"{flow.spec['name']} has failed", checked=False)  # type: ignore[misc]
        if flow.process.poll() is None:
            flow.terminate()
        said = flow.log.read_text()
        assert '"state":"down"' in said or "error: " in said, said
    assert leaks(tmp_path) == []


def echo(status: int) -> Callable[[Seen], Reply]:
    """A server that puts into its answer all that it was told, as a careless one does when it is debugged."""

    def answer(seen: Seen) -> Reply:
        said = json.dumps({"path": seen.path, "query": seen.query, "headers": dict(seen.headers)})
        return Reply(status, {"Content-Type": "application/json"}, said.encode())

    return answer


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_an_api_that_answers_with_what_it_was_told(tmp_path: Path, status: int) -> None:
    with HttpServer() as server:
        server.route("/orders", echo(status))
        account = planted_account("http", port=server.port)
        flows = []
        for direction in ("from", "to"):
            directory = tmp_path / direction
            directory.mkdir()
            spec = reading("http", account) if direction == "from" else writing("http", account, directory)
            if direction == "from":
                spec["trigger"]["items"] = "body.items"
            flows.append(started(directory, spec, "--until-idle", "0.5"))
        for flow in flows:
            eventually(lambda flow=flow: has_failed(flow), f"{flow.spec['name']} has failed", checked=False)  # type: ignore[misc]
            if flow.process.poll() is None:
                flow.terminate()
        requests = server.seen("/orders")
    assert {request.method for request in requests} == {"GET", "POST"}
    assert all(leaks_in(json.dumps(dict(request.headers))) for request in requests), "they were sent"
    assert leaks(tmp_path) == []


def test_commands_that_look_at_accounts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log_as_verbose(caplog)
    port, said = server_port(), ""
    text = ""
    for connector in TRIGGERS:
        account = {"connector": connector, **planted_account(connector, port=port)}
        text = with_table(text, connector, account)
    (tmp_path / "accounts.toml").write_text(text)
    (tmp_path / "accounts.toml").chmod(0o644)
    for arguments in (["list"], ["test"]):
        result = CliRunner().invoke(main, ["accounts", *arguments, "--accounts", str(tmp_path / "accounts.toml")])
        said += result.output + repr(result.exception)
        assert "Traceback" not in result.output
    assert all(f"account {connector} ({connector})" in said for connector in TRIGGERS)
    assert leaks_in(said + caplog.text) == []


@pytest.mark.parametrize("connector", ["amazon-sqs", "http", "sql"])
@pytest.mark.parametrize(
    "arguments",
    [["validate"], ["graph"], ["graph", "--format", "json"], ["sample", "--wait", "0.1"], ["cursor"]],
    ids=" ".join,
)
def test_commands_that_look_at_a_spec(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, connector: str, arguments: list[str]
) -> None:
    log_as_verbose(caplog)
    spec = reading(connector, planted_account(connector))
    spec["sinks"] = [spec.pop("sink"), {"connector": connector, "account": "planted", **SINKS[connector], "id": "out"}]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    (tmp_path / "accounts.toml").write_text(with_table("", "planted", planted_account(connector)))
    command = [arguments[0], str(tmp_path / "spec.json"), *arguments[1:], "--accounts", str(tmp_path / "accounts.toml")]
    if arguments[0] in ("sample", "cursor"):
        command += ["--state-dir", str(tmp_path / "state")]
    result = CliRunner().invoke(main, command)
    assert result.output
    assert leaks_in(result.output + repr(result.exception) + caplog.text) == []
    assert leaks(tmp_path) == []


MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("amazon-sqs", {"secret_access_key": [secret("List")]}),
    ("amazon-sqs", {"region": {"a": secret("Region")}}),
    ("amazon-sqs", {"access_key_id": None}),
    ("amazon-sqs", {"endpoint_url": f"ftp://me:{secret('Endpoint')}@host/"}),
    ("amazon-sqs", {"no_field": 1, "x": secret("Unknown")}),
    ("http", {"base_url": f"http://me:{secret('Base')}@host/"}),
    ("http", {"headers": {"X-Tenant": 5, "a b": secret("Header")}}),
    ("http", {"bearer_token": secret("Bearer")}),
    ("http", {"oauth2": {"token_url": f"http://me:{secret('Token')}@host/", "client_id": "a"}}),
    ("kafka", {"properties": {"sasl.password": secret("Property")}}),
    ("kafka", {"bootstrap_servers": f"me:{secret('Server')}@host:9092"}),
    ("kafka", {"schema_registry": {"url": f"ftp://me:{secret('Registry')}@host"}}),
    ("rabbitmq", {"url": f"amqp://me:{secret('a/b')}@host:5672/"}),
    ("rabbitmq", {"url": f"amqp://me:{secret('a#b')}@host/"}),
    ("rabbitmq", {"url": f"http://me:{secret('Url')}@host/"}),
    ("rabbitmq", {"heartbeat": secret("Heartbeat")}),
    ("sql", {"url": secret("NoUrl")}),
    ("sql", {"url": f"sqlite://{secret('Sqlite')}"}),
    ("sql", {"options": secret("Options")}),
    ("sql", {"pasword": secret("Pasword")}),
]


@pytest.mark.parametrize(("connector", "wrong"), MISTAKES)
@pytest.mark.parametrize("where", ["spec", "file", "environment"])
def test_mistakes_in_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connector: str, wrong: dict[str, Any], where: str
) -> None:
    account = {name: value for name, value in {**planted_account(connector), **wrong}.items() if value is not None}
    if where == "environment":
        for path, text in texts(account):
            name = "__".join(map(str, path)).upper()
            monkeypatch.setenv(f"PIPELINES_ACCOUNT_PLANTED__{name}", text)
    elif where == "file":
        (tmp_path / "accounts.toml").write_text(with_table("", "planted", account))
    spec = reading(connector, account if where == "spec" else "planted")
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    result = CliRunner().invoke(main, ["validate", str(tmp_path / "spec.json")])
    assert leaks_in(result.output + repr(result.exception)) == []


def test_models_show_no_secret() -> None:
    for connector in TRIGGERS:
        account = model_for(connector).model_validate(planted_account(connector))
        assert leaks_in(f"{account!r} {account} {account.named('planted')!r} {account.model_dump_json()}") == []


def test_every_secret_field_is_planted() -> None:
    """A field that is new, and secret, is to be planted in `tests/secrets.py`, unless another one excludes it."""
    excluded = {
        ("http", ("bearer_token",)),
        ("http", ("oauth2", "client_secret")),
        ("rabbitmq", ("urls",)),
    }
    connectors = {each.name: each.account for each in registry.connectors() if each.account is not None}
    ours = {name: model for name, model in connectors.items() if not model.__module__.startswith("tests.")}
    assert set(ours) == set(TRIGGERS)
    for name, model in ours.items():
        planted = {path for path, text in texts(planted_account(name)) if STEM in text}
        missing = {
            path
            for path in secret_fields(model)
            if (name, path) not in excluded and not any(each[: len(path)] == path for each in planted)
        }
        assert missing == set(), name


def secret_fields(model: type[BaseModel], above: FieldPath = ()) -> Iterator[FieldPath]:
    for name, field in model.model_fields.items():
        options = [each for each in get_args(field.annotation) if isinstance(each, type) and not get_args(each)]
        models = [each for each in options if issubclass(each, BaseModel)]
        if is_secret(model, (name,)):
            yield (*above, name)
        for each in models:
            yield from secret_fields(each, (*above, name))


@pytest.mark.plants("log.txt")
def test_what_is_planted_is_found_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "log.txt").write_text(f"a line\npassword={secret('Plain')}, and more\n")
    (tmp_path / "state" / "spec.json").write_text(secret("Given"))
    (tmp_path / "fine.txt").write_text("********")
    assert leaks(tmp_path) == ["state/log.txt: a line\npassword=<planted secret Plain>, and more\n"]
    assert len(leaks(tmp_path, given=())) == 2
    assert leaks_in(f"no host {secret('Host').lower()}")
    assert leaks_in(repr(SecretStr(secret("Masked")))) == []
    for user in ("", "a", "ab", "abc", "abcd"):
        assert leaks_in(base64.b64encode(f"{user}:{secret('Basic')}".encode()))
