"""Every example is run on real systems, on orders as the demonstration sends them, until nothing is left of them."""

from __future__ import annotations

import csv
import gzip
import hmac
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.parquet as pq
import pytest

from pipelines.demo.orders import order
from tests.pipelines.commands import pipelines
from tests.pipelines.flows import PATIENCE, eventually
from tests.secrets import secret as planted
from tests.servers.http_api import Items
from tests.servers.http_server import HttpServer, Reply
from tests.servers.kafka import KafkaBroker
from tests.servers.postgresql import PostgresServer
from tests.servers.process import server_port
from tests.servers.rabbitmq import RabbitNode
from tests.servers.s3 import S3Server
from tests.servers.sqlite import SqliteFile
from tests.servers.sqs import SqsServer
from tests.sources.webhook.sender import Sender

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[1] / "examples").iterdir()
    if path.suffix != ".toml" and not path.stem.endswith(".test")
)
ORDERS = 200
Order: TypeAlias = "dict[str, Any]"


class Orders:
    """What is given to an example."""

    def __init__(self) -> None:
        chance = random.Random(1)
        self.payloads = [order(number, chance) for number in range(ORDERS)]
        """Some of them are broken on purpose."""
        self.good = [found for payload in self.payloads for found in _good(payload)]

    def paid(self, above: float = 0) -> list[Order]:
        """Paid orders, as most of the examples deliver them."""
        return [
            {"id": each["order_id"], "cents": round(each["total"] * 100), "customer": each["customer"]["email"].lower()}
            for each in self.good
            if each["status"] == "paid" and each["total"] > above
        ]


def _good(payload: bytes) -> Iterator[Order]:
    with suppress(ValueError):
        found = json.loads(payload)
        if isinstance(found, dict) and "status" in found:
            yield found


@dataclass
class Stage:
    """Systems with orders in them, and what an example should make of these."""

    settings: dict[str, str]
    """The environment variables by which the example finds the systems."""
    expected: list[Any]
    """What it should deliver, in any order."""
    delivered: Callable[[], list[Any]]
    """What it has delivered."""
    received: int = ORDERS
    failed: int = 0
    left: Callable[[], int] = lambda: 0
    """How many of the orders are not taken out of the system yet."""
    options: tuple[str, ...] = ("--until-idle", "5")
    """How the run ends; without them it is stopped when everything is sent."""
    send: Callable[[], None] = lambda: None
    """Sends the orders to the flow that runs."""
    cursor: str | None = None
    """Where it is set to begin."""


class Systems:
    """The systems of the tests, each started when it is asked for."""

    def __init__(self, request: pytest.FixtureRequest, directory: Path) -> None:
        self._request = request
        self.directory = directory
        """Where the example runs."""

    def __getattr__(self, name: str) -> Any:
        return self._request.getfixturevalue(name)


@pytest.fixture
def systems(request: pytest.FixtureRequest, tmp_path: Path) -> Systems:
    return Systems(request, tmp_path)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


def queue_to_file(systems: Systems, orders: Orders) -> Stage:
    settings, left = _in_sqs(systems.sqs, orders)
    file = systems.directory / "paid-orders.jsonl"
    return Stage(settings, orders.paid(above=100), lambda: _lines(file), failed=_broken(orders), left=left)


def queue_with_customers(systems: Systems, orders: Orders) -> Stage:
    settings, left = _in_sqs(systems.sqs, orders)
    sqlite, file = SqliteFile(systems.directory / "customers.db"), systems.directory / "orders.jsonl"
    sqlite.execute("CREATE TABLE customers (email TEXT PRIMARY KEY, name TEXT, tier TEXT)")
    customers = {
        each["customer"]["email"].lower(): {"name": each["customer"]["name"], "tier": "gold"}
        for each in orders.good[::2]
    }
    for email, known in customers.items():
        sqlite.execute("INSERT INTO customers VALUES (?, ?, ?)", (email, known["name"], known["tier"]))
    expected = [
        {"order_id": each["order_id"], "customer": customers.get(each["customer"]["email"].lower())}
        for each in orders.good
        if each["status"] == "paid"
    ]
    return Stage(settings, expected, lambda: _lines(file), failed=_broken(orders), left=left)


def queue_by_status(systems: Systems, orders: Orders) -> Stage:
    settings, left = _in_sqs(systems.sqs, orders)
    expected = []
    for each in orders.good:
        if each["status"] == "paid":
            expected.append(("large-orders" if each["total"] > 200 else "paid-orders", each["order_id"]))
        elif each["status"] != "cancelled":
            expected.append(("other-orders", each["order_id"]))

    def delivered() -> list[Any]:
        files = systems.directory.glob("*-orders.jsonl")
        return [(file.stem, each["order_id"]) for file in files for each in _lines(file)]

    return Stage(settings, expected, delivered, failed=_broken(orders), left=left)


def queue_to_stdout(systems: Systems, orders: Orders) -> Stage:
    settings, left = _in_sqs(systems.sqs, orders)
    items = [
        {"order": each["order_id"], "sku": item["sku"], "cents": item["quantity"] * item["price"] * 100}
        for each in orders.good
        for item in each["items"]
    ]
    file = systems.directory / "stdout.txt"
    return Stage(settings, items, lambda: _lines(file), failed=_broken(orders), left=left)


def rabbitmq_to_kafka(systems: Systems, orders: Orders) -> Stage:
    rabbitmq: RabbitNode = systems.rabbitmq
    queue = rabbitmq.create_queue(quorum=True)
    rabbitmq.publish(queue, *orders.payloads)
    settings = {"RABBITMQ_URL": rabbitmq.url, "ORDERS_QUEUE": queue}
    stage = _to_kafka(systems.kafka, settings, orders)
    stage.left = lambda: sum(rabbitmq.depth(queue))
    return stage


def kafka_to_kafka(systems: Systems, orders: Orders) -> Stage:
    kafka: KafkaBroker = systems.kafka
    topic = kafka.create_topic()
    kafka.produce(topic, *orders.payloads)
    stage = _to_kafka(kafka, {"ORDERS": topic}, orders)
    stage.left = lambda: kafka.lag("orders-exactly-once", topic)
    return stage


def rows_to_rabbitmq(systems: Systems, orders: Orders) -> Stage:
    postgresql: PostgresServer = systems.postgresql
    rabbitmq: RabbitNode = systems.rabbitmq
    table = postgresql.create_table(
        "order_id text PRIMARY KEY, status text, total numeric(12, 2), email text, updated_at timestamptz DEFAULT now()"
    )
    rows = [(each["order_id"], each["status"], each["total"], each["customer"]["email"]) for each in orders.good]
    # In one transaction: all have the same time.
    with closing(postgresql.connect()) as connection, connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s, %s, %s)", rows)
        connection.commit()
    queue = rabbitmq.create_queue()
    settings = {
        "DATABASE_URL": postgresql.url,
        "ORDERS_TABLE": table,
        "RABBITMQ_URL": rabbitmq.url,
        "PAID_ORDERS": queue,
    }
    return Stage(
        settings,
        orders.paid(),
        lambda: [json.loads(body) for body in rabbitmq.drain(queue)],
        received=len(orders.paid()),
    )


def api_to_sqlite(systems: Systems, orders: Orders) -> Stage:
    items, sqlite = Items(systems.server), SqliteFile(systems.directory / "orders.db")
    items.add(
        *(
            {**each, "id": number, "updated_at": f"2024-05-01T10:{number // 60:02}:{number % 60:02}Z"}
            for number, each in enumerate(orders.good)
        )
    )
    sqlite.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT, cents INTEGER, updated_at TEXT)")
    return Stage(
        {"ORDERS_API": f"{items.url}/links"},
        [(each["order_id"], each["status"], round(each["total"] * 100)) for each in orders.good],
        lambda: sqlite.execute("SELECT id, status, cents FROM orders"),
        received=len(orders.good),
    )


def webhook_to_kafka(systems: Systems, orders: Orders) -> Stage:
    secret, port = planted("Webhook"), server_port()

    def send() -> None:
        with closing(Sender(port, "/hooks/orders")) as sender:
            for payload in orders.payloads:
                signature = hmac.digest(secret.encode(), payload, "sha256").hex()
                sender.send([payload], headers={"X-Signature-256": f"sha256={signature}"})
            eventually(lambda: not sender.unanswered(), "all orders are answered with 202", sender.answers.total)

    settings = {"WEBHOOK_SECRET": secret, "WEBHOOK_PORT": str(port)}
    stage = _to_kafka(systems.kafka, settings, orders)
    stage.send, stage.options = send, ()
    return stage


def objects_to_postgresql(systems: Systems, orders: Orders) -> Stage:
    s3: S3Server = systems.s3
    postgresql: PostgresServer = systems.postgresql
    bucket = s3.create_bucket()
    half = b"\n".join(orders.payloads[: ORDERS // 2]), b"\n".join(orders.payloads[ORDERS // 2 :])
    s3.put(bucket, "orders/1.jsonl", half[0])
    s3.put(bucket, "orders/2.jsonl.gz", gzip.compress(half[1]))
    s3.put(bucket, "other.txt", b"not of the prefix")
    table = postgresql.create_table("id text PRIMARY KEY, status text, cents bigint, customer jsonb")
    settings = {
        "S3_ENDPOINT": s3.account["endpoint_url"],
        "ORDERS_BUCKET": bucket,
        "DATABASE_URL": postgresql.url,
        "ORDERS_TABLE": table,
    }
    return Stage(
        settings,
        [(each["order_id"], each["status"], round(each["total"] * 100), each["customer"]) for each in orders.good],
        lambda: postgresql.execute(f"SELECT id, status, cents, customer FROM {table}"),
        failed=_broken(orders),
    )


def folder_to_s3(systems: Systems, orders: Orders) -> Stage:
    s3: S3Server = systems.s3
    bucket, folder = s3.create_bucket(), systems.directory / "inbox"
    folder.mkdir()
    with (folder / "monday.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["order_id", "status", "total"])
        rows.writerows([each["order_id"], each["status"], each["total"]] for each in orders.good)
        rows.writerow(["A-1", "paid"])
    settings = {"S3_ENDPOINT": s3.account["endpoint_url"], "ORDERS_BUCKET": bucket}
    expected = [(each["order_id"], each["status"], each["total"], "monday.csv") for each in orders.good]

    def delivered() -> list[Any]:
        tables = [pq.read_table(io.BytesIO(s3.get(bucket, key))) for key in s3.keys(bucket, "lake/orders/status=")]
        rows = [tuple(row.values()) for table in tables for row in table.to_pylist()]
        return [(name, status, float(total), file) for name, status, total, file in rows]

    return Stage(
        settings,
        expected,
        delivered,
        received=len(orders.good) + 1,
        failed=1,
        left=lambda: len(list(folder.glob("*.csv"))),
    )


def clock_to_http(systems: Systems, orders: Orders) -> Stage:
    """Nobody waits for a morning: the cursor is set to one long ago, and the spec asks for what was missed, once."""
    server: HttpServer = systems.server
    server.route("/reports", Reply(202))

    def delivered() -> list[Any]:
        asked = [seen.json() for seen in server.seen("/reports")]
        times = [datetime.fromisoformat(each["asked_at"]) for each in asked]
        days = [date.fromisoformat(each["day"]) for each in asked]
        return [
            (time.hour, time.weekday() < 5, time.date() - day, str(time.utcoffset()) in ("1:00:00", "2:00:00"))
            for time, day in zip(times, days, strict=True)
        ]

    return Stage(
        {"REPORTS_API": f"{server.url}/reports"},
        [(7, True, timedelta(days=1), True)],
        delivered,
        received=1,
        # Else it could be seven o'clock once more.
        options=("--limit", "1"),
        cursor="2024-05-01T00:00:00Z",
    )


def _in_sqs(sqs: SqsServer, orders: Orders) -> tuple[dict[str, str], Callable[[], int]]:
    url = sqs.create_queue()
    for payload in orders.payloads:
        sqs.client.send_message(QueueUrl=url, MessageBody=payload.decode())
    return {"SQS_ENDPOINT": sqs.endpoint, "ORDERS_QUEUE_URL": url}, lambda: sum(sqs.depth(url))


def _to_kafka(kafka: KafkaBroker, settings: dict[str, str], orders: Orders) -> Stage:
    topic, expected = kafka.create_topic(), orders.paid()

    def delivered() -> list[Any]:
        return [json.loads(message.value() or b"") for message in kafka.consume(topic, len(expected))]

    settings = {**settings, "KAFKA_SERVERS": kafka.bootstrap_servers, "PAID_ORDERS": topic}
    return Stage(settings, expected, delivered, failed=_broken(orders))


def _broken(orders: Orders) -> int:
    return ORDERS - len(orders.good)


def _lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


STAGES: dict[str, Callable[[Systems, Orders], Stage]] = {
    "csv-folder-to-s3.yaml": folder_to_s3,
    "every-morning.json": clock_to_http,
    "new-rows-to-rabbitmq.json": rows_to_rabbitmq,
    "objects-to-postgresql.yaml": objects_to_postgresql,
    "order-items.yaml": queue_to_stdout,
    "orders-by-status.json": queue_by_status,
    "orders-exactly-once.json": kafka_to_kafka,
    "orders-from-rabbitmq.yaml": rabbitmq_to_kafka,
    "orders-with-customers.yaml": queue_with_customers,
    "orders.json": queue_to_file,
    "rest-api-to-sqlite.yaml": api_to_sqlite,
    "webhook-to-kafka.json": webhook_to_kafka,
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example: Path, systems: Systems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders()
    assert 0 < _broken(orders) < ORDERS / 5
    stage = STAGES[example.name](systems, orders)
    for name, value in stage.settings.items():
        monkeypatch.setenv(name, value)
    if stage.cursor is not None:
        was_set = pipelines(tmp_path, "cursor", str(example), "set", stage.cursor)
        assert was_set.returncode == 0, was_set.stderr

    last = _run(example, stage, tmp_path)

    assert last["received"] == stage.received
    assert last["failed"] == stage.failed
    delivered = stage.delivered()
    assert sorted(delivered, key=str) == sorted(stage.expected, key=str)
    assert stage.left() == 0


def _run(example: Path, stage: Stage, directory: Path) -> dict[str, Any]:
    """Run an example to its end; answers its last status."""
    command = [sys.executable, "-m", "pipelines", "run", str(example), "--status", "json", *stage.options]
    errors = directory / "stderr.txt"
    with (
        (directory / "stdout.txt").open("wb") as out,
        errors.open("wb") as err,
        subprocess.Popen(command, cwd=directory, stdout=out, stderr=err, env=os.environ) as run,
    ):
        try:
            stage.send()
            if not stage.options:
                run.send_signal(signal.SIGTERM)
            code = run.wait(PATIENCE)
        finally:
            run.kill()
    assert code == 0, errors.read_text()
    last: dict[str, Any] = json.loads(errors.read_text().splitlines()[-1])
    return last
