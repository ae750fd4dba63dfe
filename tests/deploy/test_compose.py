"""compose.yaml: by the rules of Compose, by what the product knows, and its flows on real systems."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from compose_spec import PyCompose
from pika.exceptions import ChannelClosedByBroker

from tests.deploy.files import ROOT, documents, is_served, run_options, validate
from tests.pipelines.flows import ENVIRONMENT, RunningFlow, eventually
from tests.servers.kafka import KafkaBroker
from tests.servers.postgresql import PostgresServer
from tests.servers.rabbitmq import RabbitNode
from tests.servers.sqs import SqsServer

COMPOSE = ROOT / "compose.yaml"
FLOWS = ROOT / "deploy" / "compose" / "flows"
TABLES = ROOT / "deploy" / "compose" / "tables.sql"
SERVICES: dict[str, dict[str, Any]] = documents(COMPOSE)[0]["services"]
FLOW_SERVICES = {name: service for name, service in SERVICES.items() if service.get("image") == "trigger-flows"}
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")
SHOP_PASSWORD = {"PIPELINES_ACCOUNT_SHOP__PASSWORD": "any"}
"""In place of the secret that a container has."""


def _defaults(text: str) -> str:
    """A text with what Compose puts in place of variables that nobody has set."""
    return DEFAULT.sub(lambda match: match[2], text)


def _environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: _defaults(str(value)) for name, value in service.get("environment", {}).items()}


def test_it_is_valid() -> None:
    # Of the merge keys of YAML, Compose sees what they merge.
    PyCompose.from_json(json.dumps(documents(COMPOSE)[0])).validate()


def test_its_ports_are_for_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_waited_for_can_come() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                # The image of flows brings its own.
                assert needed in FLOW_SERVICES or "healthcheck" in SERVICES[needed]
            else:
                assert how == {"condition": "service_completed_successfully"}
                assert "restart" not in SERVICES[needed]


def test_the_files_that_are_mounted_exist() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(files) >= len(FLOW_SERVICES)
    assert all((ROOT / file).exists() for file in files)


@pytest.mark.parametrize("name", FLOW_SERVICES)
def test_a_flow_is_started_as_the_command_line_wants_it(name: str) -> None:
    service = FLOW_SERVICES[name]
    options = run_options(service["command"])
    assert options["http"] == ("0.0.0.0", 8080), "where the health check of the image asks"
    grace = float(service["stop_grace_period"].removesuffix("s"))
    assert options["drain_timeout"] < grace
    assert f"{name}-state:{options['state_dir']}" in service["volumes"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


def test_one_flow_has_three_workers() -> None:
    assert run_options(FLOW_SERVICES["orders"]["command"])["workers"] == 3


@pytest.mark.parametrize("name", FLOW_SERVICES)
def test_a_flow_is_valid_with_the_variables_of_its_service(name: str) -> None:
    service = FLOW_SERVICES[name]
    spec = FLOWS / run_options(service["command"])["spec"].name

    assert validate(spec, {**_environment(service), **SHOP_PASSWORD}).endswith(f"{spec.name}: ok\n")


def test_the_accounts_are_those_of_the_services() -> None:
    accounts = (FLOWS / "accounts.toml").read_text()
    hosts = set(re.findall(r"(?:://|@|= \")([a-z]+)(?::\d+|/\w+)\"", accounts))
    assert hosts == {"rabbitmq", "kafka", "postgresql", "elasticmq"}
    assert hosts <= SERVICES.keys()
    for secret in re.findall(r"\$\{file:/run/secrets/([\w-]+)\}", accounts):
        assert secret in FLOW_SERVICES["orders"]["secrets"]


def test_no_password_stands_in_it() -> None:
    document = documents(COMPOSE)[0]
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "PASS" in name:
                assert str(value).startswith(("${", "/run/secrets/")), name
    for secret in document["secrets"].values():
        assert (ROOT / _defaults(secret["file"])).is_file()


def test_prometheus_asks_each_flow() -> None:
    (config,) = documents(ROOT / "deploy" / "compose" / "prometheus.yml")
    (job,) = config["scrape_configs"]
    targets = [target for each in job["static_configs"] for target in each["targets"]]
    assert sorted(targets) == sorted(f"{name}:8080" for name in FLOW_SERVICES)
    assert is_served(job.get("metrics_path", "/metrics"))


def test_what_its_servers_are_given_is_what_its_flows_name() -> None:
    given = _environment(SERVICES["orders"])
    assert f"--topic={given['PAID_ORDERS_TOPIC']}" in SERVICES["topics"]["command"]
    queue = given["INVOICES_QUEUE_URL"].rpartition("/")[2]
    assert re.search(rf"^  {queue} {{", (ROOT / "deploy" / "compose" / "elasticmq.conf").read_text(), re.MULTILINE)
    assert f"CREATE TABLE {_table()} " in TABLES.read_text()


class Systems:
    """Servers of the tests in place of those of compose.yaml."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.rabbitmq: RabbitNode = request.getfixturevalue("rabbitmq")
        self.postgresql: PostgresServer = request.getfixturevalue("postgresql")
        self._kafka: KafkaBroker = request.getfixturevalue("kafka")
        self._sqs: SqsServer = request.getfixturevalue("sqs")
        self._topic, self._queue = self._kafka.create_topic(partitions=3), self._sqs.create_queue()
        self.variables = {
            "PAID_ORDERS_TOPIC": self._topic,
            "INVOICES_QUEUE_URL": self._queue,
            "RABBITMQ_PASSWORD": urlsplit(self.rabbitmq.url).password or "",
            "PIPELINES_ACCOUNT_RABBIT__URL": self.rabbitmq.url,
            "PIPELINES_ACCOUNT_RABBIT__USERNAME": "guest",
            "PIPELINES_ACCOUNT_KAFKA__BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            "PIPELINES_ACCOUNT_SHOP__URL": self.postgresql.url,
            "PIPELINES_ACCOUNT_SHOP__PASSWORD": urlsplit(self.postgresql.url).password or "",
            "PIPELINES_ACCOUNT_QUEUES__ENDPOINT_URL": self._sqs.endpoint,
            "PIPELINES_ACCOUNT_QUEUES__REGION": self._sqs.account["region"],
        }
        """How the flows are told of them."""

    def rows(self) -> list[str]:
        """What is in the table."""
        return [row[0] for row in self.postgresql.execute(f"SELECT id FROM {_table()}")]

    def messages(self) -> list[str]:
        """What is in the topic."""
        return [json.loads(message.value() or b"")["id"] for message in self._kafka.consume(self._topic)]

    def invoices(self) -> list[str]:
        """What is in the queue, which is empty then."""
        return [json.loads(body)["id"] for body in self._sqs.drain(self._queue)]

    def has_orders(self) -> bool:
        """Whether the flow has made the queue that it reads."""
        with closing(self.rabbitmq.connect()) as connection:
            try:
                connection.channel().queue_declare("orders", passive=True)
            except ChannelClosedByBroker:
                return False
        return True


@pytest.fixture
def systems(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systems]:
    systems = Systems(request)
    for name, value in systems.variables.items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    systems.postgresql.execute(TABLES.read_text())
    yield systems
    systems.postgresql.execute(f"DROP TABLE {_table()}")
    with closing(systems.rabbitmq.connect()) as connection:
        connection.channel().queue_delete("orders")


def test_the_flows_run(systems: Systems, tmp_path: Path) -> None:
    """As in compose.yaml, with three workers: what the shop sells is in the topic, the table and the queue, once."""
    orders = _flow("orders", tmp_path, "--workers", "3")
    with orders.running():
        eventually(systems.has_orders, "the flow has made its queue")
        with _flow("shop", tmp_path).running():
            eventually(lambda: len(systems.rows()) >= 10, "ten orders are in the table", systems.rows)
        eventually(lambda: sum(systems.rabbitmq.depth("orders")) == 0, "no order is left in the queue")

    sold = sorted(systems.rows())
    assert sorted(systems.messages()) == sold
    assert sorted(systems.invoices()) == sold
    assert orders.dead_letters() == []


def _flow(name: str, directory: Path, *options: str) -> RunningFlow:
    folder = directory / name
    folder.mkdir()
    shutil.copy(FLOWS / "accounts.toml", folder)
    return RunningFlow(folder, json.loads((FLOWS / f"{name}.json").read_text()), *options)


def _table() -> str:
    sinks = json.loads((FLOWS / "orders.json").read_text())["sinks"]
    (table,) = [sink["table"] for sink in sinks if sink["connector"] == "sql"]
    return str(table)
