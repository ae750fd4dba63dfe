from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from flowspec.delivery.run import FlowRun
from flowspec.delivery.steps import FusedSteps, Stage, decode_stage, external_id_stage
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.expressions import Expression
from flowspec.formats import decoder
from flowspec.policies import ErrorPolicy
from flowspec.records import Record
from tests.flowspec.delivery.memory import bodies, letters_of, numbered, run_of


@pytest.fixture
def run(tmp_path: Path) -> FlowRun:
    return run_of(tmp_path)


def inverse(records: list[Record]) -> list[Record]:
    """Fails on 0."""
    values = [12 / record.body for record in records]
    for record, value in zip(records, values, strict=True):
        record.body = value
    return records


def odd(records: list[Record]) -> list[Record]:
    return [record for record in records if record.body % 2]


def tens(records: list[Record]) -> list[Record]:
    return [record.derive(record.body * 10) for record in records]


def test_stages_run_one_after_the_other(run: FlowRun) -> None:
    steps = FusedSteps([Stage("odd", odd), Stage("tens", tens)], run)
    assert bodies(steps(numbered(6))) == [10, 30, 50]
    assert (run.tally.filtered, run.tally.failed) == (3, 0)


def test_a_flow_without_steps(run: FlowRun) -> None:
    records = numbered(3)
    assert FusedSteps([], run)(records) == records


def test_nothing_runs_after_everything_was_filtered(run: FlowRun) -> None:
    calls = []

    def note(records: list[Record]) -> list[Record]:
        calls.append(records)
        return records

    steps = FusedSteps([Stage("none", lambda _: []), Stage("note", note, batched=False), Stage("too", note)], run)
    assert steps(numbered(4)) == []
    assert run.tally.filtered == 4
    assert calls == []


def test_one_bad_record_is_isolated_and_its_neighbours_go_on_in_order(run: FlowRun) -> None:
    steps = FusedSteps([Stage("inverse", inverse), Stage("tens", tens)], run)
    assert bodies(steps([Record(b"", body) for body in (1, 0, 3, 0, 4)])) == [120, 40, 30]
    assert [(letter.step, letter.attempts) for letter in letters_of(run)] == [("inverse", 1), ("inverse", 1)]
    assert all(isinstance(letter.error, ZeroDivisionError) for letter in letters_of(run))
    assert (run.tally.filtered, run.tally.failed) == (0, 2)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("with_bad", [True, False])
def test_filtered_is_exact(run: FlowRun, batched: bool, with_bad: bool) -> None:
    def odd_or_error(records: list[Record]) -> list[Record]:
        return odd(records)

    items: list[Any] = [1, 2, 3, 4, 6]
    bad = ["x"] if with_bad else []
    steps = FusedSteps([Stage("odd", odd_or_error, batched=batched)], run)
    assert bodies(steps([Record(b"", body) for body in items[:2] + bad + items[2:]])) == [1, 3]
    assert (run.tally.filtered, run.tally.failed) == (3, len(bad))


def test_a_step_that_is_not_batched_runs_once_for_each_record(run: FlowRun) -> None:
    calls: list[Any] = []

    def note(records: list[Record]) -> list[Record]:
        calls.append(bodies(records))
        if records[0].body == 2:
            msg = "two"
            raise ValueError(msg)
        return [records[0], records[0].derive(-records[0].body)] if records[0].body else []

    steps = FusedSteps([Stage("note", note, batched=False)], run)
    assert bodies(steps(numbered(4))) == [1, -1, 3, -3]
    assert calls == [[0], [1], [2], [3]]
    assert (run.tally.filtered, run.tally.failed) == (1, 1)
    assert [letter.record.body for letter in letters_of(run)] == [2]


@pytest.mark.parametrize(("policy", "letters"), [("dead_letter", 1), ("skip", 0)])
@pytest.mark.parametrize("batched", [True, False])
def test_what_on_error_does(run: FlowRun, policy: ErrorPolicy, letters: int, batched: bool) -> None:
    steps = FusedSteps([Stage("inverse", inverse, policy, batched)], run)
    assert bodies(steps(numbered(3))) == [12, 6]
    assert len(letters_of(run)) == letters
    assert (run.tally.filtered, run.tally.failed) == (0, 1)
    assert run.failure is None


@pytest.mark.parametrize("batched", [True, False])
def test_on_error_stop_names_step_and_record(run: FlowRun, batched: bool) -> None:
    steps = FusedSteps([Stage("tens", tens), Stage("inverse", inverse, "stop", batched)], run)
    with pytest.raises(ZeroDivisionError):
        steps(numbered(3))
    assert run.failure is not None
    assert run.failure.where == "inverse"
    assert run.failure.record is not None
    assert str(run.failure) == "inverse: division by zero (record {'id': 'm0'}: b'0')"
    assert letters_of(run) == []


@pytest.mark.parametrize("policy", ["dead_letter", "skip", "stop"])
def test_a_fatal_error_stops_whatever_on_error_says(run: FlowRun, policy: ErrorPolicy) -> None:
    def broken(records: list[Record]) -> list[Record]:
        msg = "the licence has expired"
        raise FatalError(msg)

    with pytest.raises(FatalError):
        FusedSteps([Stage("check", broken, policy)], run)(numbered(2))
    assert str(run.failure).startswith("check: the licence has expired (record ")
    assert letters_of(run) == []


def test_a_dead_letter_store_that_fails_stops_the_flow(run: FlowRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(letters: object) -> None:
        msg = "no space left on device"
        raise OSError(msg)

    monkeypatch.setattr(run.dead_letters, "add", full)
    with pytest.raises(OSError, match="no space left"):
        FusedSteps([Stage("inverse", inverse)], run)(numbered(2))
    assert str(run.failure) == "steps: no space left on device"


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff\xfe", "not json", b"[" * 5000])
def test_garbage_is_a_dead_letter_with_its_cause(run: FlowRun, garbage: bytes | str) -> None:
    steps = FusedSteps([decode_stage(decoder("json"), "json", run)], run)
    assert bodies(steps([Record(b"1"), Record(garbage), Record("[2]")])) == [1, [2]]
    (letter,) = letters_of(run)
    assert letter.step == "decode"
    assert letter.record.raw == garbage
    assert str(letter.error).startswith("payload is not json: ")


def failing_decoder(run: FlowRun, failures: int, *, stop: bool = False) -> Callable[[bytes | str], Any]:
    """Decodes JSON, when its registry has been down a number of times."""
    left = failures

    def decode(raw: bytes | str) -> Any:
        nonlocal left
        if left:
            left -= 1
            if stop:
                run.stop()
            msg = "the registry is down"
            raise TransientError(msg)
        return orjson.loads(raw)

    return decode


def test_a_registry_that_is_down_is_waited_for_and_makes_no_dead_letters(run: FlowRun) -> None:
    steps = FusedSteps([decode_stage(failing_decoder(run, 2), "avro", run)], run)

    assert bodies(steps([Record(b"1"), Record(b"2")])) == [1, 2]
    assert letters_of(run) == []
    (health,) = run.healths
    assert (health.name, health.state, health.retries) == ("trigger", "up", 2)


def test_while_the_registry_is_down_the_trigger_is(run: FlowRun, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str | None]] = []
    monkeypatch.setattr(
        run, "wait_to_retry", lambda *_: seen.extend((health.state, health.reason) for health in run.healths)
    )
    FusedSteps([decode_stage(failing_decoder(run, 1), "avro", run)], run)([Record(b"1")])
    assert seen == [("down", "the registry is down")]


def test_a_bad_payload_after_the_registry_is_back_is_a_dead_letter(run: FlowRun) -> None:
    steps = FusedSteps([decode_stage(failing_decoder(run, 1), "avro", run)], run)

    assert bodies(steps([Record(b"{"), Record(b"2")])) == [2]
    (letter,) = letters_of(run)
    assert letter.record.raw == b"{"
    assert [health.state for health in run.healths] == ["up"]


def test_a_stop_while_the_registry_is_down_leaves_the_records_to_their_system(tmp_path: Path) -> None:
    run = run_of(tmp_path, drain_timeout=0.2)
    steps = FusedSteps([decode_stage(failing_decoder(run, 1_000_000, stop=True), "avro", run)], run)

    with pytest.raises(FatalError, match="will come again: the registry is down"):
        steps([Record(b"1"), Record(b"2")])
    assert letters_of(run) == []


def test_external_ids_are_texts(run: FlowRun) -> None:
    steps = FusedSteps([external_id_stage(Expression("id"))], run)
    records = steps([Record(b"", {"id": value}) for value in ("A-1", 17, None)])
    assert [record.external_id for record in records] == ["A-1", "17", None]


def test_a_record_without_its_external_id_is_a_dead_letter(run: FlowRun) -> None:
    steps = FusedSteps([external_id_stage(Expression("order.id"))], run)
    kept = steps([Record(b"", {"order": {"id": "A"}}), Record(b"", {"order": {}}), Record(b"", {"order": {"id": "B"}})])
    assert [record.external_id for record in kept] == ["A", "B"]
    (letter,) = letters_of(run)
    assert letter.step == "external_id"
    assert isinstance(letter.error, RecordError)
    assert "order.id" in str(letter.error)
