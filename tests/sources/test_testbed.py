"""What the connector for tests says of itself, as the commands for checks and samples ask it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import TransientError
from sources.testbed import Flaky, ReadLines


def test_lines_are_looked_at_and_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    trigger = ReadLines(path=path)
    context = WorkerContext("flow", 0, 1, threading.Event(), Health("trigger"))
    with pytest.raises(TransientError, match="is not there yet"):
        trigger.check()
    assert trigger.sample(5, 0.0, context) == []
    path.write_text("1\n2\n3\n")
    assert trigger.check() == f"{path} is there"
    for _ in range(2):
        assert [record.raw for record in trigger.sample(2, 0.0, context)] == [b"1", b"2"]
    assert [*tmp_path.iterdir()] == [path]


def test_a_sink_that_is_down_says_so(tmp_path: Path) -> None:
    down = tmp_path / "down"
    sink = Flaky(path=tmp_path / "out.jsonl", down_file=down)
    assert sink.check() == f"{sink.path} is written"
    down.touch()
    with pytest.raises(TransientError, match="down exists"):
        sink.check()
