"""`pipelines executions`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flowspec.delivery.tally import Tally
from flowspec.journal.search import JournalReader
from flowspec.journal.settings import JournalSettings
from flowspec.journal.store import JournalStore
from pipelines.cli import main
from sources.testing.flows import ENVIRONMENT, PATIENCE, eventually
from tests.flowspec.journal.parts import failure, record, writing

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec of which, here and now, only the name is right."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"name": "orders", "trigger": {"connector": "${NOT_SET}", "account": "nobody"}}))
    return path


def command(spec: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["executions", str(spec), *arguments, "--state-dir", str(spec.parent)])


def shown(spec: Path, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in command(spec, "--json", *arguments).stdout.splitlines()]


def test_what_happened_to_an_order_is_a_line_for_each_time(tmp_path: Path, spec: Path) -> None:
    with writing(tmp_path, fields=["number"]) as journal:
        journal.retrying([failure(record(123), attempts=2)])
        journal.failed([failure(record(5), step="map-2")], skipped=True)
        journal.delivered([record(123), record(124)], "billing")

    result = command(spec, "--external-id", "order-123")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [_TIME.sub("TIME", re.sub(" +", " ", line)) for line in result.stdout.splitlines()] == [
        "received ended status step or sink attempts external id origin batch worker error",
        "TIME TIME failed (is tried again) map-1 2 order-123 in.jsonl/123 12 0 missing field 'total' {\"number\":123}",
        'TIME TIME delivered billing 1 order-123 in.jsonl/123 12 0 {"number":123}',
    ]
    assert len({line.index("order-123") for line in result.stdout.splitlines()[1:]}) == 1
    assert "failed (skipped)" in command(spec, "--status", "failed").stdout


def test_json_has_all_of_it(tmp_path: Path, spec: Path) -> None:
    with writing(tmp_path, worker=3) as journal:
        journal.failed([failure(record(7))], skipped=False)
        journal.failed([failure(record(8))], skipped=True)
    found = shown(spec)
    assert [each["then"] for each in found] == [None, "skip"]
    assert _TIME.fullmatch(found[0].pop("received_at"))
    assert _TIME.fullmatch(found[0].pop("ended_at"))
    assert found[0] == {
        "status": "dead",
        "then": None,
        "place": "map-1",
        "attempts": 1,
        "external_id": "order-7",
        "origin": "in.jsonl/7",
        "batch": 0,
        "worker": 3,
        "error": "missing field 'total'",
        "fields": None,
    }


def test_the_latest_are_shown_as_many_as_wanted(tmp_path: Path, spec: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(number) for number in range(100)], "billing")
    assert [each["external_id"] for each in shown(spec)] == [f"order-{number}" for number in range(50, 100)]
    assert [each["external_id"] for each in shown(spec, "--limit", "1")] == ["order-99"]
    assert len(shown(spec, "--limit", "1000")) == 100
    assert len(shown(spec, "--since", "1h")) == 50
    assert shown(spec, "--since", "2100-01-31T10:00Z") == []
    assert command(spec, "--limit", "0").stdout == ""


def test_what_the_journal_does_not_have_is_explained(tmp_path: Path, spec: Path) -> None:
    tally = Tally()
    with writing(tmp_path, tally=tally, level="failures") as journal:
        tally.received, tally.delivered, tally.failed, tally.dead_letters = 10_000, 9_999, 1, 1
        journal.delivered([record(1)], "billing")
        journal.failed([failure(record(2))], skipped=False)

    result = command(spec, "--external-id", "order-1")
    assert (result.exit_code, result.stdout) == (0, "")
    first, second = result.stderr.splitlines()
    assert first == "nothing is known of that; the journal keeps what failed only (level 'failures')"
    counts = "10,000 received, 9,999 delivered, 0 filtered, 1 failed, 1 of them dead letters; 0 were put off"
    assert re.fullmatch(rf"since \d{{4}}-\d\d-\d\dT\d\d:\d\dZ: {counts}", second)
    assert command(spec).stderr == f"{second}\n"


def test_a_gap_is_named(tmp_path: Path, spec: Path) -> None:
    settings = JournalSettings(level="all")
    store = JournalStore("orders", tmp_path, 0, settings.level, settings.keep)
    store.miss(1_800_000_000.0, 12_345, "database or disk is full")
    store.close()
    assert re.search(
        r"from 2027-01-15T08:00:00.000Z to \S+Z 12,345 executions are missing: database or disk is full\n",
        command(spec, "--since", "2020-01-01").stderr,
    )


def test_a_flow_that_never_ran_is_no_error(tmp_path: Path, spec: Path) -> None:
    result = command(spec)
    assert (result.exit_code, result.stdout) == (0, "")
    path = JournalReader("orders", tmp_path).path
    assert result.stderr == f"nothing is known: there is no journal {path}; the flow has not run there\n"
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_what_a_sender_chose_tells_the_terminal_nothing(tmp_path: Path, spec: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(1, external_id="a\x1b[2J\nb", meta={"path": "\x07", "offset": 1})], "billing")
    output = command(spec).stdout
    assert "a\\x1b[2J\\nb  \\x07/1" in output
    assert "\x1b" not in output


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ('{"name": "orders"}', ["--since", "yesterday"], "'yesterday' is neither a duration like '2h'"),
        ('{"name": "orders"}', ["--status", "lost"], "'lost' is not one of"),
        ('{"name": "../orders"}', [], "the flow has no name that could be looked for"),
        ("{", [], "not valid JSON"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, spec: Path, content: str, arguments: list[str], message: str) -> None:
    spec.write_text(content)
    result = command(spec, *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True)


def test_a_file_that_is_no_journal_is_named(tmp_path: Path, spec: Path) -> None:
    path = JournalReader("orders", tmp_path).path
    path.parent.mkdir()
    path.write_bytes(b"some text " * 1_000)
    result = command(spec)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: the journal {path} cannot be read: file is not a database\n"


def is_in(path: Path, text: str) -> bool:
    return text in path.read_text()


def test_what_comes_is_followed_until_ctrl_c(tmp_path: Path, spec: Path) -> None:
    arguments = ["executions", str(spec), "--follow", "--json", "--state-dir", str(tmp_path)]
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", *arguments], stdout=file, stderr=file, env=ENVIRONMENT
        )
    try:
        eventually(lambda: "there is no journal" in output.read_text(), "it waits for the first run")
        with writing(tmp_path) as journal:
            for number in range(3):
                journal.delivered([record(number)], "billing")
                eventually(partial(is_in, output, f'"order-{number}"'), "it is shown")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert output.read_text().count('"status":"delivered"') == 3
    assert "Traceback" not in output.read_text()
