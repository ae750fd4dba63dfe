"""`pipelines state`, and what steps remember when a flow is killed or stopped in the middle."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from sources.testing.flows import Flow, Output, RunningFlow, eventually

KEYS = 7


@pytest.fixture(autouse=True)
def _end_flows() -> Iterator[None]:
    yield
    Flow.kill_all()


def spec_of(directory: Path, *steps: dict[str, Any]) -> dict[str, Any]:
    """A flow of the lines of files."""
    (directory / "in").mkdir(exist_ok=True)
    trigger = {
        "connector": "files",
        "path": str(directory / "in"),
        "settle_time": 0,
        "interval": "20ms",
        "batch_size": 50,
    }
    sink = {"connector": "files", "action": "append", "path": str(directory / "out.jsonl")}
    return {"name": "orders", "trigger": trigger, "steps": list(steps), "sink": sink}


def put(directory: Path, start: int, count: int) -> list[dict[str, Any]]:
    """A file with orders, numbered from there on; answers them."""
    orders = [{"n": number, "c": f"c{number % KEYS}"} for number in range(start, start + count)]
    new = directory / f".{start}"
    new.write_text("".join(json.dumps(order) + "\n" for order in orders))
    new.rename(directory / "in" / f"{start:09}.jsonl")
    return orders


def written(directory: Path) -> list[Any]:
    return list(Output(directory / "out.jsonl").lines())


def command(directory: Path, spec: dict[str, Any], *arguments: str) -> Result:
    (directory / "spec.json").write_text(json.dumps(spec))
    return CliRunner().invoke(
        main, ["state", str(directory / "spec.json"), *arguments, "--state-dir", str(directory / "state")]
    )


def shown(directory: Path, spec: dict[str, Any]) -> dict[str, Any]:
    result = command(directory, spec)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.output)
    return answer


def finish(directory: Path, spec: dict[str, Any]) -> None:
    """Run the flow until nothing comes any more."""
    flow = RunningFlow(directory, spec, "--until-idle", "1")
    flow.start()
    assert flow.wait() == 0, flow.log.read_text()


def by_customer(orders: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    sorted_: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for order in orders:
        sorted_[order["c"]].append(order)
    return dict(sorted_)


def run_with_kills(directory: Path, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the flow on orders, with `kill -9` in the middle of each of its runs but the last; answers the orders."""
    orders: list[dict[str, Any]] = []
    flow = RunningFlow(directory, spec)
    for _ in range(3):
        before = len(written(directory))
        flow.start()
        orders += put(directory, len(orders), 1_000)
        eventually(lambda: len(written(directory)) > before, "something comes out")  # noqa: B023
        # Nobody knows whether all of this file was delivered, or some, or none of it committed.
        orders += put(directory, len(orders), 1_000)
        flow.kill()
    finish(directory, spec)
    return orders


def test_counts_and_values_are_exact_after_kills(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        {"count_by": {"key": "c", "into": "count"}},
        {"reduce": {"key": "c", "with": "state + record.n", "into": "sum"}},
    )
    orders = run_with_kills(tmp_path, spec)
    expected = {
        (order["n"], order["c"], count, sum(each["n"] for each in customer[:count]))
        for customer in by_customer(orders).values()
        for count, order in enumerate(customer, 1)
    }
    # What the sink had before a kill and was not committed comes again, with the same count.
    assert {(each["n"], each["c"], each["count"], each["sum"]) for each in written(tmp_path)} == expected
    steps = shown(tmp_path, spec)["steps"]
    assert [steps[name]["keys"] for name in ("count_by-1", "reduce-2")] == [KEYS, KEYS]


def test_batches_are_the_same_after_kills(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, {"batch": {"key": "c", "count": 30}})
    orders = run_with_kills(tmp_path, spec)
    expected = {
        tuple(order["n"] for order in customer[start : start + 30])
        for customer in by_customer(orders).values()
        for start in range(0, len(customer), 30)
    }
    assert {tuple(order["n"] for order in batch) for batch in written(tmp_path)} == expected


def test_counts_are_exact_with_other_numbers_of_workers(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, {"count_by": {"key": "c", "into": "count"}}, {"batch": {"count": 10, "gives": "records"}})
    for start, workers in ((0, "2"), (100, "3"), (200, "1")):
        put(tmp_path, start, 100)
        flow = RunningFlow(tmp_path, spec, "--workers", workers)
        with flow.running():
            eventually(lambda: len(written(tmp_path)) >= start + 100, "all come out")  # noqa: B023
    counts = {key: [each["count"] for each in customer] for key, customer in by_customer(written(tmp_path)).items()}
    assert {key: set(each) for key, each in counts.items()} == {
        f"c{key}": set(range(1, len(range(key, 300, KEYS)) + 1)) for key in range(KEYS)
    }


def test_what_waits_goes_on_after_a_kill(tmp_path: Path) -> None:
    slow = spec_of(tmp_path, {"throttle": {"rate": 1, "per": "1h", "burst": 5}})
    flow = RunningFlow(tmp_path, slow)
    flow.start()
    orders = put(tmp_path, 0, 500)
    eventually(lambda: len(written(tmp_path)) == 5, "five go on")
    eventually(lambda: shown(tmp_path, slow)["steps"]["throttle-1"]["bytes"] > 10_000, "the others are stored")
    flow.kill()

    fast = spec_of(tmp_path, {"throttle": {"rate": 10_000}})
    flow = RunningFlow(tmp_path, fast)
    with flow.running():
        eventually(lambda: len(written(tmp_path)) >= 500, "all go on")
    came = [order["n"] for order in written(tmp_path)]
    assert came[-495:] == [order["n"] for order in orders[5:]]


def test_a_stop_keeps_what_waits_and_the_end_lets_it_go(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        {"batch": {"key": "c", "count": 100}},
        {"batch": {"count": 100, "gives": "records"}},
        {"throttle": {"rate": 1, "per": "1h", "burst": 1000}},
    )
    put(tmp_path, 0, 50)
    flow = RunningFlow(tmp_path, spec)
    with flow.running():
        eventually((tmp_path / "state" / "recovery" / "orders").exists, "there is a store")
        eventually(lambda: shown(tmp_path, spec)["steps"]["batch-1"]["keys"] == KEYS, "they wait")
    assert written(tmp_path) == []
    finish(tmp_path, spec)
    assert sorted(order["n"] for batch in written(tmp_path) for order in batch) == list(range(50))
    assert shown(tmp_path, spec)["steps"]["batch-1"]["keys"] == 0


def test_state_is_shown_and_reset(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, {"id": "orders-of", "count_by": "c"}, {"dedupe": "n"})
    store = tmp_path / "state" / "recovery" / "orders"
    assert command(tmp_path, spec).output == f"nothing is remembered yet; it will be in {store}\n"
    put(tmp_path, 0, 50)
    finish(tmp_path, spec)

    answer = shown(tmp_path, spec)
    assert (answer["path"], answer["in_use"]) == (str(store), False)
    assert answer["trigger"] == {"connector": "files", "event": "new-files"}
    counts, seen = answer["steps"]["orders-of"], answer["steps"]["dedupe-2"]
    assert (counts["step"], counts["key"], counts["keys"]) == ("count_by", "c", KEYS)
    assert (seen["step"], seen["key"], seen["keys"]) == ("dedupe", "n", 50)
    assert KEYS * 10 < counts["bytes"] < KEYS * 200 < answer["bytes_on_disk"]

    result = command(tmp_path, spec, "reset")
    assert result.output == (
        f"forgot all that orders remembered in {store}; the next run begins at the saved cursor, which "
        f"`pipelines cursor` shows and sets\n"
    )
    assert not store.exists()
    assert command(tmp_path, spec, "reset").output.startswith("nothing is remembered yet")
    # The cursor is still there, and the counts are not.
    put(tmp_path, 50, KEYS)
    finish(tmp_path, spec)
    assert [order["count"] for order in written(tmp_path)[50:]] == [1] * KEYS


def test_a_flow_that_runs_keeps_its_state_for_itself(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, {"count_by": "c"})
    put(tmp_path, 0, 50)
    flow = RunningFlow(tmp_path, spec)
    with flow.running():
        eventually(lambda: len(written(tmp_path)) == 50, "it runs")
        assert shown(tmp_path, spec)["in_use"]
        result = command(tmp_path, spec, "reset")
    assert result.exit_code == 2
    assert result.output == "error: a run of orders uses its state; stop it first\n"
    assert shown(tmp_path, spec)["steps"]["count_by-1"]["keys"] == KEYS


def test_a_changed_step_is_refused_and_the_way_out_works(tmp_path: Path) -> None:
    put_spec = spec_of(tmp_path, {"reduce": {"with": "state + record.n", "into": "x"}})
    put(tmp_path, 0, 5)
    finish(tmp_path, put_spec)
    changed = spec_of(tmp_path, {"reduce": {"with": "state * record.n", "into": "x"}})
    flow = RunningFlow(tmp_path, changed)
    flow.start()
    assert flow.wait() == 1
    assert "with was 'state + record.n' and is 'state * record.n'" in flow.log.read_text()
    assert command(tmp_path, changed, "reset").exit_code == 0
    finish(tmp_path, changed)


@pytest.mark.parametrize(
    ("trigger", "says"),
    [
        (
            {"connector": "kafka", "account": {"bootstrap_servers": ["127.0.0.1:1"]}, "topics": ["x"]},
            "the next run begins where the consumer group of kafka stands",
        ),
        (
            {"connector": "amazon-sqs", "queue_url": "http://127.0.0.1:1/1/q"},
            "the next run begins with what amazon-sqs has not been told of",
        ),
    ],
)
def test_a_reset_says_where_the_trigger_goes_on(tmp_path: Path, trigger: dict[str, Any], says: str) -> None:
    spec = {**spec_of(tmp_path, {"count_by": "c"}), "trigger": trigger}
    (tmp_path / "state" / "recovery" / "orders").mkdir(parents=True)
    assert command(tmp_path, spec, "reset").output.endswith(f"; {says}\n")


def test_a_flow_that_remembers_nothing_has_no_state(tmp_path: Path) -> None:
    result = command(tmp_path, spec_of(tmp_path))
    assert (result.exit_code, result.output) == (
        2,
        "error: no step of orders remembers anything, so it has no state\n",
    )


def test_a_store_that_is_damaged_is_named(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, {"count_by": "c"})
    put(tmp_path, 0, 5)
    finish(tmp_path, spec)
    file = tmp_path / "state" / "recovery" / "orders" / "part-0.sqlite3"
    file.write_bytes(b"no database" * 1000)
    result = command(tmp_path, spec)
    assert result.exit_code == 2
    assert result.output.startswith(f"error: {file} cannot be read: ")
