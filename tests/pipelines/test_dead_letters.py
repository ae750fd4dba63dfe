"""Records that fail, by the command line: tried again, given up, found, mended and replayed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from flowspec.deadletters.readers import StoreLock
from sources.testing.flows import Flow
from sources.testing.lab import Lab, numbered
from tests.pipelines.commands import pipelines
from tests.pipelines.flows import ENVIRONMENT, eventually

TO_SHARE = {"id": "share", "map": {"id": "id", "share": "10 / n"}}
MENDED = {"id": "share", "map": {"id": "id", "share": "10 / (n + 1)"}}
RETRY = {"retry": {"attempts": 3, "backoff": "200ms"}}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


def orders(*numbers: int, bad: int = 2, **more: Any) -> list[bytes]:
    return [json.dumps({"id": number, "n": 0 if number == bad else 1, **more}).encode() for number in numbers]


def run(lab: Lab, steps: list[dict[str, Any]], sink: dict[str, Any] | None = None, **fields: Any) -> Flow:
    """A flow over what is there, until it is idle."""
    flow = lab.command(lab.source(), "--until-idle", "300ms", steps=steps, sink=sink)
    write(lab, steps, sink, **fields)
    flow.start()
    flow.wait()
    return flow


def write(lab: Lab, steps: list[dict[str, Any]], sink: dict[str, Any] | None = None, **fields: Any) -> None:
    spec = {**lab.spec(lab.source(), steps, sink), **fields}
    (lab.directory / "spec.json").write_text(json.dumps(spec))


def dead_letters(lab: Lab, action: str, *options: str) -> subprocess.CompletedProcess[str]:
    return pipelines(lab.directory, "dead-letters", action, "spec.json", "--state-dir", "state", *options)


def test_found_mended_and_replayed(lab: Lab) -> None:
    lab.feed([*orders(1, 2, 3), b"not JSON"])
    run(lab, [TO_SHARE])
    assert lab.ids() == [1, 3]

    listed = dead_letters(lab, "list").stdout.splitlines()
    assert listed[0].split() == ["id", "external", "id", "step", "attempts", "last", "try", "next", "try", "error"]
    assert [line.split()[:4] for line in listed[1:]] == [["1", "-", "decode", "1"], ["2", "2", "share", "1"]]
    shown = json.loads(dead_letters(lab, "show", "--external-id", "2").stdout)
    assert shown["payload"] == {"text": '{"id": 2, "n": 0}'}
    assert (shown["step"], shown["attempts"], shown["origin"]["offset"]) == ("share", 1, 18)
    assert "division by zero" in shown["error"]["message"]
    exported = [json.loads(line) for line in dead_letters(lab, "export", "--step", "decode").stdout.splitlines()]
    assert [letter["payload"] for letter in exported] == [{"text": "not JSON"}]

    unmended = dead_letters(lab, "replay", "--external-id", "2")
    assert unmended.returncode == 1
    assert "replayed 1, delivered 0, filtered 0, failed again 1" in unmended.stdout
    write(lab, [MENDED])
    assert dead_letters(lab, "replay", "--external-id", "2").returncode == 0
    assert sorted(lab.ids()) == [1, 2, 3]
    assert "not JSON" not in dead_letters(lab, "list").stdout
    assert dead_letters(lab, "drop", "--yes").stdout == "1 removed\n"
    assert dead_letters(lab, "list").stdout == "no dead letters\n"


def test_what_is_removed_is_asked_for_first(lab: Lab) -> None:
    lab.feed([b"not JSON"])
    run(lab, [])
    refused = dead_letters(lab, "drop")
    assert refused.returncode == 1
    assert "remove 1 of" in refused.stderr
    assert "1" in dead_letters(lab, "list").stdout


def test_attempts_are_counted_over_kills(lab: Lab) -> None:
    """The record is tried as often as the policy says, and its neighbours wait for nothing."""
    lab.feed(orders(*range(1, 101)))
    policy = {"retry": {"attempts": 4, "backoff": "400ms", "max_backoff": "400ms"}}
    steps: list[dict[str, Any]] = [{"python": "counting:count"}, {**TO_SHARE, "on_error": policy}]
    tries = lab.directory / "tries"
    (lab.directory / "counting.py").write_text(
        f"def count(body):\n    if body['n'] == 0:\n        open({str(tries)!r}, 'a').write('x')\n    return body\n"
    )
    flow = lab.command(lab.source(), steps=steps)
    for attempt in range(1, 4):
        flow.start()
        eventually(lambda attempt=attempt: tries.exists() and len(tries.read_text()) >= attempt, "it is tried")  # type: ignore[misc]
        lab.wait_for(99)
        flow.kill()
    with flow.running():
        eventually(lambda: bool(flow.dead_letters()), "it is given up")

    (letter,) = flow.dead_letters()
    assert letter["attempts"] >= 4
    # A kill between an attempt and its note makes one more.
    assert letter["attempts"] <= len(tries.read_text()) <= letter["attempts"] + 3
    assert (letter["external_id"], letter["step"]) == ("2", "share")
    lab.delivered_at_least_once([1, *range(3, 101)])


def test_a_retry_that_succeeds_leaves_nothing(lab: Lab) -> None:
    lab.feed(orders(1, 2, 3))
    seen = lab.directory / "seen"
    (lab.directory / "moody.py").write_text(
        f"import pathlib\ndef once(body):\n    seen = pathlib.Path({str(seen)!r})\n"
        "    if body['n'] == 0 and not seen.exists():\n        seen.touch()\n        raise RuntimeError('moody')\n"
        "    return body\n"
    )
    flow = run(lab, [{"python": "moody:once"}], on_error=RETRY)
    assert lab.ids() == [1, 3, 2], "the others did not wait"
    assert flow.dead_letters() == []
    assert dead_letters(lab, "list").stdout == "no dead letters\n"
    log = (lab.directory / "log.txt").read_text()
    assert "received 4, delivered 3, filtered 0, failed 0" in log


@pytest.mark.parametrize(("then", "letters"), [("dead_letter", 1), ("skip", 0)])
def test_in_the_end(lab: Lab, then: str, letters: int) -> None:
    lab.feed(orders(1, 2, 3))
    flow = run(lab, [{**TO_SHARE, "on_error": {"retry": {**RETRY["retry"], "then": then}}}])
    assert lab.ids() == [1, 3]
    assert len(flow.dead_letters()) == letters
    assert len(dead_letters(lab, "list").stdout.splitlines()) == (2 if letters else 1)


def test_in_the_end_it_may_stop_the_flow(lab: Lab) -> None:
    lab.feed(orders(1, 2, 3))
    flow = run(lab, [{**TO_SHARE, "on_error": {"retry": {**RETRY["retry"], "then": "stop"}}}])
    assert "error: share: " in str((lab.directory / "log.txt").read_text())
    assert flow.dead_letters() == []
    assert "share" in dead_letters(lab, "list").stdout, "the record is still to be tried"


def test_of_a_record_that_is_taken_apart_only_the_part_that_failed_is_tried_again(lab: Lab) -> None:
    lab.feed([b'{"id": 1, "lines": [{"id": 10, "n": 1}, {"id": 11, "n": 0}, {"id": 12, "n": 1}, {"id": 13, "n": 0}]}'])
    flow = run(lab, [{"split": "lines"}, TO_SHARE])
    assert lab.ids() == [10, 12]
    assert len(flow.dead_letters()) == 2

    write(lab, [{"split": "lines"}, MENDED])
    assert dead_letters(lab, "replay").returncode == 0
    lab.delivered_once([10, 11, 12, 13])
    assert flow.dead_letters() == []


def test_a_record_goes_again_only_to_the_sink_that_refused_it(lab: Lab) -> None:
    lab.feed([*numbered([1]), *numbered([2], fail="record")])
    other = lab.directory / "other.jsonl"
    sinks = [
        {"connector": "files", "action": "append", "path": str(other)},
        lab.sink(id="moody"),
    ]
    write(lab, [])
    spec = json.loads((lab.directory / "spec.json").read_text())
    del spec["sink"]
    (lab.directory / "spec.json").write_text(json.dumps({**spec, "sinks": sinks, "on_error": RETRY}))
    command = ["run", "spec.json", "--state-dir", "state", "--until-idle", "300ms"]
    assert pipelines(lab.directory, *command).returncode == 0
    shown = json.loads(dead_letters(lab, "show").stdout)
    assert (shown["step"], shown["attempts"]) == ("moody", 3)

    mended = {**spec, "sinks": sinks, "steps": [{"drop": ["fail"]}]}
    (lab.directory / "spec.json").write_text(json.dumps(mended))
    assert dead_letters(lab, "replay").returncode == 0
    assert Counter(json.loads(line)["id"] for line in other.read_text().splitlines()) == {1: 1, 2: 1}
    lab.delivered_once([1, 2])


def test_a_sink_may_have_the_dead_letters(lab: Lab) -> None:
    lab.feed([*orders(1, 2, 3), b"not JSON"])
    path = lab.directory / "dead.jsonl"
    flow = run(
        lab,
        [{**TO_SHARE, "on_error": RETRY}],
        dead_letters={"connector": "files", "action": "append", "path": str(path)},
    )
    assert lab.ids() == [1, 3]
    assert flow.dead_letters() == []
    letters = [orjson.loads(line) for line in path.read_text().splitlines()]
    assert [(letter["step"], letter["attempts"], letter["external_id"]) for letter in letters] == [
        ("decode", 1, None),
        ("share", 3, "2"),
    ]
    assert letters[0]["payload"] == {"text": "not JSON"}


def test_too_many_failures_stop_the_flow(lab: Lab) -> None:
    lab.feed([b"not JSON"] * 10 + orders(1))
    flow = run(lab, [], stop_after={"failures": 5, "within": "1h"})
    assert "records failed within 3600 s, which stop_after does not allow" in (lab.directory / "log.txt").read_text()
    assert len(flow.dead_letters()) >= 5


def test_the_retries_of_a_sink_are_bounded_where_it_says_so(lab: Lab) -> None:
    lab.feed(numbered(range(3)))
    lab.sink_down()
    flow = run(lab, [], lab.sink(on_error=RETRY))
    letters = flow.dead_letters()
    assert [letter["attempts"] for letter in letters] == [3, 3, 3]
    lab.sink_up()
    assert dead_letters(lab, "replay").returncode == 0
    lab.delivered_once(range(3))


def test_what_happened_to_each_record(lab: Lab) -> None:
    """The journal of a flow, and of the replay after it."""
    lab.feed([*orders(*range(1, 31)), b"not JSON"])
    steps: list[dict[str, Any]] = [{"filter": "id != 7"}, {**TO_SHARE, "on_error": RETRY}]
    run(lab, steps, journal="all")
    write(lab, [steps[0], MENDED], journal="all")
    dead_letters(lab, "replay", "--external-id", "2")

    found = executions(lab)
    assert Counter(each["status"] for each in found) == {"delivered": 29, "filtered": 1, "failed": 2, "dead": 2}
    story = [(each["status"], each["place"], each["attempts"]) for each in executions(lab, "--external-id", "2")]
    assert story == [
        ("failed", "share", 1),
        ("failed", "share", 2),
        ("dead", "share", 3),
        ("delivered", "testbed-flaky", 4),
    ]
    (filtered,) = executions(lab, "--status", "filtered")
    assert (filtered["external_id"], filtered["place"]) == ("7", "filter-1")
    assert filtered["origin"].endswith("/in.jsonl/108")


def executions(lab: Lab, *options: str) -> list[dict[str, Any]]:
    shown = pipelines(lab.directory, "executions", "spec.json", "--state-dir", "state", "--json", *options)
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_two_replays_at_a_time_are_refused(lab: Lab) -> None:
    lab.feed([b"not JSON"])
    run(lab, [])
    lock = StoreLock(lab.directory / "state" / "dead-letters" / "conformance.replaying.lock")
    assert lock.take()
    refused = dead_letters(lab, "replay")
    lock.free()
    assert refused.returncode == 2
    assert "another replay of conformance is running" in refused.stderr


def test_a_kill_leaves_the_store_whole(lab: Lab) -> None:
    """Killed while each record becomes a dead letter, and while they are replayed."""
    total = 3_000
    lab.feed(orders(*range(total), bad=-1, more="not JSON"))
    failing = [{"id": "share", "map": {"id": "id", "share": "10 / (n - 1)"}}]
    flow = lab.command(lab.source(batch_size=10), steps=failing)
    for share in (1, 2):
        flow.start()
        eventually(lambda share=share: _stored(lab) >= share * total // 3, "some are stored")  # type: ignore[misc]
        flow.kill()
    with flow.running():
        eventually(lambda: _stored(lab) == total, "all are stored")
    assert {letter["external_id"] for letter in flow.dead_letters()} == set(map(str, range(total)))

    write(lab, [MENDED])
    replay = [sys.executable, "-m", "pipelines", "dead-letters", "replay", "spec.json", "--state-dir", "state"]
    with subprocess.Popen(
        replay, cwd=lab.directory, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        lab.wait_for(total // 3)
        process.kill()
    with sqlite3.connect(_store(lab)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert dead_letters(lab, "replay").returncode == 0
    lab.delivered_at_least_once(range(total))
    assert flow.dead_letters() == []


def _store(lab: Lab) -> Path:
    return lab.directory / "state" / "dead-letters" / "conformance.sqlite"


def _stored(lab: Lab) -> int:
    if not _store(lab).exists():
        return 0
    connection = sqlite3.connect(_store(lab), timeout=60)
    try:
        return int(connection.execute("SELECT count(*) FROM letters").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
