"""Windows of real runs against the slow, obvious answer: killed, stopped, and with other numbers of workers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from sources.testing.lab import Lab
from sources.testing.windows import VALUES, Golden, Sighting, golden
from tests.flowspec.stateful.inputs import MINUTE, START, shuffled
from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.kafka import KafkaBroker
from tests.servers.sqlite import SqliteFile

PARTITIONS = 4
KEYS = [f"customer-{number}" for number in range(12)]
RECORDS = 2_400
SHAPE = {"sliding": {"size": 60 * MINUTE, "every": 20 * MINUTE}}
LATENESS = 20 * MINUTE
"""Far more than a test takes: the time that goes by closes no window."""
MUCH_LATER = START + 365 * 24 * 60 * MINUTE


def fed(kafka: KafkaBroker, topic: str, sightings: Iterable[Sighting]) -> None:
    """Put records into a topic, those of each key in their order."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "max.in.flight": 1, "log_level": 0})
    for sighting in sightings:
        producer.produce(topic, json.dumps(sighting.body()), sighting.key)
    assert producer.flush(60) == 0


def spec(trigger: dict[str, Any], directory: Path, *before: dict[str, Any], sleep: str = "20ms") -> dict[str, Any]:
    window = {"key": "customer", "time": "at", **SHAPE, "lateness": LATENESS, "values": VALUES}
    return {
        "name": "windows",
        "trigger": {"batch_size": 20, "external_id": "id", **trigger},
        "steps": [*before, {"window": window}],
        "sink": {"connector": "testbed", "action": "flaky", "path": str(directory / "out.jsonl"), "sleep": sleep},
    }


class Seen:
    """The windows that a sink was given."""

    def __init__(self, directory: Path) -> None:
        self._output = Output(directory / "out.jsonl")

    def windows(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By key and start; after a kill -9 one may come again, and is the same then."""
        windows: dict[tuple[str, str], dict[str, Any]] = {}
        for line in self._output.lines():
            place = line["key"], line["start"]
            assert windows.setdefault(place, line) == line, "a window that comes again is the same"
        return windows

    def again(self) -> int:
        return len(self._output.lines()) - len(self.windows())

    def wait_for(self, count: int) -> None:
        eventually(
            lambda: len(self.windows()) >= count, f"{count} windows are seen", progress=lambda: len(self.windows())
        )

    def are(self, answer: Golden) -> None:
        """See that they are exactly the right ones."""
        assert self.windows().keys() == answer.by_start().keys()
        for place, right in answer.by_start().items():
            p90 = right["p90"] if right["p90"] is None else pytest.approx(right["p90"])
            assert self.windows()[place] == {**right, "p90": p90}


def closers(first_id: int) -> list[Sighting]:
    """Records that close all windows before them, and whose own stay open."""
    return [Sighting(first_id + number, key, MUCH_LATER, 1) for number, key in enumerate(KEYS)]


def late_ids(flow: RunningFlow) -> list[int]:
    letters = flow.dead_letters()
    assert all(letter["error"]["message"].startswith("late: ") for letter in letters)
    return sorted(int(letter["external_id"]) for letter in letters)


@pytest.mark.parametrize(
    "runs",
    [[(1, "kill"), (1, "kill"), (1, "kill")], [(2, "kill"), (2, "kill")], [(2, "stop"), (4, "kill")]],
    ids=["one worker", "two workers", "2 then 4 then 3 workers"],
)
def test_windows_of_a_topic(kafka: KafkaBroker, tmp_path: Path, runs: Sequence[tuple[int, str]]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sightings = shuffled(chance, RECORDS, KEYS)
    topic = kafka.create_topic(PARTITIONS)
    fed(kafka, topic, sightings)
    before = golden(sightings, SHAPE, LATENESS)
    most = len(before.windows) * 3 // 4
    flow = RunningFlow(tmp_path, spec({"connector": "kafka", "account": kafka.account, "topics": [topic]}, tmp_path))
    seen = Seen(tmp_path)
    for moment, (workers, end) in zip(sorted(chance.sample(range(1, most), len(runs))), runs, strict=True):
        flow.start("--workers", str(workers))
        seen.wait_for(max(moment, len(seen.windows()) + 1))
        if end == "kill":
            flow.kill()
        else:
            assert flow.terminate() == 0, flow.log.read_text()

    workers = {1: 1, 2: 2, 4: 3}[runs[-1][0]]
    flow.start("--workers", str(workers))
    later = closers(RECORDS)
    fed(kafka, topic, later)
    seen.wait_for(len(before.windows))
    eventually(lambda: kafka.lag("windows", topic) == 0, "all is committed")
    assert flow.terminate() == 0, flow.log.read_text()
    seen.are(before)
    assert set(late_ids(flow)) == set(before.late)
    print(f"{len(before.windows)} windows, {seen.again()} again, {len(before.late)} late records")

    # A stop and a limit are no end of the data.
    more = [Sighting(RECORDS + len(KEYS) + number, key, MUCH_LATER + MINUTE, 2) for number, key in enumerate(KEYS)]
    fed(kafka, topic, more)
    flow.start("--limit", str(len(more)))
    assert flow.wait() == 0, flow.log.read_text()
    seen.are(before)

    flow.start("--workers", str(workers), "--until-idle", "1s")
    assert flow.wait() == 0, flow.log.read_text()
    seen.are(golden([*sightings, *later, *more], SHAPE, LATENESS))


def test_windows_of_a_table_that_is_polled(sqlite: SqliteFile, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sightings = shuffled(chance, RECORDS // 3, KEYS)
    answer = golden(sightings, SHAPE, LATENESS)
    with closing(sqlite.connect()) as connection, connection:
        connection.execute("CREATE TABLE visits (n INTEGER PRIMARY KEY, id INT, customer TEXT, at INT, amount INT)")
        connection.executemany(
            "INSERT INTO visits (id, customer, at, amount) VALUES (:id, :customer, :at, :amount)",
            [each.body() for each in [*sightings, *closers(RECORDS)]],
        )
    trigger = {
        "connector": "sql",
        "account": sqlite.account,
        "table": "visits",
        "cursor_column": "n",
        "interval": "50ms",
        "lag": 0,
    }
    flow = RunningFlow(tmp_path, spec(trigger, tmp_path))
    seen = Seen(tmp_path)
    for _ in range(2):
        flow.start()
        seen.wait_for(len(seen.windows()) + chance.randrange(1, len(answer.windows) // 3))
        flow.kill()
    with flow.running():
        seen.wait_for(len(answer.windows))
        eventually(lambda: set(late_ids(flow)) == set(answer.late), "the late ones are dead letters")
    seen.are(answer)
    print(f"{len(answer.windows)} windows, {seen.again()} again, {len(answer.late)} late records")


@pytest.mark.parametrize("shape", [{"tumbling": 15 * MINUTE}, {"session": 10 * MINUTE}], ids=["tumbling", "session"])
def test_windows_of_a_flow_in_this_process(tmp_path: Path, shape: dict[str, Any]) -> None:
    sightings = shuffled(random.Random(7), 500, KEYS[:4])
    lab = Lab(tmp_path)
    window = {"key": "customer", "time": "at", **shape, "lateness": LATENESS, "values": VALUES}
    flow = lab.flow(lab.source(batch_size=7), [{"window": window}])
    later = closers(RECORDS)[:4]
    for first in range(0, len(sightings), 100):
        lab.feed(json.dumps(each.body()).encode() for each in sightings[first : first + 100])
        with flow.running():
            eventually(lambda: lab.left() == 0, "all are committed")
    lab.feed(json.dumps(each.body()).encode() for each in later)
    answer = golden(sightings, shape, LATENESS)
    with flow.running():
        eventually(lambda: len(lab.lines()) >= len(answer.windows), "all windows are closed")

    Seen(tmp_path).are(answer)
    assert len(lab.lines()) == len(answer.windows), "each once"
    assert sorted(int(letter["external_id"]) for letter in flow.dead_letters()) == sorted(answer.late)
