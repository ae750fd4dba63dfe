"""Branches: which record takes which, and that nothing of it is lost, delivered twice, or told of too early."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowspec.compiler import compile_flow
from flowspec.connectors import Action
from flowspec.deadletters.letter import DeadLetter
from flowspec.deadletters.store import Search
from flowspec.delivery.run import FlowRun
from flowspec.errors import RecordError
from flowspec.expressions import Expression
from flowspec.objects import model_of
from flowspec.records import Record, Trace
from flowspec.spec import FlowSpec
from flowspec.steps.base import Step
from flowspec.steps.branching import Branch
from flowspec.steps.filter import Filter
from flowspec.steps.python import Function, Python
from flowspec.steps.route import Case, Route, RouteOptions
from flowspec.steps.set import Set
from tests.flowspec.delivery.memory import Event, Journal, MemoryAction, MemoryTrigger, letters_of, run_of


def route(*cases: dict[str, Any], otherwise: dict[str, Any] | None = None) -> Route:
    return Route.model_validate({"route": {"cases": list(cases), "otherwise": otherwise}})


def chosen(step: Route, *bodies: Any) -> list[int | None]:
    return step.choosing()([Record("", body) for body in bodies])


def test_a_record_takes_the_first_case_that_it_fits() -> None:
    cases = [{"when": "total > 100"}, {"when": "country == 'ES'"}, {"when": "total > 10"}]
    bodies = [{"total": total, "country": country} for total in (500, 50, 5) for country in ("ES", "FR")]
    assert chosen(route(*cases), *bodies) == [0, 0, 1, 2, 1, None]
    sink = {"connector": "stdout"}
    assert chosen(route(*cases, otherwise={"sink": sink}), *bodies) == [0, 0, 1, 2, 1, 3]


def test_later_cases_are_not_asked_about_a_record_that_has_its_case() -> None:
    step = route({"when": "kind == 'a'"}, {"id": "big", "when": "total > 1"})
    assert chosen(step, {"kind": "a"}, {"kind": "b", "total": 2}, {"kind": "a"}) == [0, 1, 0]
    with pytest.raises(RecordError, match=r"^when of big: missing field 'total'$"):
        chosen(step, {"kind": "a"}, {"kind": "b"})


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20), min_size=1, max_size=4), st.booleans())
def test_it_is_if_and_else_if_and_else(numbers: list[int], limits: list[int], has_otherwise: bool) -> None:
    otherwise = {"sink": {"connector": "stdout"}} if has_otherwise else None
    step = route(*({"when": f"body < {limit}"} for limit in limits), otherwise=otherwise)
    rest = len(limits) if has_otherwise else None
    expected = [next((n for n, limit in enumerate(limits) if number < limit), rest) for number in numbers]
    assert chosen(step, *numbers) == expected


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ({"cases": []}, ("cases",), "at least 1 item"),
        ({"cases": [{}]}, ("cases", 0, "when"), "Field required"),
        ({"cases": [{"when": "a ="}]}, ("cases", 0, "when"), "use == to compare"),
        ({"cases": [{"when": "a", "id": "a b"}]}, ("cases", 0, "id"), "pattern"),
        ({"cases": [{"when": "a", "id": "x"}] * 2}, ("cases", 1, "id"), "the id 'x' is used twice"),
        ({"cases": [{"when": "a"}, {"when": "b", "id": "case-1"}]}, ("cases", 1, "id"), "the id 'case-1' is used"),
        ({"cases": [{"when": "a", "id": "otherwise"}]}, ("cases", 0, "id"), "the id 'otherwise' is used twice"),
        ({"cases": [{"when": "a", "steps": [{"filter": "b"}]}]}, ("cases", 0, "sinks"), "Field required"),
        ({"cases": [{"when": "a", "sinks": []}], "otherwise": {}}, ("cases",), "no record goes anywhere"),
        ({"cases": [{"when": "a"}], "otherwise": {"when": "b"}}, ("otherwise", "when"), "Extra inputs"),
    ],
)
def test_places_of_mistakes(content: Any, place: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Route.model_validate({"route": content})
    (error,) = refused.value.errors()
    assert error["loc"] == ("route", *place)
    assert message in error["msg"]


# In a flow.


@pytest.fixture
def journal() -> Journal:
    return Journal()


def note(journal: Journal, id_: str | None = None, **fields: Any) -> MemoryAction:
    return MemoryAction(journal=journal, id=id_, **fields)


def by_cases(*cases: Case, otherwise: Branch | None = None, **fields: Any) -> Route:
    return Route(route=RouteOptions(cases=list(cases), otherwise=otherwise), **fields)


def case(when: str, *steps: Step, sinks: Sequence[Action] = (), id_: str | None = None) -> Case:
    fields: dict[str, Any] = {"sinks": list(sinks)} if sinks else {}
    return Case(when=Expression(when), steps=list(steps), id=id_, **fields)


def branch(*steps: Step, sinks: Sequence[Action]) -> Branch:
    return Branch(steps=list(steps), sinks=list(sinks))


def flow(journal: Journal, bodies: Sequence[Any], steps: Sequence[Step], *sinks: Action, **trigger: Any) -> FlowSpec:
    records = [Record(json.dumps(body).encode(), None, {"id": number}) for number, body in enumerate(bodies)]
    made = MemoryTrigger(journal=journal, records=records, **trigger)
    return FlowSpec(name="test", trigger=made, steps=list(steps), **({"sinks": list(sinks)} if sinks else {}))


def execute(spec: FlowSpec, run: FlowRun) -> FlowRun:
    run_main(compile_flow(spec, run), epoch_interval=timedelta(0))
    run.close()
    return run


def replay(spec: FlowSpec, state_dir: Path) -> FlowRun:
    run = run_of(state_dir)
    run.replay = run.store.find(Search())
    return execute(spec, run)


@pytest.mark.parametrize("batch_size", [1, 7, 500])
def test_each_record_goes_to_its_sinks_and_is_committed_behind_them(
    tmp_path: Path, journal: Journal, batch_size: int
) -> None:
    numbers = list(range(100))
    early: list[Event] = []
    done: set[int] = set()

    def watch(event: Event) -> None:
        if event.what == "write":
            done.update(event.detail)
        elif event.what == "commit" and not set(range(event.detail)) <= done | set(range(0, 100, 5)):
            early.append(event)

    journal.watch = watch
    inner = by_cases(case("body % 3 == 1", sinks=[note(journal, "one")]))
    steps = [
        by_cases(
            case("body % 5 == 0", id_="dropped"),
            case("body % 3 < 2", inner, sinks=[note(journal, "zero"), note(journal, "copy")]),
            otherwise=branch(sinks=[note(journal, "two")]),
        )
    ]
    run = execute(flow(journal, numbers, steps, batch_size=batch_size), run_of(tmp_path))

    rest = [number for number in numbers if number % 5]
    assert journal.written("one") == [number for number in rest if number % 3 == 1]
    assert journal.written("zero") == journal.written("copy") == [number for number in rest if number % 3 == 0]
    assert journal.written("two") == [number for number in rest if number % 3 == 2]
    assert journal.committed() == 100
    assert early == []
    assert (run.tally.filtered, run.tally.failed, run.tally.in_flight) == (20, 0, 0)
    assert (run.tally.places["route-1"].passed, run.tally.places["route-1"].filtered) == (80, 20)


def test_records_of_no_case_go_on_and_those_of_a_case_do_not_come_back(tmp_path: Path, journal: Journal) -> None:
    tenfold = Python(python=Function(lambda body: body * 10))
    spec = flow(
        journal,
        range(6),
        [
            Filter(filter=Expression("body > 0")),
            by_cases(case("body < 3", tenfold, sinks=[note(journal, "small")])),
            by_cases(case("body < 5", id_="dropped")),
            tenfold,
        ],
        note(journal, "out"),
    )
    execute(spec, run_of(tmp_path))
    assert journal.written("small") == [10, 20]
    assert journal.written("out") == [50]


def test_a_record_that_no_case_can_be_told_of_fails_at_the_route(tmp_path: Path, journal: Journal) -> None:
    bodies = [{"n": 1}, {"m": 1}, {"n": 2}, {"n": "x"}]
    steps = [
        by_cases(case("n < 2", sinks=[note(journal, "a")]), otherwise=branch(sinks=[note(journal, "b")]), id="by-n")
    ]
    run = execute(flow(journal, bodies, steps), run_of(tmp_path))
    assert (journal.written("a"), journal.written("b")) == ([{"n": 1}], [{"n": 2}])
    assert [(letter.step, letter.record.body) for letter in letters_of(run)] == [
        ("by-n", {"m": 1}),
        ("by-n", {"n": "x"}),
    ]
    assert journal.committed() == 4


def test_the_policy_of_a_route_is_that_of_its_choice_only(tmp_path: Path, journal: Journal) -> None:
    fails = Set.model_validate({"id": "fails", "set": {"x": "gone"}})
    cases = [case("n < 2", fails, sinks=[note(journal, "a")])]
    spec = flow(journal, [{"n": 1}, {"m": 1}], [by_cases(*cases, on_error="skip")], note(journal, "out"))
    run = execute(spec, run_of(tmp_path))
    assert [letter.step for letter in letters_of(run)] == ["fails"]
    assert run.tally.failed == 2


def test_what_is_tried_again_in_a_branch_is_delivered_once(tmp_path: Path, journal: Journal) -> None:
    left = [2]

    def unsteady(body: int) -> int:
        if body == 3 and left[0]:
            left[0] -= 1
            msg = "not yet"
            raise RecordError(msg)
        return body

    step = Python.model_validate({"python": unsteady, "on_error": {"retry": {"attempts": 3, "backoff": "1ms"}}})
    spec = flow(
        journal,
        range(6),
        [by_cases(case("body % 2", step, sinks=[note(journal, "odd")]))],
        note(journal, "out"),
    )
    run = execute(spec, run_of(tmp_path))
    assert journal.written("odd") == [1, 5, 3]
    assert journal.written("out") == [0, 2, 4]
    assert (run.tally.retried, run.tally.failed) == (2, 0)


def test_a_letter_of_a_sink_in_a_branch_goes_to_that_sink_only(tmp_path: Path) -> None:
    def spec(journal: Journal, *, broken: bool) -> FlowSpec:
        faults = [{3: RecordError("no"), 2: RecordError("no")}] if broken else []
        cases = [case("body % 2", sinks=[note(journal, "picky", faults=faults), note(journal, "beside")])]
        return flow(journal, range(6), [by_cases(*cases)], note(journal, "out", faults=faults), note(journal, "copy"))

    first, second = Journal(), Journal()
    execute(spec(first, broken=True), run_of(tmp_path))
    assert (first.written("picky"), first.written("beside")) == ([1, 5], [1, 3, 5])
    assert (first.written("out"), first.written("copy")) == ([0, 4], [0, 2, 4])

    run = replay(spec(second, broken=False), tmp_path)
    assert (second.written("picky"), second.written("beside")) == ([3], [])
    assert (second.written("out"), second.written("copy")) == ([2], [])
    assert run.store.count(Search()) == 0


def test_a_letter_that_takes_another_case_now_goes_to_each_sink_of_that(tmp_path: Path) -> None:
    def spec(journal: Journal, when: str, faults: list[Any]) -> FlowSpec:
        old = case(when, sinks=[note(journal, "old", faults=faults), note(journal, "beside")])
        return flow(journal, [1], [by_cases(old, otherwise=branch(sinks=[note(journal, "new"), note(journal, "too")]))])

    first, second = Journal(), Journal()
    execute(spec(first, "body == 1", [{1: RecordError("no")}]), run_of(tmp_path))
    assert first.written("beside") == [1]

    run = replay(spec(second, "body == 2", []), tmp_path)
    assert (second.written("new"), second.written("too")) == ([1], [1])
    assert run.store.count(Search()) == 0


# With steps that remember.


def remembering(**step: Any) -> Step:
    made = model_of(Step, step).model_validate(step)
    assert isinstance(made, Step)
    return made


@pytest.mark.parametrize("inside", [False, True], ids=["before the route", "in the case"])
def test_a_record_that_failed_behind_a_dedupe_is_no_duplicate(tmp_path: Path, journal: Journal, inside: bool) -> None:
    left = [1]

    def unsteady(body: int) -> int:
        if body == 3 and left[0]:
            left[0] -= 1
            msg = "not yet"
            raise RecordError(msg)
        return body

    dedupe = remembering(dedupe="body")
    step = Python.model_validate({"python": unsteady, "on_error": {"retry": {"attempts": 3, "backoff": "1ms"}}})
    steps: list[Step] = [] if inside else [dedupe]
    behind = [dedupe, step] if inside else [step]
    steps.append(by_cases(case("body % 2", *behind, sinks=[note(journal, "odd")])))
    spec = flow(journal, [1, 2, 3, 3, 1, 5], steps, note(journal, "out"), batch_size=1)
    run = execute(spec, run_of(tmp_path))
    assert sorted(journal.written("odd")) == [1, 3, 5]
    assert journal.written("out") == [2]
    assert run.tally.failed == 0


@pytest.mark.parametrize("closed", [False, True], ids=["goes on", "otherwise"])
def test_what_a_step_in_a_branch_made_of_many_goes_on_behind_it(tmp_path: Path, journal: Journal, closed: bool) -> None:
    """A batch that failed behind its step is no record that the conditions are for: they would fail on it."""
    left = [1]

    def unsteady(body: list[Any]) -> list[Any]:
        if left[0]:
            left[0] -= 1
            msg = "not yet"
            raise RecordError(msg)
        return [{"sum": sum(each["n"] for each in body)}]

    batch = remembering(id="gather", batch={"count": 3})
    retry = {"retry": {"attempts": 3, "backoff": "1ms"}}
    total = Python.model_validate({"id": "total", "python": unsteady, "on_error": retry})
    inner = by_cases(case("n > 0", batch, total, sinks=[note(journal, "sums")]), id="inner")
    others = note(journal, "out")
    cases = [case("n < 10", inner, sinks=[note(journal, "zero")])]
    step = by_cases(*cases, otherwise=branch(sinks=[others]) if closed else None, id="outer")
    bodies = [{"n": n} for n in (1, 10, 2, 0, 3)]
    spec = flow(journal, bodies, [step], *([] if closed else [others]))
    ticking = spec.model_copy(update={"trigger": spec.trigger.model_copy(update={"finite": False})})
    run = execute(ticking, run_of(tmp_path, until_idle=1.0))
    assert journal.written("sums") == [{"sum": 6}]
    assert (journal.written("zero"), journal.written("out")) == ([{"n": 0}], [{"n": 10}])
    assert run.tally.failed == 0
    assert run.store.waiting() == 0


def test_what_was_made_by_a_step_that_is_gone_is_asked_about(tmp_path: Path, journal: Journal) -> None:
    """Nothing goes on behind a route with `otherwise`."""
    batch = remembering(id="gather", batch={"count": 3})
    steps = [by_cases(case("n < 2", batch, sinks=[note(journal, "a")]), otherwise=branch(sinks=[note(journal, "b")]))]
    run = run_of(tmp_path)
    made = Record(b"", {"n": 5}, trace=Trace({"n": 5}, after="gone"))
    run.store.add([DeadLetter(made, "total", RecordError("bad"), 1, 1.0)])
    replay(flow(journal, [], steps), tmp_path)
    assert journal.written("b") == [{"n": 5}]
    assert run.store.count(Search()) == 0
