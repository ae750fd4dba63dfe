"""What a flow does with a step that asks another system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowspec.delivery.asking import Asking
from flowspec.delivery.run import FlowRun
from flowspec.delivery.steps import FusedSteps, Stage, step_stage
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Record
from flowspec.steps.asking import Asker, Outcome
from flowspec.steps.base import Step
from tests.flowspec.delivery.memory import bodies, letters_of, numbered, run_of


class Answering(Asker):
    """Answers by a function of the body and of how often it was asked about that."""

    def __init__(self, answer: Callable[[int, int], Any]) -> None:
        self._answer = answer
        self.asked: list[list[int]] = []
        self.closed = False

    def ask(self, records: Sequence[Record]) -> Sequence[Outcome]:
        self.asked.append([record.body for record in records])
        return [self._one(record) for record in records]

    def close(self) -> None:
        self.closed = True

    def _one(self, record: Record) -> Outcome:
        answer = self._answer(record.body, sum(record.body in batch for batch in self.asked))
        if answer is None or isinstance(answer, Exception):
            return answer
        record.body = answer
        return record


@pytest.fixture
def run(tmp_path: Path) -> FlowRun:
    run = run_of(tmp_path)
    run.waited = []  # type: ignore[attr-defined]
    run.wait_to_retry = lambda seconds, error: run.waited.append(str(error))  # type: ignore[attr-defined,method-assign]
    return run


def steps(asker: Asker, run: FlowRun, on_error: Any = "dead_letter") -> FusedSteps:
    class Asks(Step):
        kind = "asks"

        def build(self) -> Asker:
            return asker

    return FusedSteps([step_stage("asks", Asks(on_error=on_error), "dead_letter", run)], run)


def test_records_go_on_fail_or_are_dropped_in_order(run: FlowRun) -> None:
    answers = {0: 10, 1: RecordError("bad"), 2: None, 3: 13, 4: ValueError("a bug")}
    asker = Answering(lambda body, _: answers[body])
    assert bodies(steps(asker, run)(numbered(5))) == [10, 13]
    assert asker.asked == [[0, 1, 2, 3, 4]]
    assert [(letter.step, str(letter.error), letter.record.body) for letter in letters_of(run)] == [
        ("asks", "bad", 1),
        ("asks", "a bug", 4),
    ]
    assert (run.tally.filtered, run.tally.failed) == (1, 2)
    assert run.tally.places["asks"].passed == 2


def test_only_those_without_an_answer_are_asked_about_again(run: FlowRun) -> None:
    down = TransientError("down")

    def answer(body: int, times: int) -> Any:
        return down if times <= body else body + 10

    asker = Answering(answer)
    assert bodies(steps(asker, run)(numbered(4))) == [10, 11, 12, 13]
    assert asker.asked == [[0, 1, 2, 3], [1, 2, 3], [2, 3], [3]]
    assert run.waited == ["down"] * 3  # type: ignore[attr-defined]
    assert letters_of(run) == []
    (health,) = (health for health in run.healths if health.name == "asks")
    assert (health.state, health.retries) == ("up", 3)


def test_with_a_retry_the_record_is_set_aside(run: FlowRun) -> None:
    asker = Answering(lambda body, _: TransientError("down") if body == 1 else body)
    assert bodies(steps(asker, run, {"retry": {"attempts": 3}})(numbered(3))) == [0, 2]
    assert len(asker.asked) == 1
    assert run.waited == []  # type: ignore[attr-defined]
    assert run.tally.retried == 1
    (health,) = (health for health in run.healths if health.name == "asks")
    assert health.state == "down"


@pytest.mark.parametrize(("error", "on_error"), [(FatalError("no"), "dead_letter"), (RecordError("no"), "stop")])
def test_what_stops_the_flow_is_asked_about_once(run: FlowRun, error: Exception, on_error: str) -> None:
    asker = Answering(lambda body, _: error if body == 1 else body)
    with pytest.raises(type(error)):
        steps(asker, run, on_error)(numbered(3))
    assert asker.asked == [[0, 1, 2]]
    assert run.failure is not None
    assert (run.failure.where, run.failure.error) == ("asks", error)


def test_nothing_is_waited_for_when_the_flow_stops_anyway(run: FlowRun) -> None:
    asker = Answering(lambda body, _: FatalError("no") if body == 1 else TransientError("down"))
    with pytest.raises(FatalError):
        steps(asker, run)(numbered(3))
    assert run.waited == []  # type: ignore[attr-defined]


def test_a_stop_ends_the_wait(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.drain_timeout = 0.0
    run.stop()
    asker = Answering(lambda body, _: TransientError("down") if body else body)
    with pytest.raises(FatalError, match="stopped before everything was delivered"):
        steps(asker, run)(numbered(3))
    assert asker.asked == [[0, 1, 2]]


def test_a_bug_costs_records_and_not_the_flow(run: FlowRun) -> None:
    class Broken(Answering):
        def ask(self, records: Sequence[Record]) -> Sequence[Outcome]:
            msg = "a bug"
            raise KeyError(msg)

    assert steps(Broken(lambda body, _: body), run)(numbered(2)) == []
    assert len(letters_of(run)) == 2


def test_a_transform_by_itself_raises_the_first_error(run: FlowRun) -> None:
    asking = Asking(Answering(lambda body, _: RecordError(str(body)) if body else body), "asks", run, waits=True)
    assert bodies(asking(numbered(1))) == [0]
    with pytest.raises(RecordError, match="1"):
        asking(numbered(3))


def test_it_is_closed_with_the_run(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    asker = Answering(lambda body, _: body)
    steps(asker, run)
    run.close()
    assert asker.closed


def test_other_stages_are_as_they_were(run: FlowRun) -> None:
    assert bodies(FusedSteps([Stage("odd", lambda records: records[1::2])], run)(numbered(4))) == [1, 3]
