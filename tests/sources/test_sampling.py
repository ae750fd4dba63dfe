"""Looking at what polling triggers would find next, on real systems, beside a flow that runs and without one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from flowspec import loads
from flowspec.connectors import Trigger, WorkerContext
from flowspec.delivery.health import Health
from flowspec.records import Record
from sources.testing.flows import Flow, eventually
from sources.testing.harness import FLOW
from sources.testing.lab import Lab, numbered
from tests.servers.database import Database
from tests.servers.http_api import Items
from tests.servers.http_server import HttpServer
from tests.servers.s3 import S3Server

_MANY = 200


@dataclass(frozen=True)
class System:
    """A system that a trigger polls."""

    trigger: dict[str, Any]
    send: Callable[[int, int], None]
    """Have it get the numbers from one up to before another."""
    touched: Callable[[], object]
    """What a look must not change."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


def _table(database: Database, **fields: Any) -> System:
    table = database.create_table("id bigint PRIMARY KEY, done bigint")

    def send(begin: int, end: int) -> None:
        database.execute(f"INSERT INTO {table} VALUES {', '.join(f'({number}, 0)' for number in range(begin, end))}")

    return System(
        {"connector": "sql", "account": database.account, "table": table, **fields},
        send,
        lambda: database.execute(f"SELECT id, done FROM {table} ORDER BY id"),
    )


def _rows(request: pytest.FixtureRequest, server: str) -> System:
    return _table(request.getfixturevalue(server), cursor_column="id")


def _consumed(request: pytest.FixtureRequest, server: str) -> System:
    system = _table(request.getfixturevalue(server), key_column="id", where="done = 0")
    marking = f"UPDATE {system.trigger['table']} SET done = 1 WHERE id = :id"
    return replace(system, trigger={**system.trigger, "consumed": marking})


def _files(request: pytest.FixtureRequest, after: str) -> System:
    directory: Path = request.getfixturevalue("tmp_path")
    inbox, done = directory / "inbox", directory / "done"
    inbox.mkdir()

    def send(begin: int, end: int) -> None:
        fresh = inbox / f"{begin}.tmp"
        fresh.write_bytes(b"".join(line + b"\n" for line in numbered(range(begin, end))))
        fresh.rename(inbox / f"{begin}.jsonl")

    more = {"move_to": str(done)} if after == "move" else {}
    return System(
        {"connector": "files", "path": str(inbox), "settle_time": 0, "after": after, **more},
        send,
        lambda: sorted(path.name for folder in (inbox, done) if folder.exists() for path in folder.iterdir()),
    )


def _growing(request: pytest.FixtureRequest, _: str) -> System:
    directory: Path = request.getfixturevalue("tmp_path")
    log = directory / "app.log"

    def send(begin: int, end: int) -> None:
        with log.open("ab") as file:
            file.writelines(line + b"\n" for line in numbered(range(begin, end)))

    return System({"connector": "files", "path": str(log), "grow": True}, send, log.read_bytes)


def _objects(request: pytest.FixtureRequest, after: str) -> System:
    s3: S3Server = request.getfixturevalue("s3")
    bucket = s3.create_bucket()

    def send(begin: int, end: int) -> None:
        s3.put(bucket, f"{begin:05}.jsonl", b"".join(line + b"\n" for line in numbered(range(begin, end))))

    trigger = {"connector": "amazon-s3", "account": s3.account, "bucket": bucket, "after": after}
    return System(trigger, send, lambda: s3.keys(bucket))


def _items(request: pytest.FixtureRequest, pages: str) -> System:
    items = Items(request.getfixturevalue("server"))
    trigger = {"connector": "http", "event": "poll-endpoint", "url": f"{items.url}/links", "pages": pages}
    return System(
        {**trigger, "cursor_field": "id", "key": "id"},
        lambda begin, end: items.add(*({"id": number} for number in range(begin, end))),
        lambda: None,
    )


_SYSTEMS = [
    *[(make, server) for make in (_rows, _consumed) for server in ("sqlite", "postgresql", "mariadb")],
    *[(_files, after) for after in ("keep", "move", "delete")],
    (_growing, "file"),
    *[(_objects, after) for after in ("keep", "delete")],
    (_items, "link_header"),
]


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


@pytest.fixture(params=_SYSTEMS, ids=lambda system: f"{system[0].__name__.strip('_')}-{system[1]}")
def system(request: pytest.FixtureRequest) -> System:
    make, variety = request.param
    made: System = make(request, variety)
    return made


def _trigger(lab: Lab, system: System) -> Trigger:
    return loads(json.dumps(lab.spec({**system.trigger, "interval": "20ms"}))).trigger


def _sample(lab: Lab, system: System, most: int = 1000) -> list[Record]:
    context = WorkerContext(FLOW, 0, 1, threading.Event(), Health("trigger"), state_dir=lab.directory / "state")
    return _trigger(lab, system).sample(most, 0.0, context)


def _ids(records: list[Record]) -> list[int]:
    return sorted(record.body["id"] for record in records)


def _cursors(lab: Lab) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (lab.directory / "state" / "cursors").glob("*")}


def test_a_sample_is_what_comes_next_and_leaves_all_as_it_is(lab: Lab, system: System) -> None:
    flow = lab.flow({**system.trigger, "interval": "20ms"})
    system.send(0, 10)
    assert _ids(_sample(lab, system)) == [*range(10)], "without a cursor it begins at the beginning"
    assert not (lab.directory / "state").exists()
    with flow.running():
        lab.wait_for(10)
        eventually(lambda: flow.run.tally.in_flight == 0, "all is committed")
    system.send(10, 20)
    before = _cursors(lab), system.touched()
    first, again = _sample(lab, system), _sample(lab, system)
    assert _ids(first) == _ids(again) == [*range(10, 20)]
    assert len(_sample(lab, system, most=3)) == 3
    assert (_cursors(lab), system.touched()) == before
    with flow.running():
        lab.wait_for(20)
    lab.delivered_once(range(20))


def test_a_flow_that_runs_gets_everything_once(lab: Lab, system: System) -> None:
    flow = lab.flow({**system.trigger, "interval": "20ms", "batch_size": 20}, sink=lab.sink(sleep="20ms"))
    looks = 0
    with flow.running():
        for begin in range(0, _MANY, 20):
            system.send(begin, begin + 20)
            looks += len(_sample(lab, system, most=5)) <= 5
        while lab.distinct() < _MANY:
            looks += len(_sample(lab, system, most=5)) <= 5
            flow.check_all()
    assert looks >= 10
    lab.delivered_once(range(_MANY))


def test_a_record_is_known_again_where_that_is_sure(lab: Lab, system: System) -> None:
    system.send(0, 10)
    trigger = _trigger(lab, system)
    first, again = ([trigger.identity(record) for record in _sample(lab, system)] for _ in range(2))
    assert first == again
    is_sure = "consumed" not in system.trigger and not system.trigger.get("grow")
    assert len({*first}) == (10 if is_sure else 1)
    assert (None in first) == (not is_sure)
