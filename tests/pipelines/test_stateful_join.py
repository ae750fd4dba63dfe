"""Joins of real runs: killed in the middle, with records of the other side that fail, and until nothing comes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.pipelines.commands import pipelines
from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.kafka import KafkaBroker

CUSTOMERS = 40
ORDERS = 400


class Shop:
    """The table of customers."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "shop.sqlite"
        accounts = directory / "accounts.toml"
        accounts.write_text(f'[shop]\nurl = "sqlite:///{self._path}"\n')
        accounts.chmod(0o600)
        with closing(sqlite3.connect(self._path)) as database, database:
            database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, version INTEGER)")

    def put(self, *rows: tuple[int, str | None, int]) -> None:
        with closing(sqlite3.connect(self._path)) as database, database:
            database.executemany("INSERT OR REPLACE INTO customers VALUES (?, ?, ?)", rows)


def table(**more: Any) -> dict[str, Any]:
    """The trigger of the other side; its account is one of the file beside the spec."""
    return {
        "connector": "sql",
        "account": "shop",
        "table": "customers",
        "cursor_column": "version",
        "interval": "100ms",
        "batch_size": 5,
        **more,
    }


def spec(trigger: dict[str, Any], directory: Path, other: dict[str, Any], **options: Any) -> dict[str, Any]:
    join = {"with": other, "key": "customer", "with_key": "id", "into": "known", **options}
    return {
        "name": "joined",
        "trigger": {"batch_size": 10, "external_id": "id", **trigger},
        "steps": [{"id": "customers", "join": join}, {"count_by": {"key": "customer", "into": "count"}}],
        "sink": {"connector": "testbed", "action": "flaky", "path": str(directory / "out.jsonl"), "sleep": "10ms"},
    }


def order(number: int) -> dict[str, Any]:
    return {"id": number, "customer": number % CUSTOMERS}


def into_folder(directory: Path, orders: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Have orders in a file; answers the trigger."""
    path = directory / "orders.jsonl"
    with path.open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in orders)
    return {"connector": "files", "path": str(path), "interval": "50ms", "settle_time": 0}


def into_topic(kafka: KafkaBroker, orders: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Have orders in a topic; answers the trigger."""
    topic = kafka.create_topic(4)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    for each in orders:
        producer.produce(topic, json.dumps(each), str(each["customer"]))
    assert producer.flush(60) == 0
    return {"connector": "kafka", "account": kafka.account, "topics": [topic]}


@pytest.mark.parametrize(("system", "workers"), [("files", 1), ("kafka", 2)])
def test_nothing_is_lost_or_remembered_twice(
    request: pytest.FixtureRequest, tmp_path: Path, system: str, workers: int
) -> None:
    orders = [order(number) for number in range(ORDERS)]
    put: dict[str, Callable[[], dict[str, Any]]] = {
        "files": lambda: into_folder(tmp_path, orders),
        "kafka": lambda: into_topic(request.getfixturevalue("kafka"), orders),
    }
    shop = Shop(tmp_path)
    known = range(CUSTOMERS // 2)
    shop.put(*((number, f"name-{number}", number) for number in known))
    flow = RunningFlow(tmp_path, spec(put[system](), tmp_path, table(), wait="1h"), "--workers", str(workers))
    output = Output(tmp_path / "out.jsonl")

    flow.start()
    eventually(lambda: len(output.lines()) >= ORDERS // 8, "some are joined", lambda: len(output.lines()))
    flow.kill()
    # The others wait, through a kill and a start.
    flow.start()
    joined = ORDERS // 2
    eventually(lambda: len(ids(output)) >= joined, "all are joined that can be", lambda: len(ids(output)))
    shop.put(*((number, f"name-{number}", number) for number in range(known.stop, CUSTOMERS)))
    eventually(lambda: len(ids(output)) > joined, "those that waited are joined", lambda: len(ids(output)))
    flow.kill()
    flow.start("--until-idle", "1s")
    assert flow.wait() == 0, flow.log.read_text()

    assert flow.dead_letters() == []
    assert ids(output) == set(range(ORDERS)), "nothing is lost"
    counts: dict[tuple[int, int], int] = {}
    for line in output.lines():
        customer = line["id"] % CUSTOMERS
        assert line["known"] == {"id": customer, "name": f"name-{customer}", "version": customer}
        # What comes again after a kill is the same again, or another one in the same place.
        counts[customer, line["id"]] = line["count"]
    last = Counter(customer for customer, _ in counts)
    for customer in range(CUSTOMERS):
        seen = sorted(count for (each, _), count in counts.items() if each == customer)
        assert seen == list(range(1, last[customer] + 1)), "each order counts once"


def ids(output: Output) -> set[int]:
    return {line["id"] for line in output.lines()}


def test_a_record_of_the_other_side_that_fails_is_replayed_to_its_side(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.put((1, "Ann", 1), (2, None, 2))
    trigger = into_folder(tmp_path, [{"id": "A", "customer": 1}, {"id": "B", "customer": 2}])
    flow = RunningFlow(tmp_path, spec(trigger, tmp_path, table(external_id="name.lower()"), wait="1h"))
    output = Output(tmp_path / "out.jsonl")

    flow.start()
    eventually(lambda: bool(output.lines() and flow.dead_letters()), "one is joined, and one is not")
    assert [line["id"] for line in output.lines()] == ["A"]
    (letter,) = flow.dead_letters()
    assert (letter["step"], letter["body"]) == ("customers", {"id": 2, "name": None, "version": 2})
    assert flow.terminate() == 0, flow.log.read_text()

    # Mended; the flow runs while the letter is marked for it.
    flow = RunningFlow(tmp_path, spec(trigger, tmp_path, table(external_id="name"), wait="1h"))
    with flow.running():
        replayed = pipelines(
            tmp_path, "dead-letters", "replay", "spec.json", "--state-dir", "state", "--step", "customers"
        )
        assert replayed.returncode == 0, replayed.stderr
        assert replayed.stdout == "joined: 1 marked, for the flow to take as soon as it runs\n"
        eventually(lambda: len(output.lines()) == 2, "the other one is joined too", lambda: len(output.lines()))
        eventually(lambda: flow.dead_letters() == [], "the letter is gone")
    assert output.lines()[1] == {
        "id": "B",
        "customer": 2,
        "known": {"id": 2, "name": None, "version": 2},
        "count": 1,
    }


def test_the_end_of_both_triggers_is_the_end_of_the_data(tmp_path: Path) -> None:
    Shop(tmp_path).put((1, "Ann", 1))
    trigger = into_folder(tmp_path, [{"id": "A", "customer": 1}, {"id": "B", "customer": 2}])
    flow = RunningFlow(tmp_path, spec(trigger, tmp_path, table(), within="1h"))
    flow.start("--until-idle", "1s")
    assert flow.wait() == 0, flow.log.read_text()

    (line,) = Output(tmp_path / "out.jsonl").lines()
    assert line["known"]["name"] == "Ann"
    (letter,) = flow.dead_letters()
    assert (letter["step"], letter["external_id"]) == ("customers", "B")
    assert letter["error"]["message"] == "there is no other record with the same customer"


def test_accounts_of_the_other_trigger_are_named_like_others(tmp_path: Path) -> None:
    Shop(tmp_path)
    wrong = spec({"connector": "files", "path": "orders.jsonl"}, tmp_path, table(account="shp"))
    (tmp_path / "spec.json").write_text(json.dumps(wrong))
    said = pipelines(tmp_path, "validate", "spec.json")
    assert said.returncode == 2
    assert "steps[0].join.with.account" in said.stderr
    assert "did you mean 'shop'?" in said.stderr
