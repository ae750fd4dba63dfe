"""Steps that remember, in a flow that Bytewax runs."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main
from hypothesis import given, settings
from hypothesis import strategies as st

from flowspec.compiler import compile_flow
from flowspec.errors import RecordError
from flowspec.loading import loads
from flowspec.records import Record
from flowspec.spec import FlowSpec
from flowspec.steps.python import Function, Python
from flowspec.testing.model import SpecTest
from flowspec.testing.running import Outcome, run_test
from tests.flowspec.delivery.memory import Journal, MemoryAction, MemoryTrigger, letters_of, run_of

Bodies = list[dict[str, Any]]


def outcome(step: dict[str, Any], bodies: Bodies, batch_size: int = 3) -> Outcome:
    """What a flow with one step makes of records, up to the end of its data."""
    document = {
        "name": "remembering",
        "trigger": {"connector": "schedule", "interval": "1h", "batch_size": batch_size},
        "steps": [step],
        "sink": {"connector": "stdout", "id": "out"},
    }
    test = {"name": "it", "given": [{"body": body} for body in bodies]}
    return run_test(loads(json.dumps(document)), SpecTest.model_validate(test))


def by_key(bodies: Bodies) -> dict[str, Bodies]:
    sorted_: defaultdict[str, Bodies] = defaultdict(list)
    for body in bodies:
        sorted_[body["c"]].append(body)
    return dict(sorted_)


numbered = st.lists(st.sampled_from("abc"), min_size=1, max_size=40).map(
    lambda keys: [{"c": key, "n": number} for number, key in enumerate(keys)]
)


@given(numbered, st.integers(1, 10))
@settings(max_examples=8)
def test_counts(bodies: Bodies, batch_size: int) -> None:
    out = outcome({"count_by": {"key": "c", "into": "count"}}, bodies, batch_size).sinks["out"]
    expected = {
        key: [{**body, "count": count} for count, body in enumerate(each, 1)] for key, each in by_key(bodies).items()
    }
    assert by_key(out) == expected


@given(numbered, st.integers(1, 10))
@settings(max_examples=8)
def test_values(bodies: Bodies, batch_size: int) -> None:
    step = {"reduce": {"key": "c", "start": [], "with": "state + [record.n]", "into": "all"}}
    out = outcome(step, bodies, batch_size).sinks["out"]
    expected = {
        key: [{**body, "all": [one["n"] for one in each[:count]]} for count, body in enumerate(each, 1)]
        for key, each in by_key(bodies).items()
    }
    assert by_key(out) == expected


@given(numbered, st.integers(1, 10), st.integers(1, 7))
@settings(max_examples=8)
def test_batches(bodies: Bodies, batch_size: int, count: int) -> None:
    out = outcome({"batch": {"key": "c", "count": count}}, bodies, batch_size).sinks["out"]
    expected = [each[start : start + count] for each in by_key(bodies).values() for start in range(0, len(each), count)]
    assert sorted(out, key=str) == sorted(expected, key=str)


@given(numbered, st.integers(1, 10))
@settings(max_examples=8)
def test_records_that_are_let_go_at_the_end(bodies: Bodies, batch_size: int) -> None:
    for step in ({"throttle": {"key": "c", "rate": 1}}, {"batch": {"key": "c", "count": 50, "gives": "records"}}):
        out = outcome(step, bodies, batch_size)
        assert by_key(out.sinks["out"]) == by_key(bodies)
        assert out.dead_letters == []


def test_a_failure_of_the_expression_is_one_of_the_record_at_that_step() -> None:
    step = {"id": "sum", "reduce": {"with": "state + record.v", "into": "total"}}
    out = outcome(step, [{"v": 1}, {}, {"v": 2}])
    assert [body["total"] for body in out.sinks["out"]] == [1, 3]
    assert [(each.step, "missing field 'record.v'" in each.error) for each in out.dead_letters] == [("sum", True)]
    stops = outcome({**step, "on_error": "stop"}, [{"v": 1}, {}]).stops
    assert stops is not None
    assert stops.startswith("sum: missing field 'record.v'")


def flow(journal: Journal, records: list[dict[str, Any]], steps: list[Any]) -> FlowSpec:
    trigger = MemoryTrigger(journal=journal, records=[Record(json.dumps(body).encode()) for body in records])
    document = {"trigger": {"connector": "schedule"}, "name": "test", "sink": {"connector": "stdout"}}
    written = loads(json.dumps({**document, "steps": [step for step in steps if isinstance(step, dict)]})).steps
    made = iter(written)
    return FlowSpec(
        name="test",
        trigger=trigger,
        steps=[next(made) if isinstance(step, dict) else step for step in steps],
        sinks=[MemoryAction(journal=journal, id="out")],
    )


def failing(times: int, which: int) -> Python:
    """A step that fails on one record so many times, and tries it again at once."""
    left = [times]

    def fail(body: dict[str, Any]) -> dict[str, Any]:
        if body["n"] == which and left[0]:
            left[0] -= 1
            msg = "not yet"
            raise RecordError(msg)
        return body

    retry = {"retry": {"attempts": 3, "backoff": "1ms"}}
    return Python.model_validate({"python": Function(fail), "on_error": retry})


def test_a_record_that_is_tried_again_is_not_counted_again(tmp_path: Path) -> None:
    journal = Journal()
    spec = flow(
        journal,
        [{"n": 1}, {"n": 2}, {"n": 3}],
        [{"count_by": "1"}, {"reduce": {"with": "state + record.n", "into": "total"}}, failing(2, 2)],
    )
    run = run_of(tmp_path)
    run_main(compile_flow(spec, run), epoch_interval=timedelta(0))
    run.close()
    written = journal.written("out")
    assert [body["n"] for body in written] == [1, 3, 2]
    assert [body["count"] for body in written] == [1, 3, 3]
    assert [body["total"] for body in written] == [1, 6, 6]


@pytest.mark.parametrize(
    "step",
    [{"throttle": {"rate": 1, "per": "1200ms"}}, {"batch": {"count": 10, "time": "300ms", "gives": "records"}}],
    ids=["throttle", "batch"],
)
def test_a_record_that_failed_before_it_waited_is_not_lost_when_it_fails_after_it(
    tmp_path: Path, step: dict[str, Any]
) -> None:
    journal = Journal()
    # Its letter is removed while it waits.
    spec = flow(journal, [{"n": 1}, {"n": 2}], [failing(1, 2), step, failing(5, 2)])
    ticking = spec.model_copy(update={"trigger": spec.trigger.model_copy(update={"finite": False})})
    run = run_of(tmp_path)
    run.until_idle = 2.0
    run_main(compile_flow(ticking, run), epoch_interval=timedelta(0))
    run.close()
    assert [body["n"] for body in journal.written("out")] == [1]
    assert [(letter.step, letter.record.body["n"]) for letter in letters_of(run) if letter.next_try is None] == [
        ("python-3", 2)
    ]
    assert run.store.waiting() == 0
