from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flowspec import Flow, FlowError
from flowspec.flow.running import RunFailedError
from sources.testing.flows import Output, eventually
from tests.flowspec.flow.orders import flow_of, write_one_more, write_orders


def test_a_flow_runs_in_the_background_until_it_is_stopped(tmp_path: Path) -> None:
    write_orders(tmp_path)
    running = flow_of(tmp_path).run(state_dir=tmp_path / "state")
    output = Output(tmp_path / "paid.jsonl")
    eventually(lambda: len(output.lines()) == 1, "the good order is delivered", lambda: running.tally.received)
    assert running.state == "running"
    assert running.stop().state == "stopped"
    assert repr(running) == "orders stopped (4 received, 1 delivered, 1 filtered, 2 failed)"
    assert running.error is None
    assert "<td" in running._repr_html_()


def test_the_next_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    write_orders(tmp_path)
    flow = flow_of(tmp_path)
    assert flow.run(limit=4, state_dir=tmp_path / "state").wait().tally.received == 4
    write_one_more(tmp_path)
    assert flow.preview(10, state_dir=tmp_path / "state").rows == [{"id": 5, "cents": 500}]
    assert flow.run(limit=1, state_dir=tmp_path / "state").wait().tally.received == 1
    assert [line["id"] for line in Output(tmp_path / "paid.jsonl").lines()] == [1, 5]


@pytest.mark.parametrize(
    "limits", [{"limit": 2}, {"timeout": 0.2}, {"until_idle": 0.01}], ids=["limit", "timeout", "until_idle"]
)
def test_a_run_ends_by_itself(tmp_path: Path, limits: dict[str, float]) -> None:
    flow = Flow("ticks").trigger("schedule", interval=0.2).sink("drop")
    running = flow.run(state_dir=tmp_path / "state", **limits).wait()  # type: ignore[arg-type]
    assert running.state == "stopped"
    assert running.tally.received == limits.get("limit", running.tally.received)


def test_a_failure_is_raised_where_somebody_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_orders(tmp_path)
    flow = Flow("strict").trigger("files", path=str(tmp_path), settle_time=0).filter("status", on_error="stop")
    running = flow.sink("drop").run(state_dir=tmp_path / "state")
    with pytest.raises(RunFailedError, match="filter-1: missing field 'status'"):
        running.wait()
    assert running.state == "failed"
    assert repr(running).startswith("strict failed: filter-1: missing field 'status'")
    assert "missing field" in running._repr_html_()
    assert [record.getMessage() for record in caplog.records if "strict failed" in record.getMessage()]
    with pytest.raises(RunFailedError):
        running.stop()


def test_a_flow_runs_once_at_a_time(tmp_path: Path) -> None:
    write_orders(tmp_path)
    running = flow_of(tmp_path).run(state_dir=tmp_path / "state")
    other = flow_of(tmp_path, "others").run(state_dir=tmp_path / "state")
    try:
        with pytest.raises(FlowError, match=r"orders runs already; stop\(\) it first"):
            flow_of(tmp_path).run(state_dir=tmp_path / "state")
    finally:
        running.stop()
        other.stop()
    assert flow_of(tmp_path).run(state_dir=tmp_path / "state", timeout=0).wait().state == "stopped"


def test_a_script_that_ends_stops_its_flows(tmp_path: Path) -> None:
    write_orders(tmp_path)
    script = textwrap.dedent(f"""
        from pathlib import Path
        from sources.testing.flows import eventually
        from tests.flowspec.flow.orders import flow_of
        running = flow_of(Path({str(tmp_path)!r})).run(state_dir={str(tmp_path / "state")!r})
        eventually(lambda: running.tally.delivered == 1, "delivered")
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False, cwd=Path.cwd()
    )
    assert (done.returncode, done.stderr) == (0, "")
    write_one_more(tmp_path)
    flow_of(tmp_path).run(limit=1, state_dir=tmp_path / "state").wait()
    assert [line["id"] for line in Output(tmp_path / "paid.jsonl").lines()] == [1, 5]
