"""Joins in a flow: as their tests have them, as mistakes are told, and where records fail behind them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from bytewax.testing import run_main

from flowspec.compiler import compile_flow
from flowspec.errors import RecordError
from flowspec.loading import SpecError, loads
from flowspec.records import Record
from flowspec.spec import FlowSpec
from flowspec.steps.join import Join, JoinOptions
from flowspec.steps.python import Function, Python
from tests.flowspec.delivery.memory import Journal, MemoryAction, MemoryTrigger, letters_of, run_of
from tests.flowspec.testing.flows import outcomes, said, write

TABLE = {
    "connector": "sql",
    "account": {"url": "sqlite:///shop.sqlite"},
    "table": "customers",
    "cursor_column": "version",
}
JOIN = {"with": TABLE, "key": "customer_id", "with_key": "id", "into": "customer"}
ANN = {"id": 7, "name": "Ann"}
ORDER = {"order_id": 1, "customer_id": 7}


def results(folder: Path, test: dict[str, Any], **join: Any) -> str:
    """What is wrong with a test of a flow with a join; empty where nothing is."""
    step = {"id": "customers", "join": {**JOIN, **join}}
    (result,) = outcomes(write(folder, test, steps=[step]))
    return "\n".join(result.difference)


@pytest.mark.parametrize("options", [{}, {"wait": "30s"}, {"within": "5m"}], ids=["latest", "wait", "within"])
def test_joined_records_come_before_those_that_are_given(tmp_path: Path, options: dict[str, Any]) -> None:
    anna = {**ANN, "name": "Anna"}
    bodies = [{**ORDER, "customer": each} for each in ([ANN, anna] if "within" in options else [anna])]
    test = {
        "given": [ORDER, {"order_id": 2, "customer_id": 8}],
        "joined": {"customers": [ANN, anna, {"id": 9}]},
        "expect": {
            "sink": bodies,
            "dead_letters": [
                {
                    "step": "customers",
                    "error": "there is no other record with the same customer_id",
                    "external_id": "2",
                }
            ],
        },
    }
    assert results(tmp_path, test, **options) == ""


@pytest.mark.parametrize("options", [{}, {"wait": "30s"}, {"within": "5m"}], ids=["latest", "wait", "within"])
@pytest.mark.parametrize(
    ("missing", "expect"),
    [
        ("null", {"sink": [{**ORDER, "customer": None}], "dead_letters": [], "filtered": 0}),
        ("drop", {"sink": [], "dead_letters": [], "filtered": 1}),
        ("fail", {"sink": [], "dead_letters": [{"step": "customers"}], "filtered": 0}),
    ],
)
def test_nobody_is_there(tmp_path: Path, options: dict[str, Any], missing: str, expect: dict[str, Any]) -> None:
    assert results(tmp_path, {"given": [ORDER], "expect": expect}, missing=missing, **options) == ""


def test_records_of_both_sides_that_have_no_key_fail_at_the_step(tmp_path: Path) -> None:
    test = {
        "given": [{"order_id": 1}, {"order_id": 2, "customer_id": 7}],
        "joined": {"customers": [{"name": "nobody"}, ANN]},
        "expect": {
            "sink": [{"order_id": 2, "customer_id": 7, "customer": ANN}],
            "dead_letters": [
                {"step": "customers", "error": "missing field 'id'", "external_id": None},
                {"step": "customers", "error": "missing field 'customer_id'", "external_id": "1"},
            ],
        },
    }
    assert results(tmp_path, test) == ""


def test_a_test_that_is_wrong_about_a_join_fails(tmp_path: Path) -> None:
    test = {"given": [ORDER], "joined": {"customers": [ANN]}, "expect": {"sink": [{**ORDER, "customer": None}]}}
    assert "Ann" in results(tmp_path, test)


def test_mistakes_in_joined_are_named(tmp_path: Path) -> None:
    steps = [{"id": "customers", "join": JOIN}]
    test = {"given": [ORDER], "joined": {"customer": [ANN]}}
    (problem,) = said(write(tmp_path, test, steps=steps))
    assert problem.endswith("tests[0].joined.customer: the flow has no join step 'customer'; did you mean 'customers'?")
    (problem,) = said(write(tmp_path, {"given": [ORDER], "joined": {"customers": [{"payload": "7"}]}}, steps=steps))
    assert "tests[0].joined.customers[0]: sql / query-rows makes the bodies of its records itself" in problem


def mistakes(**join: Any) -> str:
    document = {
        "name": "orders",
        "trigger": {"connector": "schedule", "interval": "1h"},
        "steps": [{"join": {key: value for key, value in {**JOIN, **join}.items() if value is not None}}],
        "sink": {"connector": "stdout"},
    }
    with pytest.raises(SpecError) as caught:
        loads(json.dumps(document))
    return "\n".join(str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("join", "message"),
    [
        ({"with": None}, "steps[0].join: 'with' is missing"),
        ({"with": {**TABLE, "connector": "sqll"}}, "did you mean 'sql'?"),
        ({"with": {**TABLE, "tabel": "x"}}, "steps[0].join.with.tabel: unknown key 'tabel'; did you mean 'table'?"),
        ({"into": None}, "steps[0].join: 'into' is missing"),
        ({"key": "customer_id +"}, "steps[0].join.key: "),
        ({"into": "a..b"}, "steps[0].join.into: "),
        ({"missing": "skip"}, "steps[0].join.missing: "),
        ({"within": "5m", "wait": "1s"}, "wait is for a join with the last record"),
        ({"within": 0}, "steps[0].join.within: "),
    ],
)
def test_mistakes_are_named(join: dict[str, Any], message: str) -> None:
    assert message in mistakes(**join)


class Identified(MemoryTrigger):
    """Tells its records apart."""

    identified_by: ClassVar[tuple[str, ...]] = ("number",)


def flow(journal: Journal, options: dict[str, Any], *later: Python) -> FlowSpec:
    """Two records of the flow and three others, of which two go with the first."""

    def records(*bodies: dict[str, Any]) -> list[Record]:
        return [Record(json.dumps(body).encode(), meta={"number": number}) for number, body in enumerate(bodies)]

    orders = Identified(journal=journal, records=records({"n": 1, "k": "a"}, {"n": 2, "k": "b"}))
    other = Identified(journal=Journal(), records=records({"k": "a", "v": 1}, {"k": "a", "v": 2}, {"k": "b", "v": 3}))
    known = {"key": "k", "into": "other", **options}
    step = Join(join=JoinOptions.model_validate({"with": other, **known}))
    return FlowSpec(name="test", trigger=orders, steps=[step, *later], sinks=[MemoryAction(journal=journal, id="out")])


def failing(times: int, which: int, attempts: int = 3) -> Python:
    """A step that fails so many times on records that were joined with one of the others."""
    left = [times]

    def fail(body: dict[str, Any]) -> dict[str, Any]:
        if body["other"]["v"] == which and left[0]:
            left[0] -= 1
            msg = "not yet"
            raise RecordError(msg)
        return body

    retry = {"retry": {"attempts": attempts, "backoff": "1ms"}}
    return Python.model_validate({"python": Function(fail), "on_error": retry})


def ran(tmp_path: Path, options: dict[str, Any], *later: Python) -> tuple[list[tuple[int, int]], list[Any], Any]:
    """What came to the sink, the dead letters, and the run."""
    journal = Journal()
    run = run_of(tmp_path)
    run_main(compile_flow(flow(journal, options, *later), run), epoch_interval=timedelta(0))
    run.close()
    return [(body["n"], body["other"]["v"]) for body in journal.written("out")], letters_of(run), run


def test_each_is_joined_with_each_and_what_fails_later_alone_comes_again(tmp_path: Path) -> None:
    written, letters, run = ran(tmp_path, {"within": 600.0}, failing(2, 1))
    assert sorted(written) == [(1, 1), (1, 2), (2, 3)]
    assert [letter for letter in letters if letter.next_try is None] == []
    assert run.store.waiting() == 0


def test_two_that_were_made_of_one_and_fail_are_two_letters(tmp_path: Path) -> None:
    def fail(body: dict[str, Any]) -> dict[str, Any]:
        if body["n"] == 1:
            msg = "never"
            raise RecordError(msg)
        return body

    step = Python.model_validate({"python": Function(fail)})
    written, letters, _ = ran(tmp_path, {"within": 600.0}, step)
    assert written == [(2, 3)]
    assert sorted(letter.record.body["other"]["v"] for letter in letters) == [1, 2]
    assert all(letter.identity is None for letter in letters), "none of them takes the place of the other"


def test_what_fails_behind_a_join_with_the_last_is_joined_with_it_again(tmp_path: Path) -> None:
    written, letters, run = ran(tmp_path, {"wait": 600.0}, failing(2, 3))
    assert [each for each in written if each[0] == 2] == [(2, 3)]
    assert len(written) == 2
    assert [letter for letter in letters if letter.next_try is None] == []
    assert run.store.waiting() == 0
    assert run.tally.absorbed == 3, "the others are remembered, and only they"
