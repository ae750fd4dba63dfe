"""Flows of the command line that read files: killed in the middle of one, and ended when there is nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sources.testing.flows import Flow, eventually
from sources.testing.lab import Lab, numbered
from tests.sources.files.polling import write
from tests.sources.killing import kill_behind_a_cursor

_ROWS = 20_000


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


def trigger(path: Path, **fields: Any) -> dict[str, Any]:
    return {"connector": "files", "event": "new-files", "path": str(path), "interval": "50ms", **fields}


def test_kill_9_in_the_middle_of_a_file(lab: Lab, inbox: Path, tmp_path: Path) -> None:
    path = write(inbox / "big.jsonl", *(row.decode() for row in numbered(range(_ROWS))))
    done = tmp_path / "done"
    spec = trigger(path, settle_time="200ms", after="move", move_to=str(done), batch_size=100)
    flow = lab.command(spec, sink=lab.sink(sleep="20ms"))
    again = 0
    for _ in range(3):
        flow.start()
        lab.wait_for(lab.distinct() + 2000)
        again += kill_behind_a_cursor(flow, lab, 100)
        assert path.exists(), "it is not delivered"
        assert lab.distinct() < _ROWS
    with flow.running():
        lab.wait_for(_ROWS)
        eventually(lambda: not path.exists(), "the file is moved")
    lab.delivered_at_least_once(range(_ROWS))
    assert lab.counts().total() - _ROWS <= again, "it goes on at the row"
    assert [moved.name for moved in done.iterdir()] == ["big.jsonl"]


def test_a_run_until_idle_waits_for_a_file_that_may_be_incomplete(lab: Lab, inbox: Path) -> None:
    write(inbox / "a.jsonl", '{"id": 1}')
    flow = lab.command(trigger(inbox), "--until-idle", "0.1s")
    flow.start()

    assert flow.wait() == 0, flow.log.read_text()
    lab.delivered_once([1])
